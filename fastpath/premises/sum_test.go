// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
)

// attr encodes an attribute.
func attr(kind uint16, data ...byte) []byte {
	out := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	out = append(binary.NativeEndian.AppendUint16(out, kind), data...)
	return append(out, make([]byte, -len(out)&3)...)
}

// Expressions that this kernel, or nobody yet, has.
func TestUnknownExpressions(t *testing.T) {
	read := func(name string) *rule {
		expr := append(attr(1, append([]byte(name), 0)...), attr(2)...)
		return nftRule(&chain{}, 2, list(attr(1, expr...)))
	}
	if r := read("flow_offload"); !r.bypasses || len(r.acts) != 0 {
		t.Errorf("flow_offload: %+v", r)
	}
	if r := read("telepathy"); r.bypasses || len(r.acts) != 2 || !strings.Contains(r.acts[0].what, "telepathy, which is not known") {
		t.Errorf("telepathy: %+v", r)
	}
	for _, name := range []string{"nosuch"} {
		r := &rule{}
		r.ofMatch(name)
		r.ofTarget(name)
		if len(r.acts) != 4 {
			t.Errorf("%s: %+v", name, r.acts)
		}
	}
}

// What packets count does not change the sum of a table; any edit does.
func TestSum(t *testing.T) {
	name := "dwell-ps-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	shell := func(script string) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-ec", script)
		if err := ns.Do(cmd.Start); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for family, program := range map[header.Family]string{header.V4: "iptables-legacy", header.V6: "ip6tables-legacy"} {
		sum := func() (s uint64) {
			t.Helper()
			err := ns.Do(func() (err error) {
				s, err = tableSum(family, "filter")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		restore := func(counters, rules string) {
			t.Helper()
			shell(fmt.Sprintf("printf '*filter\\n:FORWARD ACCEPT %s\\n%s\\nCOMMIT\\n' | %s-restore -c", counters, rules, program))
		}
		restore("[0:0]", `[0:0] -A FORWARD -p tcp -m limit --limit 1/sec -j ACCEPT\n[0:0] -A FORWARD -j LOG`)
		first := sum()
		restore("[7:77]", `[5:6] -A FORWARD -p tcp -m limit --limit 1/sec -j ACCEPT\n[8:9] -A FORWARD -j LOG`)
		if sum() != first {
			t.Errorf("%s: counters change the sum", program)
		}
		restore("[0:0]", `[0:0] -A FORWARD -p tcp -m limit --limit 2/sec -j ACCEPT\n[0:0] -A FORWARD -j LOG`)
		if sum() == first {
			t.Errorf("%s: an edit does not change the sum", program)
		}
	}
	shell(`(echo '*filter'; i=0; while [ $i -lt 10000 ]; do echo "-A FORWARD -s 10.0.$((i/250)).$((i%250)) -p tcp -m tcp --dport 80 -j DROP"; i=$((i+1)); done; echo COMMIT) | iptables-legacy-restore`)
	err = ns.Do(func() error {
		start := time.Now()
		_, err := tableSum(header.V4, "filter")
		t.Logf("10,000 rules: %v", time.Since(start))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
