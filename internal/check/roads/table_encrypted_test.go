// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"crypto/ecdh"
	"crypto/rand"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// encryptedRoads are tunnels whose packets cannot be read on the way.
func encryptedRoads() []road {
	return []road{
		{
			name: "wireguard", what: "WireGuard across a router", needs: []string{"wireguard"},
			setup: func(w *world) { w.wireGuards(); w.warm("a", "198.18.8.2") },
			pings: []traffic{{from: "a", to: "198.18.8.2", src: "198.18.8.1", want: way("[{1}] transmit wg0 | …[{2}] …deliver")}},
		},
		{
			name: "esp-tunnel", what: "ESP in tunnel mode, between two routers' addresses", needs: []string{"esp4"},
			setup: func(w *world) {
				w.routed()
				w.addr("a", "lo", "198.18.8.1/32")
				w.addr("b", "lo", "198.18.8.2/32")
				for x, far := range map[string]string{"a": "198.18.8.2", "b": "198.18.8.1"} {
					r := w.gateway(far, map[string]string{"a": "198.18.1.1", "b": "198.18.2.1"}[x])
					r.Src = ip(map[string]string{"a": "198.18.8.1", "b": "198.18.8.2"}[x])
					w.routeAdd(x, r)
				}
				w.esp(netlink.XFRM_MODE_TUNNEL, "198.18.8.1", "198.18.8.2")
				w.warm("a", "198.18.8.2")
			},
			pings: []traffic{{from: "a", to: "198.18.8.2", src: "198.18.8.1", want: want{outcome: "incomplete", cause: "unseen", answers: 5}}},
		},
		{
			name: "esp-transport", what: "ESP in transport mode", needs: []string{"esp4"},
			setup: func(w *world) {
				w.routed()
				w.esp(netlink.XFRM_MODE_TRANSPORT, "198.18.1.2", "198.18.2.2")
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: want{outcome: "incomplete", cause: "no_request", answers: 5}}},
		},
	}
}

// wireGuards joins a and b of routed.
func (w *world) wireGuards() {
	w.routed()
	const port = 51820
	keys := map[string]*ecdh.PrivateKey{}
	for _, x := range []string{"a", "b"} {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		w.must(err, "key")
		keys[x] = k
		w.link(x, &netlink.Wireguard{LinkAttrs: named("wg0")})
	}
	for _, x := range []string{"a", "b"} {
		n, other, far := "1", "2", "b"
		if x == "b" {
			n, other, far = other, n, "a"
		}
		_, remote := ends(x)
		w.wireGuard(x, "wg0", keys[x].Bytes(), port, wireGuardPeer{
			public: keys[far].PublicKey().Bytes(), endpoint: netip.MustParseAddr(remote).As4(), port: port,
			allowed: netip.MustParseAddr("198.18.8." + other).As4(),
		})
		w.addr(x, "wg0", "198.18.8."+n+"/24")
	}
}

// esp encrypts what goes between two addresses of a and b (AES-GCM, RFC 4106).
func (w *world) esp(mode netlink.Mode, aAddr, bAddr string) {
	key := make([]byte, 20)
	aEnd, bEnd := ends("a")
	for _, d := range []struct {
		src, dst, from, to string
		spi                int
		sender             string
	}{{aEnd, bEnd, aAddr, bAddr, 0x101, "a"}, {bEnd, aEnd, bAddr, aAddr, 0x102, "b"}} {
		for _, x := range []string{"a", "b"} {
			w.must(w.at(x).Do(func() error {
				return netlink.XfrmStateAdd(&netlink.XfrmState{
					Src: ip(d.src), Dst: ip(d.dst), Proto: netlink.XFRM_PROTO_ESP, Mode: mode, Spi: d.spi, Reqid: 1,
					Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: key, ICVLen: 128},
				})
			}), "xfrm state")
			dir := netlink.XFRM_DIR_IN
			if x == d.sender {
				dir = netlink.XFRM_DIR_OUT
			}
			w.must(w.at(x).Do(func() error {
				return netlink.XfrmPolicyAdd(&netlink.XfrmPolicy{
					Src: ipNet(prefixOf(d.from)), Dst: ipNet(prefixOf(d.to)), Dir: dir,
					Tmpls: []netlink.XfrmPolicyTmpl{{Src: ip(d.src), Dst: ip(d.dst), Proto: netlink.XFRM_PROTO_ESP, Mode: mode, Reqid: 1}},
				})
			}), "xfrm policy")
		}
	}
}
