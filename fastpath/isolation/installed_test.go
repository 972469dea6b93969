// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// hostRules is a table filter with the operator's rules and, in place of @, dwell's chains.
func hostRules(t *testing.T, forward, chains string) *iptables.Save {
	t.Helper()
	text := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n"
	for line := range strings.Lines(chains) {
		if name, ok := strings.CutPrefix(line, "-A "); ok {
			if name, _, _ = strings.Cut(name, " "); !strings.Contains(text, ":"+name+" ") {
				text += ":" + name + " - [0:0]\n"
			}
		}
	}
	text += forward + `-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -j DOCKER
-A FORWARD -i br-blue -j ACCEPT
-A DOCKER -d 192.168.1.9/32 -p tcp -m tcp --dport 80 -j ACCEPT
` + chains + "COMMIT\n"
	save, err := iptables.ReadSave(header.V4, text)
	if err != nil {
		t.Fatal(err)
	}
	return save
}

const (
	dwellJump = "-A FORWARD -j dwell\n"
	redChains = `-A dwell -i br-red -j dwell-red-from
-A dwell -o br-red -j dwell-red-to
-A dwell-red-from -j dwell-red
-A dwell-red-to -i br-red -j RETURN
-A dwell-red-to -j dwell-red
`
)

// Whatever is in red's chains is safe; whatever others' packets pass is found.
func TestInstalled(t *testing.T) {
	t.Parallel()
	plain := func() *iptables.Save { return hostRules(t, "", "") }
	red := func(rules string) *iptables.Save { return hostRules(t, dwellJump, redChains+rules) }
	accepting := plain()
	accepting.Table("filter").Chain("FORWARD").Policy = "ACCEPT"
	for name, c := range map[string]struct {
		before, after *iptables.Save
		whose         string
	}{
		"the first rule of all":  {plain(), red("-A dwell-red -p icmp -j DROP\n"), ""},
		"the last one goes":      {red("-A dwell-red -p icmp -j DROP\n"), plain(), ""},
		"another rule":           {red("-A dwell-red -p icmp -j DROP\n"), red("-A dwell-red -m limit --limit 1/sec -j LOG\n-A dwell-red -j DROP\n"), ""},
		"nothing":                {plain(), plain(), ""},
		"a rule in FORWARD":      {plain(), hostRules(t, "-A FORWARD -p icmp -j DROP\n", ""), "blue"},
		"a guard is missing":     {plain(), hostRules(t, dwellJump, "-A dwell -j dwell-red\n-A dwell-red -p icmp -j DROP\n"), "blue"},
		"the wrong device":       {plain(), hostRules(t, dwellJump, "-A dwell -i br-blue -j dwell-red\n-A dwell-red -p icmp -j DROP\n"), "blue"},
		"a device of nobody's":   {plain(), hostRules(t, dwellJump, "-A dwell -i docker0 -o ens3 -j dwell-red\n-A dwell-red -j DROP\n"), NobodyKnown},
		"reached from elsewhere": {red("-A dwell-red -j DROP\n"), red("-A dwell-red -j DROP\n-A DOCKER -j dwell-red\n"), "blue"},
		"counted elsewhere":      {red(""), red("-A DOCKER -j dwell-red\n"), "blue"},
		"the policy":             {plain(), accepting, "blue"},
		"RETURN in FORWARD":      {plain(), hostRules(t, "-A FORWARD -s 192.168.1.0/24 -j RETURN\n", ""), "blue"},
	} {
		w, exact := Installed(testHost(), "red", c.before, c.after)
		if !exact || (w == nil) != (c.whose == "") || w != nil && w.Whose != c.whose {
			t.Errorf("%s: got %+v, exact %t, want %q", name, w, exact, c.whose)
		}
	}
}
