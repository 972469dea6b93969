// SPDX-License-Identifier: Apache-2.0

package listing_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/event/eventtest"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

var byValue = cmpopts.EquateComparable(netip.Addr{})

func TestParse(t *testing.T) {
	plain := listing.Line{
		NetNS: 4026532201, Interface: "brovsns-ns", Type: listing.Request,
		Src: netip.MustParseAddr("192.168.0.10"), Dst: netip.MustParseAddr("8.8.8.8"),
		Hook: event.NetDevQueue.Info(), Time: 3371013232722767,
	}
	named, dropped, nowhere := plain, plain, plain
	named.Name = "dwell bridge"
	dropped.Name, dropped.Hook, dropped.Reason = "guest", event.KfreeSKB.Info(), "NETFILTER_DROP"
	nowhere.Interface, nowhere.Type, nowhere.Hook = "", listing.Reply, event.SKBCopyDatagramIovec.Info()
	nowhere.Src = netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		text string
		want listing.Line
	}{
		{"[ 4026532201]    brovsns-ns request 192.168.0.10 -> 8.8.8.8 net_dev_queue    3371013232722767", plain},
		{"[4026532201]\tbrovsns-ns\trequest\t192.168.0.10 -> 8.8.8.8\tnet_dev_queue\t3371013232722767", plain},
		{`[4026532201] "dwell\x20bridge" brovsns-ns request 192.168.0.10 -> 8.8.8.8 net_dev_queue 3371013232722767`, named},
		{"[4026532201] guest brovsns-ns request 192.168.0.10 -> 8.8.8.8 kfree_skb 3371013232722767 NETFILTER_DROP", dropped},
		{"[4026532201] - reply 2001:db8::1 -> 8.8.8.8 skb_copy_datagram_iovec 3371013232722767", nowhere},
	} {
		got, err := listing.Parse(tt.text, event.All())
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.want, got, byValue); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

// Whatever is wrong, the error names file and line and what is wrong in it.
func TestReadErrors(t *testing.T) {
	const good = "[ 1] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n"
	for _, tt := range []struct{ text, want string }{
		{"", "f.txt: no line looks like"},
		{"NETWORK NS INTERFACE\n\n('veth pair: ', 8360L)\n", "f.txt: no line looks like"},
		{good + "hello\n", "f.txt:2: not a line of a listing"},
		{good + "\n[ 1 eth0\n", "f.txt:3: no ] after the namespace"},
		{"[ 1x] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n", `f.txt:1: namespace "1x" is not an inode number`},
		{"[ 5000000000] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n", `f.txt:1: namespace "5000000000"`},
		{"[ 1] eth0 query 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n", `f.txt:1: type "query": want request, reply or tunnel`},
		{"[ 1] eth0 request 192.0.2.x -> 192.0.2.2 net_dev_queue 5\n", `f.txt:1: source "192.0.2.x" is not an address`},
		{"[ 1] eth0 request 192.0.2.1 -> host net_dev_queue 5\n", `f.txt:1: destination "host" is not an address`},
		{"[ 1] eth0 request 192.0.2.1 -> 192.0.2.2 ip_rcv 5\n", `f.txt:1: function "ip_rcv" is not one of the tracepoints`},
		{"[ 1] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue -5\n", `f.txt:1: timestamp "-5" is not a number`},
		{"[ 1] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue\n", "f.txt:1: want: [netns] interface"},
		{"[ 1] \"eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n", `f.txt:1: name "eth0 is badly quoted`},
		{"[ 1] eth0 tunnel 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n", "f.txt: only tunnel packets"},
		{"[ 1] " + strings.Repeat("x", 1<<17), "f.txt:1: longer than"},
	} {
		_, err := listing.Read("f.txt", strings.NewReader(tt.text), listing.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%.60q: error %v, want %s...", tt.text, err, tt.want)
		}
	}
}

