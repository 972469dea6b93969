// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// An error points at its word: in a command, in a file, in a packet, and at the end if
// something is missing.
func TestPosition(t *testing.T) {
	words := []string{"iptables", "-A", "FORWARD", "-m", "comment", "--comment", "it's red", "-s", "192.168.0.300"}
	const spelt = `iptables -A FORWARD -m comment --comment 'it'\''s red' -s 192.168.0.300`
	const file = "*filter\r\n:FORWARD ACCEPT\r\n-A FORWARD -s x\r\n"
	for _, test := range []struct {
		err  error
		text string
		want *api.Position
	}{
		{&iptables.SyntaxError{Word: 8, Column: 99, Text: "192.168.0.300"}, "", &api.Position{Text: spelt, Column: 58, Length: 13}},
		{&iptables.SyntaxError{Word: 0}, "", &api.Position{Text: spelt, Column: 0, Length: 8}},
		{&iptables.SyntaxError{Word: 6}, "", &api.Position{Text: spelt, Column: 41, Length: 13}},
		{&iptables.SyntaxError{Word: 9}, "", &api.Position{Text: spelt, Column: 72, Length: 0}},
		{&iptables.SyntaxError{Line: 3, Word: 3, Column: 14, Text: "x"}, file, &api.Position{Line: 3, Text: "-A FORWARD -s x", Column: 14, Length: 1}},
		{&iptables.SyntaxError{Line: 3, Word: 4, Column: 15}, file, &api.Position{Line: 3, Text: "-A FORWARD -s x", Column: 15}},
		{&iptables.SyntaxError{Line: 9}, file, nil},
		{&header.WordError{Index: 3, Text: "203.0.113"}, "icmp  192.0.2.1 > 203.0.113", &api.Position{Text: "icmp 192.0.2.1 > 203.0.113", Column: 17, Length: 9}},
		{errors.New("x"), file, nil},
		{&iptables.SyntaxError{Word: -1}, "", nil},
	} {
		err := fmt.Errorf("%w", &firewall.CommandError{Err: test.err})
		if diff := cmp.Diff(test.want, backend.Position(err, words, test.text)); diff != "" {
			t.Errorf("%#v: (-want +got)\n%s", test.err, diff)
		}
	}
}

// The API has the position in its answer.
func TestPositionIsAnswered(t *testing.T) {
	d := describe(t)
	for _, test := range []struct {
		err                             error
		method, path, contentType, body string
		want                            string
	}{
		{&iptables.SyntaxError{Word: 4}, http.MethodPost, "", jsonType, icmp, `"at":{"text":"iptables -A FORWARD -p icmp -j DROP","column":23,"length":4}`},
		{&iptables.SyntaxError{Word: 4}, http.MethodPost, "/check", jsonType, icmp, `"column":23`},
		{&iptables.SyntaxError{Line: 1, Column: 3, Text: "x"}, http.MethodPut, "/rules/4", textType, "-A x", `"at":{"line":1,"text":"-A x","column":3,"length":1}`},
		{&iptables.SyntaxError{Line: 2, Column: 3, Text: "x"}, http.MethodPost, "/check", jsonType, `{"family":4,"text":"\n-A x"}`, `"at":{"line":2,"text":"-A x","column":3,"length":1}`},
		{&header.WordError{Index: 1}, http.MethodPost, "/explain", jsonType, `{"packet":"icmp x"}`, `"at":{"text":"icmp x","column":5,"length":1}`},
	} {
		s := start(t, backend.ServerOptions{Firewall: &fakeFirewall{err: &firewall.CommandError{Err: test.err}}})
		a := askRaw(s.socket, requestOf(test.method, red+test.path, test.contentType, test.body))
		if a.code() != api.CodeSyntax || !strings.Contains(a.Body, test.want) {
			t.Errorf("%s %s: %s, want %s", test.method, test.path, a.Body, test.want)
		}
		d.checkAnswer(t, test.method, red+test.path, a)
	}
}

// A shell that is given what was spelt has the same words.
func TestSpell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[ -~éß]{0,12}`), 1, 5).Draw(t, "words")
		out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+backend.Spell(words)).Output()
		if err != nil || string(out) != strings.Join(words, "\n")+"\n" {
			t.Errorf("%s: %q, %v", backend.Spell(words), out, err)
		}
	})
}
