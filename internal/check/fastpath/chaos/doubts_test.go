// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
)

// Only another next hop while a route is being replaced is no fault.
func TestExplained(t *testing.T) {
	const another = "next hop 192.0.2.3 instead of 192.0.2.2"
	routes := []span{{10, 20}, {40, 50}}
	for _, c := range []struct {
		name string
		d    doubted
		want string
	}{
		{"while a route is replaced", doubted{"udp", 15, another}, ""},
		{"as it begins and ends", doubted{"udp", 40, another}, ""},
		{"before", doubted{"udp", 9, another}, "no route was being replaced when udp left"},
		{"between two", doubted{"udp", 30, another}, "no route was being replaced when udp left"},
		{"after", doubted{"udp", 51, another}, "no route was being replaced when udp left"},
		{"something else", doubted{"udp", 15, "mark 1 instead of 0"}, "no change explains what became of udp"},
		{"something else as well", doubted{"udp", 15, another + "; mark 1 instead of 0"}, "no change explains what became of udp"},
		{"something that is not said", doubted{"udp", 15, ""}, "no change explains what became of udp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			errs := explained([]doubted{c.d}, routes)
			if (c.want == "") != (len(errs) == 0) || len(errs) > 0 && !strings.Contains(errs[0].Error(), c.want) {
				t.Errorf("said %v, want %q", errs, c.want)
			}
		})
	}
}

// What the agent excuses is kept, and all else goes where it went before.
func TestDoubtLog(t *testing.T) {
	var out bytes.Buffer
	l := &doubtLog{Handler: slog.NewTextHandler(&out, nil)}
	log := slog.New(l)
	log.Debug(accelerator.DoubtExcused, "packet", "udp", "monotonic_ns", uint64(7), "reason", "changed", "differs", "mark 1 instead of 0")
	log.Debug("nobody wants to know")
	log.Error("this is wrong")
	if got, want := l.take(), []doubted{{"udp", 7, "mark 1 instead of 0"}}; !slices.Equal(got, want) || len(l.take()) != 0 {
		t.Errorf("kept %+v, want %+v", got, want)
	}
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "this is wrong") {
		t.Errorf("passed on %q", text)
	}
}
