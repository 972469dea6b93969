// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// tenantFile writes a file of a tenant as one should: under another name first.
func tenantFile(t *testing.T, dir, name, text string) {
	t.Helper()
	hidden := filepath.Join(dir, "."+name)
	err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(hidden, []byte(text), 0o644), os.Rename(hidden, filepath.Join(dir, name)))
	if err != nil {
		t.Fatal(err)
	}
}

// inForce returns the tenants that the agent knows.
func (f *fakeAgent) inForce() *tenant.Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tenants
}

// awaitTenants waits until these are in force, in order.
func (l *life) awaitTenants(ids ...string) {
	l.t.Helper()
	until(l.t, "in force are "+strings.Join(ids, ", "), func() bool {
		return slices.Equal(l.agent.inForce().IDs(), ids) && int(l.tenancy.count.Load()) == len(ids)
	})
}

// awaitLog waits until the log says each of the words.
func (l *life) awaitLog(words ...string) {
	l.t.Helper()
	until(l.t, "the log says "+strings.Join(words, ", "), func() bool {
		text := l.log.String()
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
}

// Tenants come from the configuration and from the directory, at the start, while it runs
// and by a reload; what is refused is said once, and counted.
func TestTenancy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants.d")
	text := "tenancy: {dir: " + dir + "}\n"
	l := live(t, text+"tenants: [{id: first, ports: [tap0]}]\n")
	l.awaitTenants("first")
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\n")
	l.awaitTenants("first", "red")
	l.awaitLog("level=INFO msg=tenants in_force=2 refused=0")
	l.log.take()
	tenantFile(t, dir, "red.yaml", "port: [tap1]\n")
	tenantFile(t, dir, "blue.yaml", "ports: [tap2]\n")
	l.awaitTenants("blue", "first", "red")
	l.awaitLog("level=ERROR msg=\"tenant refused; the earlier definition stays in force\" file="+dir+"/red.yaml", "red.yaml:1:1: port: there is no such setting", "in_force=3 refused=1")
	if owned, _ := l.agent.inForce().Get("red"); !slices.Equal(owned.Ports, []string{"tap1"}) {
		t.Errorf("red owns %v", owned.Ports)
	}
	if got := l.stats().Tenants; got.InForce != 3 || got.Refused != 1 {
		t.Errorf("counted are %+v", got)
	}
	says(t, l.reload(text+"log: {level: debug}\n"), "changed=\"tenants, log.level\"")
	l.awaitTenants("blue", "red")
	if n := strings.Count(l.log.String(), "there is no such setting"); n > 0 {
		t.Errorf("said %d times more", n)
	}
	// The configuration must not take what is in force.
	says(t, l.reload(text+"tenants: [{id: late, ports: [tap1]}]\n"), "level=ERROR", "old one stays in force", "tap1 belongs to tenant late", "red.yaml:1")
	l.awaitTenants("blue", "red")
	tenantFile(t, dir, "red.yaml", "ports: [tap3]\n")
	l.awaitLog("tenant no longer refused")
	says(t, l.reload(text+"tenants: [{id: late, ports: [tap1]}]\n"), "changed=\"tenants, log.level\"")
	l.awaitTenants("blue", "late", "red")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.awaitTenants("late")
	says(t, l.reload(""), "changed=\"tenancy.dir, tenants\"")
	l.awaitTenants()
	if l.tenancy.watcher != nil {
		t.Error("the directory is still watched")
	}
}

// A file that is refused at the start keeps every tenant from being in force, and tracing
// goes on; when it is mended they are.
func TestRefusedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	tenantFile(t, dir, "red.yaml", "port: [tap1]\n")
	tenantFile(t, dir, "blue.yaml", "ports: [tap2]\n")
	l := live(t, "tenancy: {dir: "+dir+"}\ntenants: [{id: first, ports: [tap0]}]\n")
	l.awaitTenants()
	l.awaitLog("tenant refused; it has no tenant", "red.yaml:1:1", "no tenant is in force, because nothing is known")
	if status, _ := l.get("/readyz"); status != 200 {
		t.Errorf("not ready: %d", status)
	}
	says(t, l.reload("tenancy: {dir: "+dir+"}\nlog: {level: debug}\n"), "configuration reloaded")
	l.awaitTenants()
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\n")
	l.awaitTenants("blue", "red")
}

