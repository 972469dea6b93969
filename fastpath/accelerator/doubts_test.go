// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/changes"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// anyDoubt is a packet from red's port, of that epoch.
func anyDoubt(epoch uint64) bypass.Doubt {
	return bypass.Doubt{
		Key: flow.Key{IfIndex: 11, Tuple: flow.Tuple{
			Proto: unix.IPPROTO_UDP, Src: netip.MustParseAddr("192.168.0.10"), Dst: netip.MustParseAddr("203.0.113.8"), Sport: 4000, Dport: 7000,
		}},
		Slot: 2, Direction: flow.FromTenant, Epoch: epoch, Differs: []string{"next hop 192.0.2.3 instead of 192.0.2.2"},
	}
}

// A packet stays in doubt until the watch for changes has read all that can have been announced in time.
func TestDoubtIsKnown(t *testing.T) {
	began := time.Now()
	var q doubts
	for i := range doubtRoom {
		if !q.push(anyDoubt(uint64(i)), began) {
			t.Fatalf("no room for number %d", i)
		}
	}
	if q.push(anyDoubt(0), began) {
		t.Error("there is room for too many")
	}
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 0}, {doubtFor - 1, 0}, {doubtFor, 0}, {doubtFor, doubtRoom}, {time.Hour, 0}} {
		if got := q.lives(began.Add(c.at)); len(got) != c.want {
			t.Errorf("after %v, %d are known, want %d", c.at, len(got), c.want)
		}
	}
	q.push(anyDoubt(1), began)
	q.lives(began.Add(doubtFor))
	q.push(anyDoubt(2), began.Add(doubtFor))
	if got := q.lives(began.Add(doubtFor)); len(got) != 1 || got[0].Epoch != 1 {
		t.Errorf("known: %+v", got)
	}
	if left := q.take(); len(left) != 1 || left[0].Epoch != 2 || len(q.take()) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// logged takes what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A packet that was not treated as was foretold was foretold wrong only if nothing changed, and it is said what was wrong.
func TestDoubts(t *testing.T) {
	for _, c := range []struct {
		name     string
		end      func(w *world)
		differ   uint64
		unlearnt map[flow.Reason]uint64
		log      string
	}{
		{"nothing changed", func(*world) {}, 1, map[flow.Reason]uint64{}, `packet="udp 192.168.0.10:4000 > 203.0.113.8:7000`},
		{"a change was announced", func(w *world) {
			w.programs.mu.Lock()
			defer w.programs.mu.Unlock()
			w.programs.epoch++
		}, 0, map[flow.Reason]uint64{flow.Changed: 1}, DoubtExcused},
		{"nobody knows", func(w *world) { w.failing <- context.DeadlineExceeded }, 0, map[flow.Reason]uint64{flow.Unattended: 1}, DoubtExcused},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logged
			w := newWorld(t)
			w.m.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.On, "blue": flow.On})
			w.run()
			report := <-w.report
			report(changes.Change{Kind: changes.Everything, What: "the watch began"})
			did := w.await("hold false")
			w.until(did, "doubts")
			w.programs.mu.Lock()
			doubt := w.programs.doubt
			w.programs.mu.Unlock()
			doubt(anyDoubt(0))
			if s := w.m.Stats().Tenants[1]; s.From.Differ != 0 || len(s.From.Unlearnt) != 0 {
				t.Errorf("it is decided at once: %+v", s.From)
			}
			c.end(w)
			poll := time.NewTicker(time.Millisecond)
			defer poll.Stop()
			for deadline := time.Now().Add(patience); ; {
				s := w.m.Stats().Tenants[1]
				if s.From.Differ == c.differ && maps.Equal(s.From.Unlearnt, c.unlearnt) && s.To.Differ == 0 && len(s.To.Unlearnt) == 0 {
					break
				}
				if time.Now().After(deadline) || s.From.Differ > c.differ {
					t.Fatalf("%+v", s)
				}
				<-poll.C
			}
			if text := log.String(); !strings.Contains(text, c.log) || !strings.Contains(text, "next hop 192.0.2.3 instead of 192.0.2.2") {
				t.Errorf("the log does not say %q and what differs:\n%s", c.log, text)
			}
		})
	}
}

// A flow whose packets a rule treats as it comes, which no announcement explains, is found, and it is said what differs.
func TestForetoldWrong(t *testing.T) {
	l := newLab(t)
	var log logged
	l.log = slog.New(slog.NewTextHandler(&log, nil))
	l.run(l.hv, "nft add rule inet filter forward meta mark set numgen random mod 1000000000")
	l.start(flow.Shadow)
	c := l.udp()
	began := time.Now()
	l.until("foretold wrong", func() bool {
		if err := c.say(); err != nil {
			l.Fatal(err)
		}
		s := l.status().Tenants[0]
		return s.From.Differ > 0 && s.To.Differ > 0 && len(s.Problems) > 0
	})
	if text := log.String(); !strings.Contains(text, "treated a packet otherwise than was foretold") || !strings.Contains(text, `differs="mark `) {
		t.Errorf("the log does not say what differs:\n%s", text)
	}
	most := 1 + int(time.Since(began)/doubtLogEvery)
	if text := log.String(); strings.Count(text, "otherwise than was foretold") > most {
		t.Errorf("it is logged again and again:\n%s", text)
	}
}
