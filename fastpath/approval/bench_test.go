// SPDX-License-Identifier: Apache-2.0

package approval_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/approval"
)

// many are 10,000 rules, no two alike.
func many(line string) string {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, line+"\n", i%250, i/250, 1000+i)
	}
	return b.String()
}

// BenchmarkJudge is about one flow, of which both directions are asked.
func BenchmarkJudge(b *testing.B) {
	const accept = "-A FORWARD -s 10.%d.%d.0/24 -p tcp -m tcp --dport %d -j ACCEPT"
	for name, c := range map[string]struct{ foreign, own string }{
		"nothing":                         {"", ""},
		"10,000 rules of the tenant":      {"", many(accept)},
		"10,000 rules of others":          {many(accept), ""},
		"10,000 before a log":             {many(accept) + "-A FORWARD -p udp -j LOG\n", ""},
		"10,000 after established":        {"-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n" + many(accept) + "-A FORWARD -j LOG\n", ""},
		"10,000 of both kinds and limits": {many("-A FORWARD -s 10.%d.%d.0/24 -p tcp -m tcp --dport %d -m limit --limit 1/s -j ACCEPT"), many(accept)},
	} {
		for _, kind := range []string{"legacy", "nft"} {
			ns := space(b)
			if c.foreign != "" {
				file := filepath.Join(b.TempDir(), "rules")
				if err := os.WriteFile(file, []byte("*filter\n:FORWARD ACCEPT [0:0]\n"+c.foreign+"COMMIT\n"), 0o600); err != nil {
					b.Fatal(err)
				}
				run(b, ns, "iptables-"+kind+"-restore "+file)
			}
			in := inputs(b, ns)
			if c.own != "" {
				set, forward, _ := (&firewall{rules: map[uint32]string{redNumber: c.own}}).InForce(redNumber, 4)
				in.Firewall = &ready{set, forward}
			}
			b.Run(name+"/"+kind+"/build", func(b *testing.B) {
				for b.Loop() {
					approval.New(in)
				}
			})
			p := approval.New(in)
			forth, back := flows(6, "203.0.113.8", 80)
			b.Run(name+"/"+kind+"/judge", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d := p.Judge(forth, back); !d.OK {
						b.Fatal(d)
					}
				}
			})
		}
	}
}