// Another directory is not taken if nothing is known of a file in it.
func TestAnotherDirectory(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\n")
	tenantFile(t, other, "blue.yaml", "port: [tap1]\n")
	l := live(t, "tenancy: {dir: "+dir+"}\n")
	says(t, l.reload("tenancy: {dir: "+other+"}\n"), "old one stays in force", "tenancy.dir: not taken", "blue.yaml:1:1: port")
	l.awaitTenants("red")
	tenantFile(t, dir, "green.yaml", "ports: [tap2]\n") // which is still watched
	l.awaitTenants("green", "red")
	tenantFile(t, other, "blue.yaml", "ports: [tap1]\n")
	says(t, l.reload("tenancy: {dir: "+other+"}\n"), "changed=tenancy.dir")
	l.awaitTenants("blue")
	tenantFile(t, other, "white.yaml", "ports: [tap2]\n")
	l.awaitTenants("blue", "white")
}

// A tenant whose endpoint names a file that is not there has no export; that is said once,
// however often the directory is read.
func TestBadExportIsSaidOnce(t *testing.T) {
	dir := t.TempDir()
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\nexport: {otlp: [{endpoint: 'https://127.0.0.1:1', tls: {ca_file: /nowhere}}]}\n")
	l := live(t, "tenancy: {dir: "+dir+"}\n")
	l.awaitTenants("red")
	l.awaitLog("the export to a tenant stays as it was", "/nowhere")
	tenantFile(t, dir, "blue.yaml", "ports: [tap2]\n")
	l.awaitTenants("blue", "red")
	if n := strings.Count(l.log.String(), "/nowhere"); n != 1 {
		t.Errorf("said %d times:\n%s", n, l.log)
	}
}

// What two tenants claim is said once for as long as they do.
func TestConflictsAreLogged(t *testing.T) {
	l := live(t, "")
	claim := func(devices ...string) string {
		l.agent.set(func(f *fakeAgent) {
			f.status.Tenants.Conflicts = nil
			for _, name := range devices {
				f.status.Tenants.Conflicts = append(f.status.Tenants.Conflicts, inventory.Conflict{NetNS: "host", Device: name})
			}
		})
		l.log.take()
		l.logTroubles()
		return l.log.take()
	}
	says(t, claim("tap1"), "level=WARN", "device tap1 in network namespace host")
	if said := claim("tap1", "tap2"); strings.Contains(said, "tap1") || !strings.Contains(said, "tap2") {
		t.Errorf("said %s", said)
	}
	if said := claim("tap1"); said != "" {
		t.Errorf("said %s", said)
	}
	says(t, claim(), "level=INFO", "no two tenants claim")
	says(t, claim("tap1"), "level=WARN")
	if got := l.stats().Tenants.Conflicts; got != 1 {
		t.Errorf("%d conflicts are counted", got)
	}
}

// References of tenants that match nothing are logged when that changes, and not all of very many.
func TestUnmatchedReferencesAreLogged(t *testing.T) {
	l := live(t, "")
	lacks := func(refs ...tenant.Ref) string {
		l.agent.set(func(f *fakeAgent) { f.status.Tenants.Unmatched = refs })
		l.log.take()
		l.logTroubles()
		return l.log.take()
	}
	port := tenant.Ref{Tenant: "red", Field: "ports", Name: "tap-rde-*"}
	says(t, lacks(port), "level=WARN", "count=1", "red: ports: tap-rde-*")
	if said := lacks(port); said != "" {
		t.Errorf("said again: %s", said)
	}
	many := slices.Repeat([]tenant.Ref{port}, 1000)
	said := lacks(many...)
	says(t, said, "count=1000")
	if n := strings.Count(said, "tap-rde-*"); n != mostUnmatched {
		t.Errorf("%d names in one line", n)
	}
	says(t, lacks(), "level=INFO", "every reference")
	if got := l.stats().Tenants.Unmatched; got != 0 {
		t.Errorf("%d are counted", got)
	}
}