// drawLine draws a line with whatever names a namespace and an interface can have.
func drawLine(t *rapid.T) listing.Line {
	name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"-", "->", "a b", "\"", "[1]", "\\x20", "guest"}))
	bytes := rapid.SliceOfN(rapid.Byte(), 16, 16)
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if a, ok := netip.AddrFromSlice(bytes.Draw(t, "IPv6")); ok && rapid.Bool().Draw(t, "v6") {
			return a.Unmap()
		}
		return netip.AddrFrom4([4]byte(bytes.Draw(t, "IPv4")[:4]))
	})
	return listing.Line{
		NetNS: rapid.Uint32().Draw(t, "netns"), Name: name.Draw(t, "name"), Interface: name.Draw(t, "interface"),
		Type: rapid.SampledFrom([]listing.Type{listing.Request, listing.Reply, listing.Tunnel}).Draw(t, "type"),
		Src:  addr.Draw(t, "src"), Dst: addr.Draw(t, "dst"),
		Hook: rapid.SampledFrom(event.All().List()).Draw(t, "hook"),
		Time: rapid.Uint64().Draw(t, "time"), Reason: name.Draw(t, "reason"),
	}
}

func TestRoundTripOfLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawLine(t)
		got, err := listing.Parse(want.String(), event.All())
		if err != nil {
			t.Fatalf("%v in %s", err, want)
		}
		if diff := cmp.Diff(want, got, byValue); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", want, diff)
		}
	})
}

