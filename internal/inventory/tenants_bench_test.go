// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// benchPorts is how many ports the hypervisor of the benchmarks has.
const benchPorts = 1000

// tenantsOf returns so many tenants of one port each, by name or by a pattern.
func tenantsOf(tb testing.TB, n int, patterns bool) *tenant.Set {
	tb.Helper()
	var tenants []tenant.Tenant
	for i := range n {
		port := fmt.Sprintf("port-%d", i)
		if patterns {
			port += "*"
		}
		tenants = append(tenants, tenant.Tenant{ID: fmt.Sprintf("tenant-%d", i), Ports: []string{port}})
	}
	set, err := tenant.NewSet(tenants, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// manyPorts makes a hypervisor with benchPorts ports, and an inventory that has seen them.
func manyPorts(tb testing.TB) (*Inventory, *netns.NS) {
	tb.Helper()
	privilegetest.NetNS(tb)
	hyp := create(tb, "many")
	inside(tb, hyp, func(nl *netlink.Handle) error {
		for i := 0; i < benchPorts; i += 2 {
			if err := nl.LinkAdd(&netlink.Veth{
				LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("port-%d", i)}, PeerName: fmt.Sprintf("port-%d", i+1),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	v, err := New(Config{Hypervisors: []uint32{hyp.Inode()}, MaxWait: time.Minute})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Close)
	return v, hyp
}

// BenchmarkTenants is what tenants cost: an answer about a port, which each event on it takes;
// attributing all ports of the hypervisor, which each scan does that shows something new; and
// such a scan. Its tenants have a port each, out of the same number of ports.
func BenchmarkTenants(b *testing.B) {
	v, hyp := manyPorts(b)
	for _, mode := range []struct {
		name     string
		tenants  int
		patterns bool
	}{{"0", 0, false}, {"1", 1, false}, {"1000", benchPorts, false}, {"1000patterns", benchPorts, true}} {
		v.SetTenants(tenantsOf(b, mode.tenants, mode.patterns))
		s := v.space(hyp.Inode())
		v.look(s)
		b.Run("answer/tenants="+mode.name, func(b *testing.B) {
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				v.Device(hyp.Inode(), 2+i%benchPorts)
				i++
			}
		})
		b.Run("attribute/tenants="+mode.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				snap := *s.snapshot.Load()
				snap.facts = 0
				v.attribute(s.inode, &snap, time.Now())
			}
		})
		b.Run("scan/tenants="+mode.name, func(b *testing.B) {
			for b.Loop() {
				v.scan(s)
			}
		})
	}
}

// What a thousand tenants cost is told, and is no more than a few kilobytes each.
func TestTenantsMemory(t *testing.T) {
	v, hyp := manyPorts(t)
	v.NetNS(hyp.Inode())
	const most = 4 << 10
	before := heap()
	v.SetTenants(tenantsOf(t, benchPorts, false))
	if d := v.Device(hyp.Inode(), 2); d.Tenant == "" {
		t.Fatalf("%+v", d)
	}
	each := (heap() - before) / benchPorts
	t.Logf("%d bytes a tenant of one port", each)
	if each > most {
		t.Errorf("%d bytes a tenant, at most %d are expected", each, most)
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers released
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
