// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"os"
	"path/filepath"

	"github.com/dwelltrace/dwell/internal/agent"
)

// scopeRoads are those of which a host, or the user's choice, shows only a part.
func scopeRoads() []road {
	pings := func(w want) []traffic { return []traffic{{from: "c", to: "203.0.113.8", src: "10.1.1.1", want: w}} }
	router := want{
		request: "[r] forward | queue lan0 | driver lan0", between: "beyond lan0",
		reply: "[r] forward | queue w1 | driver w1",
	}
	client := want{request: "[c] transmit c0 | driver c0", between: "beyond c0 -> c1", reply: "[c] deliver"}
	return []road{
		{
			name: "asymmetric", what: "the reply comes by another uplink",
			setup: (*world).twoUplinks,
			pings: pings(want{
				request: "[c] transmit c0 | link c0 -> w0 [r] forward | queue lan0 | link lan0 -> s0 [s] deliver",
				reply:   "[s] transmit s0 | link s0 -> lan0 [r] forward | queue w1 | link w1 -> c1 [c] deliver",
			}),
		},
		{
			name: "asymmetric-router", what: "the reply leaves a router by another uplink, and only the router is traced",
			setup: (*world).twoUplinks,
			own:   func(w *world, o *agent.Options) { o.Scope.NetNS = []string{w.at("r").Name()} },
			pings: pings(router),
		},
		{
			name: "asymmetric-client", what: "the reply comes by another uplink, and only the client is traced",
			setup: (*world).twoUplinks,
			own:   func(w *world, o *agent.Options) { o.Scope.NetNS = []string{w.at("c").Name()} },
			pings: pings(client),
		},
		{
			name: "interface", what: "only one interface of a router is traced, as the user asked",
			setup: func(w *world) { w.routed(); w.rename("r", "vb", "up1"); w.warm("a", "198.18.2.2") },
			own:   func(_ *world, o *agent.Options) { o.Scope.Interfaces = []string{"up1"} },
			pings: []traffic{{from: "a", to: "198.18.2.2", want: want{outcome: "partial", answers: pingsEach}}},
		},
		{
			name: "time-namespace", what: "the agent runs in a time namespace whose clock is a day ahead",
			setup: func(w *world) { w.pair(); w.warm("a", "192.0.2.2") },
			pings: []traffic{{from: "a", to: "192.0.2.2", want: way(pairWay)}},
			run:   (*course).inTimeNamespace,
		},
		{
			name: "two-hosts", what: "a ping from one host to another, both traced: one trace with one root",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2") },
			pings: []traffic{{from: "a", to: "198.18.2.2"}},
			run:   func(c *course) { c.twoHosts([]string{"a", "r"}, []string{"b"}) },
		},
		{
			name: "two-hosts-passing", what: "a ping that a second host passes on, both traced: one trace with one root",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2") },
			pings: []traffic{{from: "a", to: "198.18.2.2"}},
			run:   func(c *course) { c.twoHosts([]string{"a"}, []string{"r"}) },
		},
	}
}

// rename gives a device another name.
func (w *world) rename(role, device, name string) {
	l := w.dev(role, device)
	w.must(w.at(role).nl.LinkSetDown(l), "down")
	w.must(w.at(role).nl.LinkSetName(l, name), "renaming", device)
	w.up(role, name)
}

// twoHosts runs the road with two agents that each trace some of the namespaces, as if
// these were two hosts, and judges what both wrote.
func (c *course) twoHosts(hosts ...[]string) {
	var both []*tracing
	for i, roles := range hosts {
		dir := filepath.Join(c.dir, string(rune('a'+i)))
		if c.err = os.Mkdir(dir, 0o755); c.err != nil {
			return
		}
		opts := agent.Options{Timeout: traceTimeout(), HostID: "host-" + string(rune('a'+i))}
		for _, role := range roles {
			opts.Filter.NetNS = append(opts.Filter.NetNS, c.w.at(role).Inode())
		}
		t, err := startTracing(dir, opts)
		if err != nil {
			c.err = err
			return
		}
		both = append(both, t)
	}
	c.drive()
	for _, t := range both {
		t.await(c.expected(), traceTimeout()+patience)
	}
	c.conclude(both[0], func() ([]*tree, error) {
		var all []*span
		for _, t := range both {
			if _, err := t.stop(); err != nil {
				return nil, err
			}
			spans, err := readSpans(t.path)
			if err != nil {
				return nil, err
			}
			all = append(all, spans...)
		}
		return trees(all), nil
	})
}
