// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/monitor"
)

// shows fails unless all texts are on the screen.
func (v *view) shows(t *testing.T, texts ...string) {
	t.Helper()
	picture := v.Draw()
	for _, text := range texts {
		if !strings.Contains(picture, text) {
			t.Errorf("no %q in\n%s", text, picture)
		}
	}
}

func (v *view) hides(t *testing.T, text string) {
	t.Helper()
	if picture := v.Draw(); strings.Contains(picture, text) {
		t.Errorf("%q in\n%s", text, picture)
	}
}

func busy() *view {
	v := newView(monitor.Options{Tenant: "red"}, 120, 30)
	v.connect(summary(0))
	return v
}

func TestPause(t *testing.T) {
	v := busy()
	v.pings(1, 10*time.Second)
	v.press("p")
	v.shows(t, "paused", "10 pings", "go on")
	v.pings(1, 10*time.Second)
	v.shows(t, "10 pings")
	v.press("space")
	v.shows(t, "20 pings", "live")
}

// The ping that is picked stays so, however many come; at the top, the newest is.
func TestPick(t *testing.T) {
	v := busy()
	v.pings(1, 10*time.Second)
	v.press("down", "down", "down")
	v.pings(1, 3*time.Second)
	v.press("enter")
	v.shows(t, "seq 6 ", "SPAN", "Esc back")
	v.press("esc")
	v.press("home", "enter")
	v.shows(t, "seq 12 ")
	v.press("enter", "down", "up")
	v.pings(1, time.Second)
	v.press("enter")
	v.shows(t, "seq 13 ")
}

func TestSlowest(t *testing.T) {
	v := busy()
	v.pings(1, 20*time.Second)
	v.press("w")
	v.shows(t, "seq 5 ", "SPAN")
	v.press("esc", "d")
	v.pings(0, 2*time.Minute)
	v.shows(t, "no ping in the last minute", "nothing in the last minute")
	v.press("w") // there is none
	v.shows(t, "LAST PINGS")
}

func TestFilter(t *testing.T) {
	v := busy()
	v.pings(1, 60*time.Second)
	v.press("/", "d", "r", "o", "p", "p", "e", "d")
	v.shows(t, "(1 of 60)", "Enter keeps", "dropped NETFILTER_DROP")
	v.hides(t, "deliver")
	v.press("enter")
	v.shows(t, "filter: dropped", "60 pings")
	v.pings(1, 7*time.Second) // nothing that matches
	v.shows(t, "67 pings", "(1 of 60)")
	v.press("/", "backspace", "backspace", "esc")
	v.shows(t, "deliver", "complete 65")
}

func TestSortAndDetails(t *testing.T) {
	v := busy()
	v.pings(1, 10*time.Second)
	first := func() string { return strings.Split(v.Draw(), "\n")[6] }
	v.shows(t, "sort: path")
	if !strings.Contains(first(), "transmit brovsns-ns") {
		t.Error(first())
	}
	v.press("s")
	if v.shows(t, "sort: p99"); !strings.Contains(first(), "hypervisor") {
		t.Error(first())
	}
	v.press("s", "s")
	if v.shows(t, "sort: name"); !strings.Contains(first(), "bridge ovs-br") {
		t.Error(first())
	}
	v.hides(t, "queue ens3")
	v.press("d", "s")
	v.shows(t, "queue ens3")
}

func TestReset(t *testing.T) {
	v := newView(monitor.Options{}, 120, 30)
	v.connect(summary(1000))
	v.pings(1, 10*time.Second)
	v.Update(monitor.Batch{At: v.now, Lost: 7})
	v.shows(t, "1,010 pings since 14:04:00", "7 lost")
	v.press("r")
	v.shows(t, "0 pings since 15:04:10", "0 lost")
	v.pings(1, 5*time.Second)
	v.shows(t, "5 pings since 15:04:10")
	v.Update(monitor.Counted{At: v.now, Summary: summary(1016)}) // one was not seen here
	v.shows(t, "6 pings since 15:04:10")
}

