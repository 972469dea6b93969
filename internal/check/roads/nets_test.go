// SPDX-License-Identifier: Apache-2.0

package roads

// pair joins a and b by one veth pair, 192.0.2.1 and 192.0.2.2.
func (w *world) pair() {
	w.ns("a", "b")
	w.veth("a", "a0", "b", "b0")
	w.addr("a", "a0", "192.0.2.1/24", "2001:db8:2::1/64")
	w.addr("b", "b0", "192.0.2.2/24", "2001:db8:2::2/64")
}

// bridged joins a and b by a bridge in hv, 192.0.2.1 and 192.0.2.2.
func (w *world) bridged() {
	w.ns("a", "b", "hv")
	for _, x := range []string{"a", "b"} {
		w.veth(x, "eth0", "hv", "v"+x)
	}
	w.bridge("hv", "br0", "va", "vb")
	w.addr("a", "eth0", "192.0.2.1/24", "2001:db8:2::1/64")
	w.addr("b", "eth0", "192.0.2.2/24", "2001:db8:2::2/64")
}

// routed joins a (198.18.1.2) and b (198.18.2.2) by the router r.
func (w *world) routed() {
	w.ns("a", "r", "b")
	w.forward("r")
	for i, x := range []string{"a", "b"} {
		n := string(rune('1' + i))
		w.veth(x, "eth0", "r", "v"+x)
		w.addr(x, "eth0", "198.18."+n+".2/24", "2001:db8:"+n+"::2/64")
		w.addr("r", "v"+x, "198.18."+n+".1/24", "2001:db8:"+n+"::1/64")
		w.route(x, "default", "198.18."+n+".1")
		w.route(x, "default6", "2001:db8:"+n+"::1")
	}
}

// twoUplinks joins the client c, which has two uplinks and the address 10.1.1.1, by the
// router r to the server s at 203.0.113.8. Requests take c0, replies c1.
func (w *world) twoUplinks() {
	w.ns("c", "r", "s")
	w.forward("r")
	w.veth("c", "c0", "r", "w0")
	w.veth("c", "c1", "r", "w1")
	w.veth("r", "lan0", "s", "s0")
	w.addr("c", "c0", "192.0.2.2/24")
	w.addr("r", "w0", "192.0.2.1/24")
	w.addr("c", "c1", "198.51.100.2/24")
	w.addr("r", "w1", "198.51.100.1/24")
	w.addr("c", "lo", "10.1.1.1/32")
	w.addr("r", "lan0", "203.0.113.1/24")
	w.addr("s", "s0", "203.0.113.8/24")
	r := w.gateway("203.0.113.0/24", "192.0.2.1")
	r.Src = ip("10.1.1.1")
	w.routeAdd("c", r)
	w.route("r", "10.1.1.1", "198.51.100.2")
	w.route("s", "default", "203.0.113.1")
	w.warm("c", "203.0.113.8")
}

// uplinked makes hv with the device up0, at whose other end out has the address 192.0.2.1.
func (w *world) uplinked() {
	w.ns("hv", "out")
	w.veth("hv", "up0", "out", "out0")
	w.addr("out", "out0", "192.0.2.1/24", "2001:db8:2::1/64")
}
