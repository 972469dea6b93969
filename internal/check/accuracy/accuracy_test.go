// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A real ping and its traces agree: as many of each, complete and tiled, and the root
// ends no more than its delivery after ping's.
func TestTracesAgreeWithPing(t *testing.T) {
	privilegetest.BPF(t)
	dwell := filepath.Join(t.TempDir(), "dwell")
	if out, err := exec.Command("go", "build", "-o", dwell, "../../../cmd/dwell").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cfg := config{dwell: dwell, prefix: fmt.Sprintf("dwx%d", os.Getpid()), count: 100, interval: 10 * time.Millisecond}
	pings, err := measure(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(pings) != cfg.count {
		t.Errorf("%d of %d pings", len(pings), cfg.count)
	}
	// ping rounds to a microsecond, and the kernel's stamp and dwell's event of the arrival
	// are not the same instruction: an interrupt may come between them, once in thousands.
	const (
		slack       = 2 * time.Microsecond
		interrupted = 2
	)
	var late []string
	for _, p := range pings {
		if p.root > p.rtt+p.deliver+slack {
			late = append(late, fmt.Sprintf("root %v ends more than its delivery, %v, after ping's %v", p.root, p.deliver, p.rtt))
		}
	}
	if len(late) > interrupted {
		t.Errorf("%d pings:\n%s", len(late), strings.Join(late, "\n"))
	}
}

func TestParsePing(t *testing.T) {
	rtts, err := parsePing("64 bytes from 203.0.113.8: icmp_seq=2 ttl=63 time=0.076 ms\n--- statistics ---\n")
	if err != nil || len(rtts) != 1 || rtts[2] != 76*time.Microsecond {
		t.Errorf("%v, %v", rtts, err)
	}
}

func TestMatchMissesNobody(t *testing.T) {
	printed := map[int]time.Duration{1: 1, 2: 2}
	for _, traces := range []map[int]tracedPing{{1: {}}, {1: {}, 3: {}}} {
		if _, err := match(printed, traces); err == nil {
			t.Errorf("%v matches %v", traces, printed)
		}
	}
}