// What is written of the paper's events reads as the same events, with the names that
// they had.
func TestWriteIsReadBack(t *testing.T) {
	for _, name := range []string{"bridge-namespaces", "routed", "tunnel", "tunnel-bridged"} {
		l := read(t, name)
		var b bytes.Buffer
		b.WriteString(listing.Header)
		w := listing.NewWriter(&b, l, listing.Text(event.All()))
		for i := range l.Events {
			if err := w.Write(&l.Events[i]); err != nil {
				t.Fatal(err)
			}
		}
		text := b.String()
		again, err := listing.Read(name, &b, listing.Options{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if diff := cmp.Diff(l.Events, again.Events); diff != "" {
			t.Errorf("%s (-written +read):\n%s", name, diff)
		}
		for i := range l.Events {
			ev := &l.Events[i]
			if diff := cmp.Diff(l.Device(ev.NetNS, ev.IfIndex), again.Device(ev.NetNS, ev.IfIndex)); diff != "" {
				t.Errorf("%s (-written +read):\n%s", name, diff)
			}
		}
	}
}

func TestPings(t *testing.T) {
	line := func(device, typ, rest string) string {
		return "[ 7] " + device + " " + typ + " 192.0.2.1 -> 192.0.2.2 " + rest + "\n"
	}
	request := func(time string) string { return line("eth0", "request", "net_dev_queue "+time) }
	for _, tt := range []struct {
		name, text string
		// seqs are the pings to which the events belong.
		seqs []uint16
	}{
		{"a request after a reply", request("1") + line("eth0", "reply", "netif_rx 2") + request("3"), []uint16{1, 1, 2}},
		{"a lost reply", request("1") + line("eth0", "request", "net_dev_start_xmit 2") + request("3"), []uint16{1, 1, 2}},
		{"a line printed twice", request("1") + request("1"), []uint16{1, 1}},
		{"a reply first", line("eth0", "reply", "netif_rx 1") + request("2"), []uint16{1, 2}},
		{"a tunnel first", line("eth0", "tunnel", "netif_rx 1") + line("vxlan0", "request", "napi_gro_receive_entry 2"), []uint16{1, 1}},
	} {
		l, err := listing.Read(tt.name, strings.NewReader(tt.text), listing.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var seqs []uint16
		payloads := map[uint16][event.PayloadPrefix]byte{}
		for _, ev := range l.Events {
			seqs = append(seqs, ev.Seq)
			if p, ok := payloads[ev.Seq]; ok && p != ev.Payload {
				t.Errorf("%s: ping %d has two payloads", tt.name, ev.Seq)
			}
			payloads[ev.Seq] = ev.Payload
		}
		if diff := cmp.Diff(tt.seqs, seqs); diff != "" || l.Pings != len(payloads) {
			t.Errorf("%s: %d pings (-want +got):\n%s", tt.name, l.Pings, diff)
		}
	}
}

// The same ping number in two listings is not the same ping.
func TestListingsAreApart(t *testing.T) {
	seen := map[trace.ID]string{}
	for _, name := range []string{"bridge-ovs", "bridge-namespaces", "nat", "routed", "routed-namespaces", "tunnel", "tunnel-bridged"} {
		traces, _ := read(t, name).Traces()
		for _, tr := range traces {
			if tr.Local {
				t.Errorf("%s: %s has no identity of its own", name, tr.Ping)
			}
			if other := seen[tr.ID]; other != "" {
				t.Errorf("%s and %s share trace %s", other, name, tr.ID)
			}
			seen[tr.ID] = name
		}
	}
}

func TestHypervisorIsConfigured(t *testing.T) {
	text := "[ 7] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 1\n"
	l, err := listing.Read("f", strings.NewReader(text), listing.Options{Hypervisors: []uint32{7}})
	if err != nil {
		t.Fatal(err)
	}
	if !l.NetNS(7).Hypervisor || l.NetNS(listing.PaperHost).Hypervisor {
		t.Errorf("%+v, %+v", l.NetNS(7), l.NetNS(listing.PaperHost))
	}
}

func TestJSON(t *testing.T) {
	l := read(t, "tunnel")
	ev := l.Events[2]
	ev.SKB, ev.CPU, ev.ID = 0xffff888000000100, 3, 77
	ev.Tunnels[0].ID = 42
	var got listing.Object
	line := listing.JSON(event.All())(nil, &ev, l)
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(listing.ObjectOf(&ev, ev.Hook.Info(), l), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := `{"time_ns":3380054913659638,"hook":"net_dev_queue","type":"request","netns":4026532699,"netns_name":"netns-4026532699",` +
		`"ifindex":2,"interface":"veth0","src":"10.0.0.1","dst":"10.0.0.2","id":77,"seq":1,"payload_size":16,` +
		`"payload":"` + hex.EncodeToString(ev.Payload[:]) + `","skb":"0xffff888000000100","cpu":3,"flags":[],"code":0,` +
		`"tunnels":[{"src":"192.168.100.1","dst":"192.168.200.1","type":"vxlan","id":42}],"depth":1}` + "\n"
	if diff := cmp.Diff(want, string(line)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What only some events have.
func TestJSONOfAllFields(t *testing.T) {
	l := read(t, "tunnel")
	ev := l.Events[2]
	ev.Hook, ev.TTL, ev.Depth, ev.Flags = event.Acted, 63, 3, event.Paired|event.OtherHost
	ev.Peer = event.Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}
	ev.Tunnels = [event.MaxTunnels]event.Tunnel{{Type: event.PPPoE, ID: 7}, {Type: event.GRE, Src: ev.Src, Dst: ev.Dst, ID: 8}}
	ev.Action = event.Action{Deed: event.Fallback, Verdict: 1, Reason: 2, Tenant: 3, Rule: 4, To: 5, Place: event.AtTC, Nanoseconds: 6}
	ev.Rewrite = event.Rewrite{Src: ev.Dst, Dst: ev.Src, TTL: 62, ID: 9, To: [6]byte{2, 5: 1}, From: [6]byte{2, 5: 2}, LeaseMilliseconds: 950, Flags: event.RewriteDecapsulated, Peer: ev.Peer}
	line := string(listing.JSON(event.All())(nil, &ev, l))
	for _, want := range []string{
		`"hook":"acted"`, `"flags":["paired","other_host"]`, `"depth":3,"ttl":63`,
		`"tunnels":[{"type":"pppoe","id":7},{"src":"10.0.0.1","dst":"10.0.0.2","type":"gre","id":8}]`,
		`"peer":{"netns":4026532699,"netns_name":"netns-4026532699","ifindex":2,"interface":"veth0"}`,
		`"action":{"deed":"fallback","verdict":1,"reason":2,"tenant":3,"rule":4,"to":5,"place":"tc","duration_ns":6}`,
		`"rewrite":{"src":"10.0.0.2","dst":"10.0.0.1","id":9,"ttl":62,"src_mac":"02:00:00:00:00:02","dst_mac":"02:00:00:00:00:01","tunnel":"decapsulated","lease_ms":950,"peer":{"netns":4026532699,`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if text := listing.LineOf(&ev, ev.Hook.Info(), l); text.Type != listing.Tunnel || text.Src != ev.Src.Addr() {
		t.Errorf("tunnels without addresses are not passed over: %s", text)
	}
}

// The listings do not say which devices are pairs, but each link in them is between two.
func TestPairsAreInferred(t *testing.T) {
	l := read(t, "tunnel")
	pairs := map[event.Place]event.Place{}
	for _, ev := range l.Events {
		if ev.Flags.Has(event.Paired) {
			pairs[event.Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}] = ev.Peer
		}
	}
	for end, other := range pairs {
		if back, known := pairs[other]; known && back != end {
			t.Errorf("%v and %v are a pair, %v and %v too", end, other, other, back)
		}
	}
	if len(pairs) < 4 {
		t.Errorf("only %d ends of pairs: %v", len(pairs), pairs)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("[ 1] eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 5\n('Device: ', 1L)\n[1] a tunnel ::1 -> ::2 netif_rx 6")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := listing.Read("f", strings.NewReader(text), listing.Options{})
		if err != nil {
			return
		}
		if len(l.Events) == 0 || l.Pings == 0 {
			t.Errorf("%d events, %d pings and no error", len(l.Events), l.Pings)
		}
		for _, tr := range first(l.Traces()) {
			checkTiling(t, tr)
		}
	})
}

func first[A, B any](a A, _ B) A { return a }

func BenchmarkText(b *testing.B) { benchmark(b, listing.Text(event.All())) }
func BenchmarkJSON(b *testing.B) { benchmark(b, listing.JSON(event.All())) }

func benchmark(b *testing.B, format listing.Format) {
	text := "[ 7] guest eth0 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 1\n"
	l, err := listing.Read("f", strings.NewReader(text), listing.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = format(buf[:0], &l.Events[0], l)
	}
}

// The name of a netfilter hook comes back as the hook.
func TestNetfilterHooksAreReadBack(t *testing.T) {
	l := read(t, "routed")
	want := l.Events[2] // an arrival
	want.Hook, want.Code = event.NetfilterLast, uint32(event.NetfilterForward)
	line := listing.LineOf(&want, want.Hook.Info(), l).String()
	again, err := listing.Read("netfilter", strings.NewReader(line), listing.Options{})
	if err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if got := again.Events[0]; got.Hook != want.Hook || got.Code != want.Code || !strings.HasSuffix(strings.TrimSpace(line), "forward") {
		t.Errorf("%s reads as %v with code %d", line, got.Hook, got.Code)
	}
}

// A hook that is added to the table is read and written by its name.
func TestAddedHook(t *testing.T) {
	hooks := event.All().With(eventtest.MadeUp())
	const text = "[ 1] eth0 request 192.0.2.1 -> 192.0.2.2 made_up 5\n" +
		"[ 1] eth1 request 192.0.2.1 -> 192.0.2.2 net_dev_queue 6\n"
	l, err := listing.Read("f", strings.NewReader(text), listing.Options{Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	ev := &l.Events[0]
	if ev.Hook != eventtest.MadeUp().Hook {
		t.Errorf("read as hook %d", ev.Hook)
	}
	if !l.Events[1].Flags.Has(event.Received) {
		t.Error("the packet came into the namespace at the added hook, and is not seen as received afterwards")
	}
	if line := listing.Text(hooks)(nil, ev, l); !bytes.Contains(line, []byte(" made_up ")) {
		t.Errorf("written as %s", line)
	}
	if object := listing.JSON(hooks)(nil, ev, l); !bytes.Contains(object, []byte(`"hook":"made_up"`)) {
		t.Errorf("written as %s", object)
	}
	if _, err := listing.Read("f", strings.NewReader(text), listing.Options{}); err == nil {
		t.Error("a hook that is not in the table was read")
	}
}