// Places that begin at the same device and lead to different ones are told apart.
func TestPlacesThatWouldLookAlike(t *testing.T) {
	v := newView(monitor.Options{}, 120, 30)
	s := summary(10)
	for _, peer := range []string{"br-blue", "ens3"} {
		s.Devices = append(s.Devices, api.Device{NetNS: "hypervisor", Kind: "hypervisor", Device: "br-red", Peer: peer, Direction: "request", Times: api.Times{Count: 5}})
	}
	v.connect(s)
	v.shows(t, "hypervisor br-red -> br-blue", "hypervisor br-red -> ens3", "hypervisor ens3 ")
}

// The agent goes and comes back: the picture stays, and what passed meanwhile is counted.
func TestGoneAndBack(t *testing.T) {
	v := newView(monitor.Options{Tenant: "red"}, 120, 30)
	v.connect(summary(100))
	v.pings(1, 10*time.Second)
	gone := monitor.Gone{At: v.now, Again: v.now.Add(8 * time.Second), Err: errors.New("the agent closed the connection")}
	v.Update(gone)
	v.now = v.now.Add(5 * time.Second)
	v.Update(monitor.Tick(v.now))
	v.shows(t, "agent gone for 5s, next try in 3s", "the agent closed the connection", "110 pings", "seq", "deliver")
	// Twenty passed. The agent still has the last ten.
	v.Update(monitor.Connected{At: v.now, Clock: v.now})
	v.Update(monitor.Counted{At: v.now, Summary: summary(130), Missed: 20})
	var replayed []*trace.Trace
	for n := 10; n < 20; n++ {
		replayed = append(replayed, nth(n, v.now.Add(-time.Second)))
	}
	v.Update(monitor.Batch{At: v.now, Traces: replayed})
	v.shows(t, "live", "130 pings", "10 missed: agent gone")
	// It is there and refuses: its tenant was removed.
	v.Update(monitor.Gone{At: v.now, Again: v.now.Add(8 * time.Second), Err: fmt.Errorf("no: %w", &client.Refused{Problem: api.Problem{Code: api.CodeNotYours, Message: "no tenant"}})})
	v.shows(t, "refused for 0s, next try in 8s", "no tenant")
	// An agent that was started again has forgotten how many there were.
	v.Update(gone)
	again := summary(3)
	later := again.Since.Add(time.Hour)
	again.Since = &later
	v.connect(again)
	v.shows(t, "3 pings", "10 missed")
}

// What cannot be read is counted, and is no reason to stop.
func TestUnreadable(t *testing.T) {
	v := busy()
	v.Update(monitor.Batch{At: v.now, Unread: 3, Err: errors.New("not a line")})
	v.pings(1, time.Second)
	v.shows(t, "3 unreadable", "1 ping ")
}

// The agent's clock may be another than ours.
func TestClocks(t *testing.T) {
	v := newView(monitor.Options{}, 120, 30)
	agent := v.now.Add(-time.Hour)
	v.Update(monitor.Connected{At: v.now, Clock: agent})
	v.Update(monitor.Batch{At: v.now, Traces: []*trace.Trace{nth(1, agent.Add(time.Millisecond))}})
	v.pings(0, 2*time.Second)
	v.shows(t, "1 ping ", "transmit", "15:04:00  192.168.0.10")
	// If the agent's clock is set meanwhile, a ping is at least not of the future.
	v.Update(monitor.Batch{At: v.now, Traces: []*trace.Trace{nth(2, agent.Add(time.Hour))}})
	v.shows(t, "2 pings", "15:04:02  192.168.0.10")
}

func TestCount(t *testing.T) {
	v := newView(monitor.Options{Count: 3}, 80, 24)
	v.connect(summary(0))
	two := []*trace.Trace{nth(1, v.now), nth(2, v.now)}
	if _, cmd := v.Update(monitor.Batch{At: v.now, Traces: two}); cmd != nil {
		t.Error("ended after two pings")
	}
	if _, cmd := v.Update(monitor.Batch{At: v.now, Traces: []*trace.Trace{nth(3, v.now)}}); cmd == nil {
		t.Error("did not end after three pings")
	}
}

