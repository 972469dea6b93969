// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// TestManyTenants tells what a thousand tenants cost that each have a trace now and then, and
// holds what must not grow with them: connections, and goroutines but for a few each.
func TestManyTenants(t *testing.T) {
	const many = 1000
	for _, spooled := range []bool{false, true} {
		t.Run(fmt.Sprintf("spool=%t", spooled), func(t *testing.T) {
			backend := newTenantBackend(t)
			backend.forget = true
			more := ", queue: {delay: 5ms}"
			if spooled {
				more = spoolIn(filepath.Join(t.TempDir(), "tenants"))
			}
			var text strings.Builder
			text.WriteString(tenancyTo(backend.address, more) + "tenants:\n")
			for i := range many {
				fmt.Fprintf(&text, "- {id: t%d, ports: [p%d]}\n", i, i)
			}
			tenants := parse(t, text.String()).Tenants
			x := newTenantExports(otlpOptions(), newLogger(&logBuffer{}))
			memory, goroutines := held(), runtime.NumGoroutine()
			x.prepare(tenants).carryOut(time.Minute)
			asleep := held() - memory
			one := views("t", 0, 1)
			for i := range many {
				x.Take(fmt.Sprint("t", i), one)
			}
			until(t, "all traces are sent", func() bool { return x.total().Sent.Traces == many })
			awake, more2 := held()-memory, runtime.NumGoroutine()-goroutines
			connections := x.pool.Connections()
			t.Logf("%d tenants: %d B each before the first trace, %d B each after it; %.1f goroutines each, %d connections",
				many, asleep/many, awake/many, float64(more2)/many, connections)
			// One that is not answered on a slow machine is left for another.
			if most := many/otlpgrpc.UsersPerConnection + 8; connections > most {
				t.Errorf("%d connections, want at most %d", connections, most)
			}
			if more2 > 5*many {
				t.Errorf("%d goroutines for %d tenants", more2, many)
			}
			endBy(x, time.Minute)
		})
	}
}

// held returns the bytes on the heap.
func held() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc + s.StackInuse)
}
