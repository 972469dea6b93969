// SPDX-License-Identifier: Apache-2.0

package premises_test

import (
	"context"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/fastpath/premises"
)

// What changes is noticed: of nf_tables and routing as it happens, of legacy iptables,
// settings and programs at netfilter's hooks within seconds. What packets count is not a change.
func TestWatch(t *testing.T) {
	ns := space(t)
	run(t, ns, "iptables-legacy -A FORWARD -j ACCEPT; ip6tables-legacy -t mangle -A FORWARD -j ACCEPT; ip link set lo up")
	ctx, cancel := context.WithCancel(t.Context())
	calls, done := make(chan struct{}, 1000), make(chan error)
	go func() { done <- premises.Watch(ctx, ns, func() { calls <- struct{}{} }) }()
	<-calls
	quiet := func() {
		for {
			select {
			case <-calls: // of what came before
			default:
				return
			}
		}
	}
	for _, change := range []string{
		"nft add table ip t",
		"nft 'add chain ip t c { type nat hook prerouting priority 0; }'",
		"iptables-nft -A FORWARD -j ACCEPT",
		"ip rule add fwmark 7 table 7",
		"ip route add 203.0.113.0/24 dev lo mtu 1300",
		"ip -6 rule add fwmark 7 table 7",
		"iptables-legacy -A FORWARD -s 192.0.2.1 -j ACCEPT",
		"ip6tables-legacy -t mangle -I FORWARD -j DROP",
		"iptables-legacy -R FORWARD 2 -s 192.0.2.2 -j ACCEPT",
		"iptables-legacy -t nat -A PREROUTING -j ACCEPT",
		"echo 1 >/proc/sys/net/ipv4/ip_forward",
		"echo 1 >/proc/sys/net/ipv4/conf/lo/rp_filter",
		"ip route add 198.51.100.0/24 dev lo",
	} {
		quiet()
		start := time.Now()
		run(t, ns, change)
		<-calls
		t.Logf("%v: %s", time.Since(start).Round(time.Millisecond), change)
	}
	for range 2 {
		quiet()
		l := hook(t, ns, "shaper", 7)
		<-calls
		quiet()
		l.Close()
		<-calls
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