func TestQuit(t *testing.T) {
	for _, key := range []string{"q", "ctrl+c"} {
		if busy().press(key) == nil {
			t.Errorf("%s does not quit", key)
		}
	}
	v := busy()
	if v.press("/", "q") != nil {
		t.Error("q quits while a filter is typed")
	}
	if v.press("ctrl+c") == nil {
		t.Error("Ctrl-C does not quit while a filter is typed")
	}
}

// Names may have any bytes. None reaches the terminal that would do something there.
func TestEscapes(t *testing.T) {
	const evil = "\x1b[2J\x1b]0;x\x07\n\r\u202e"
	tr := nth(1, start)
	for i := range tr.Spans {
		s := &tr.Spans[i]
		ns := &trace.NetNS{Name: evil}
		s.NetNS, s.Title = ns, evil
		s.Device = &trace.Device{NetNS: ns, Name: evil, Bridge: evil}
	}
	tr.Outcome, tr.DropReason = trace.Dropped, evil
	v := newView(monitor.Options{Tenant: evil, Backend: evil}, 120, 50)
	v.connect(summary(0))
	v.Update(monitor.Batch{At: v.now, Traces: []*trace.Trace{tr}})
	v.Update(monitor.Gone{At: v.now, Err: errors.New(evil)})
	for _, key := range []string{"esc", "/", "\x1b", "enter", "down", "enter"} {
		v.press(key)
		picture := v.Draw()
		fits(t, picture, 120, 50)
		if strings.ContainsAny(picture, "\x1b\r\a\u202e") {
			t.Fatalf("%q", picture)
		}
	}
}

// Memory does not grow with the number of pings, ways and reasons.
func TestBounded(t *testing.T) {
	v := busy()
	for n := range 3000 { // seven a second
		tr := at(tracetest.Dropped(uint16(n)), v.now, 100, n)
		tr.DropReason = fmt.Sprintf("REASON_%d", n)
		d := &trace.Device{NetNS: tracetest.Guest, Name: fmt.Sprintf("eth%d", n)}
		tr.Spans[2].Device = d
		v.now = v.now.Add(150 * time.Millisecond)
		v.Update(monitor.Batch{At: v.now, Traces: []*trace.Trace{tr}})
	}
	v.shows(t, "3,000 pings", "other 2,968", "0 lost") // the rows of the last minute are fewer than the limit
	for n := range 600 {
		tr := nth(10_000+n, v.now)
		tr.Spans[2].Device = &trace.Device{NetNS: tracetest.Guest, Name: fmt.Sprintf("veth%d", n)}
		v.Update(monitor.Batch{At: v.now, Traces: []*trace.Trace{tr}})
	}
	v.shows(t, "not in the table")
	v.pings(0, 2*time.Minute)
	v.pings(1, 2*time.Second) // there is room again, also for what was there before
	v.shows(t, "bridge ovs-br")
	v.press("/", "x")
	v.shows(t, "(0 of 200)")
}

// TestAnything: whatever happens, in whatever order, there is a picture that fits.
func TestAnything(t *testing.T) {
	keys := []string{"p", "up", "down", "enter", "esc", "w", "/", "x", "d", "s", "r", "?", "pgup", "pgdown", "home", "backspace", "space", "ctrl+u"}
	rapid.Check(t, func(t *rapid.T) {
		v := newView(monitor.Options{ASCII: rapid.Bool().Draw(t, "ascii"), Color: rapid.Bool().Draw(t, "color")}, 80, 24)
		width, height := 80, 24
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				width, height = rapid.IntRange(1, 220).Draw(t, "width"), rapid.IntRange(1, 80).Draw(t, "height")
				v.Update(tea.WindowSizeMsg{Width: width, Height: height})
			case 1:
				v.connect(summary(rapid.Uint64Range(0, 2000).Draw(t, "total")))
			case 2:
				v.Update(monitor.Gone{At: v.now, Again: v.now.Add(time.Second), Err: errors.New("gone\nfor now")})
			case 3:
				v.pings(rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "rate"), rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second}).Draw(t, "time"))
			default:
				v.press(rapid.SampledFrom(keys).Draw(t, "key"))
			}
			picture := v.Draw()
			if lines := strings.Count(picture, "\n") + 1; lines != height {
				t.Fatalf("%d lines on a terminal of %d×%d:\n%s", lines, width, height, picture)
			}
		}
	})
}
