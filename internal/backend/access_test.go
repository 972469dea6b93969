// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// public returns the path of a socket in a directory that every user may enter.
func public(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "agent.sock")
}

// anyone lets every user connect, so that only the policy is left.
func anyone(t *testing.T, s *setup) {
	t.Helper()
	if err := os.Chmod(s.socket, 0o666); err != nil {
		t.Fatal(err)
	}
}

func manyGroups(last uint32) (groups []uint32) {
	for g := range uint32(200) {
		groups = append(groups, 100_000+g)
	}
	return append(groups, last)
}

// ownPaths are those of a tenant.
func ownPaths(id string) []string {
	base := api.TenantPath(id)
	return []string{base, base + "/summary", base + "/pings", base + "/probes", base + "/traces", base + "/traces/" + strings.Repeat("0", 32)}
}

func operatorPaths() []string {
	return []string{api.PathSummary, api.PathPings, api.PathProbes, api.PathTraces, api.PathTraces + "/" + strings.Repeat("0", 32)}
}

// Whoever connects sees what its user and its groups may see, and cannot tell what it may not
// see from what does not exist.
func TestWhoMayAsk(t *testing.T) {
	privilegetest.NetNS(t) // to be other users
	s := start(t, backend.ServerOptions{Socket: public(t)})
	anyone(t, s)
	s.hub.Take("red", some(4))
	s.hub.Take("blue", some(4))
	for _, test := range []struct {
		who  who
		sees []string
	}{
		{who{5001, 7000, nil}, []string{"red"}},
		{who{5002, 7000, nil}, []string{"blue"}},
		{who{7000, 6001, nil}, []string{"red"}},
		{who{7000, 7000, []uint32{6002}}, []string{"blue"}},
		{who{7000, 7000, []uint32{1, 6001, 6002}}, []string{"blue", "red"}},
		{who{7000, 7000, manyGroups(6001)}, []string{"red"}},
		{who{5001, 6002, nil}, []string{"blue", "red"}},
		{who{6001, 5001, []uint32{5002}}, nil}, // numbers of users are not those of groups
		{who{7000, 7000, nil}, nil},
		{who{7000, 0, []uint32{0}}, nil}, // root's group is not root
	} {
		checkWho(t, s, test.who, test.sees)
	}
}

// checkWho has a process of that user ask for everything.
func checkWho(t *testing.T, s *setup, w who, sees []string) {
	t.Helper()
	before := s.server.Stats().Refused[api.CodeNotYours]
	paths := append([]string{api.PathTenants}, operatorPaths()...)
	for _, id := range []string{"green", "red", "blue"} {
		paths = append(paths, ownPaths(id)...)
	}
	answers := w.ask(t, s.socket, paths...) // all by one process, because to start one takes long
	var seen api.Tenants
	if err := json.Unmarshal([]byte(answers[0].Body), &seen); err != nil {
		t.Fatalf("%v: %v: %+v", w, err, answers[0])
	}
	var ids []string
	for _, tenant := range seen.Tenants {
		ids = append(ids, tenant.ID)
	}
	if diff := cmp.Diff(sees, ids); diff != "" || seen.Operator {
		t.Errorf("%v: tenants, and operator %t (-want +got):\n%s", w, seen.Operator, diff)
	}
	operator, unknown := answers[1:6], answers[6:12]
	refused := slices.Concat(operator, unknown)
	for i, id := range []string{"red", "blue"} {
		own := answers[12+6*i:][:6]
		if slices.Contains(sees, id) {
			checkSeen(t, w, own)
			continue
		}
		if diff := cmp.Diff(unknown, own); diff != "" {
			t.Errorf("%v can tell %s from a tenant that does not exist:\n%s", w, id, diff)
		}
		refused = append(refused, own...)
	}
	for _, a := range refused {
		if a.Status != 403 || a.code() != api.CodeNotYours {
			t.Errorf("%v: %d %s", w, a.Status, a.Body)
		}
	}
	if got := s.server.Stats().Refused[api.CodeNotYours] - before; got != uint64(len(refused)) {
		t.Errorf("%v: %d refusals are counted, want %d", w, got, len(refused))
	}
}

// checkSeen expects answers to the paths of a tenant: all but the trace, which there is not.
func checkSeen(t *testing.T, w who, answers []answer) {
	t.Helper()
	for i, a := range answers {
		if want := []int{200, 200, 200, 200, 200, 404}[i]; a.Status != want {
			t.Errorf("%v: path %d is answered with %d %s", w, i, a.Status, a.Body)
		}
	}
}

// Only an operator is told that a tenant does not exist.
func TestOperator(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	for _, path := range ownPaths("green") {
		if a := ask(s.socket, path); a.Status != 404 || a.code() != api.CodeUnknownTenant {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if n := s.server.Stats().Refused[api.CodeUnknownTenant]; n != 6 {
		t.Errorf("%d are counted", n)
	}
}

// The socket lets its owner and its group connect, and nobody else.
func TestGroupOfTheSocket(t *testing.T) {
	privilegetest.NetNS(t) // to be other users
	s := start(t, backend.ServerOptions{Socket: public(t), Group: "7001"})
	info, err := os.Stat(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o660 {
		t.Errorf("the socket has mode %o", mode)
	}
	if a := (who{5001, 7000, []uint32{7001}}).ask(t, s.socket, api.TenantPath("red"))[0]; a.Status != 200 {
		t.Errorf("a member of the group: %+v", a)
	}
	if a := (who{5001, 7000, nil}).ask(t, s.socket, api.TenantPath("red"))[0]; !strings.Contains(a.Err, "permission denied") {
		t.Errorf("not a member of the group: %+v", a)
	}
	if _, err := backend.Serve(backend.ServerOptions{Hub: s.hub, Socket: public(t), Group: "no-such-group"}); err == nil {
		t.Error("a group that does not exist is taken")
	}
}

// A number that the kernel shows for everyone it cannot name is nobody's right.
func TestUnmappedIsNobody(t *testing.T) {
	privilegetest.NetNS(t) // to be other users
	p := policy()
	p.Tenants["red"] = backend.Access{UIDs: []uint32{65534}}
	if _, err := backend.Serve(backend.ServerOptions{Hub: backend.NewHub(backend.HubOptions{}), Policy: p}); err == nil || !strings.Contains(err.Error(), "65534") {
		t.Errorf("%v", err)
	}
	s := start(t, backend.ServerOptions{Socket: public(t)})
	anyone(t, s)
	if a := (who{65534, 6001, nil}).ask(t, s.socket, api.TenantPath("red"))[0]; a.Err == "" {
		t.Errorf("%+v", a)
	}
	if n := s.server.Stats().Refused[api.ReasonNoCredentials]; n != 1 {
		t.Errorf("%d are counted", n)
	}
}
