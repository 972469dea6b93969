// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// TestOwnCorpus puts rules of testdata into the installed iptables, of both kinds.
func TestOwnCorpus(t *testing.T) {
	privilegetest.NetNS(t)
	var out, errs bytes.Buffer
	if err := run(context.Background(), []string{"-v", "-dir", "testdata"}, &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	for l := range strings.SplitSeq(out.String(), "\n") {
		switch {
		case strings.Contains(l, "only iptables takes:"):
			t.Error(l)
		case strings.HasPrefix(l, "legacy  lines"), strings.HasPrefix(l, "nft     lines"):
			t.Log(l)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^(legacy|nft) +lines \d{3} .* understood 2\d\d `).FindAllString(out.String(), -1)); n != 2 {
		t.Errorf("not all rules were put into both kinds of iptables:\n%s", &out)
	}
}

func TestFiles(t *testing.T) {
	lines := extensionLines("# x\n:INPUT,FORWARD\n-j DROP;=;OK\n*mangle\n:OUTPUT\n@x\n-j MARK --set-mark 1;;FAIL\n")
	if len(lines) != 3 || lines[1] != (line{"filter", "FORWARD", "-j DROP", true}) || lines[2].table != "mangle" {
		t.Errorf("%+v", lines)
	}
	if got := read("x.txt", []byte("just text")); got != nil {
		t.Errorf("%+v", got)
	}
	f := read("a/ip6tables-save", []byte("*filter\n:own - [0:0]\n[1:2] -A own -j DROP\nCOMMIT\n"))
	if len(f) != 1 || f[0].family != 6 || len(f[0].lines) != 1 || f[0].own["filter"][0] != "own" || f[0].lines[0].text != "-j DROP" {
		t.Errorf("%+v", f)
	}
}

func TestWithoutDirectory(t *testing.T) {
	if err := run(context.Background(), nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Error(err)
	}
}
