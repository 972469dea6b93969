// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// BenchmarkRestore10000 reads, edits and translates 10,000 rules, as a restore does.
func BenchmarkRestore10000(b *testing.B) {
	var text strings.Builder
	text.WriteString("*filter\n:FORWARD DROP [0:0]\n")
	for i := range 10000 {
		fmt.Fprintf(&text, "-A FORWARD -s 10.%d.%d.0/24 -p tcp -m conntrack --ctstate NEW -m tcp --dport %d -j ACCEPT\n", i>>8, i&0xff, i+1)
	}
	text.WriteString("COMMIT\n")
	for b.Loop() {
		s, err := iptables.ParseSave(header.V4, text.String())
		if err != nil {
			b.Fatal(err)
		}
		c := iptables.NewChains(header.V4)
		if err := c.Restore(s); err != nil {
			b.Fatal(err)
		}
		if set, _ := c.Lower(devices); len(set.Chains["FORWARD"].Rules) != 10000 {
			b.Fatal("rules are missing")
		}
	}
}