// A check is strict: every file must be good.
func TestCheckOfTenants(t *testing.T) {
	dir := t.TempDir()
	check := func() (string, error) {
		file := filepath.Join(dir, "dwell.yaml")
		text := "tenants: [{id: first, ports: [tap0]}]\ntenancy: {dir: " + dir + "/tenants.d}\napi: {socket: " + dir + "/agent.sock}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		lines, err := Check(Options{File: file, Resource: otlpOptions()})
		return strings.Join(lines, "\n"), err
	}
	said, err := check()
	if err != nil {
		t.Error(err)
	}
	says(t, said, "tenants:  1\n", "api:      unix://"+dir+"/agent.sock")
	tenantFile(t, dir+"/tenants.d", "red.yaml", "ports: [tap1]\n")
	if said, err = check(); err != nil {
		t.Error(err)
	}
	says(t, said, "tenants:  2, of which 1 in "+dir+"/tenants.d\n")
	tenantFile(t, dir+"/tenants.d", "red.yaml", "ports: [tap1]\nexport: {otlp: [{endpoint: 'tempo:4317'}]}\n")
	if said, err = check(); err != nil {
		t.Error(err)
	}
	says(t, said, "/tenants.d; the traces of 1 are sent to endpoints of their own\n")
	for text, want := range map[string]string{
		"ports: [tap1]\nbridge: [b]\n": "red.yaml:2:1: bridge: there is no such setting; did you mean bridges?",
		"ports: [tap1]\nexport: {otlp: [{endpoint: a, tls: {ca_file: /nowhere}}]}\n": "red.yaml:2:9: export: tenant red: export.otlp[0].tls.ca_file: open /nowhere",
		"ports: [tap0]\n": "port tap0 belongs to tenant first (" + dir + "/dwell.yaml:1) and to tenant red (" + dir + "/tenants.d/red.yaml:1)",
	} {
		tenantFile(t, dir+"/tenants.d", "red.yaml", text)
		if _, err := check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	tenantFile(t, dir+"/tenants.d", "red.yaml", "ports: [tap1]\nexport: {spool: {dir: "+dir+"/dwell.yaml}}\n")
	if said, err = check(); err != nil { // traces are sent without it
		t.Error(err)
	}
	says(t, said, "warning: ", "red.yaml:2:23: export.spool.dir: "+dir+"/dwell.yaml is not a directory")
}

// A file that gives access to the number of those who have none is refused by itself: it keeps
// neither the agent from starting nor other tenants from being changed.
func TestAccessOfNobody(t *testing.T) {
	dir := t.TempDir()
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\n")
	l := live(t, "api: {socket: "+filepath.Join(t.TempDir(), "agent.sock")+"}\ntenancy: {dir: "+dir+"}\n")
	l.awaitTenants("red")
	tenantFile(t, dir, "blue.yaml", "{ports: [tap2], access: {gids: [65534]}}\n")
	tenantFile(t, dir, "green.yaml", "ports: [tap3]\n")
	l.awaitTenants("green", "red")
	l.awaitLog("tenant refused", "blue.yaml:1:33: access.gids[0]: 65534 stands for everyone whom the kernel cannot name")
}

// While the API's certificate is being renewed, a tenant can be removed all the same; a reload
// tells what is wrong.
func TestTenantsChangeWhileACertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	tenants := filepath.Join(dir, "tenants.d")
	cert, key := keyPair(t, dir)
	text := "api: {listen: '127.0.0.1:0', tls: {cert_file: " + cert + ", key_file: " + key + ", client_ca_file: " + cert + "}}\n" +
		"tenancy: {dir: " + tenants + "}\n"
	tenantFile(t, tenants, "red.yaml", "ports: [tap1]\n")
	tenantFile(t, tenants, "blue.yaml", "ports: [tap2]\n")
	l := live(t, text)
	l.awaitTenants("blue", "red")
	if err := os.WriteFile(cert, []byte("half of a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(tenants, "red.yaml")); err != nil {
		t.Fatal(err)
	}
	l.awaitTenants("blue")
	says(t, l.reload(text), "the old one stays in force", "the certificate of the API")
}
