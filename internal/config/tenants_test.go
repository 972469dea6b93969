// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenant"
)

const tenants = `
tenants:
  - id: red
    ports: [tap-red-*, tap1]
    bridges: [br-red]
    prefixes: [192.0.2.0/24, 2001:db8::1]
    netns: [red]
    containers: [web]
    vms: [vm1]
    neutron_ports: [2b1fb1b1-2fb1-4ac4-8f23-6e2a7b0c1d2e]
    access: {uids: [1001], gids: [0, 4294967294], certificates: [red.example.net]}
    export:
      queue: {spans: 7}
      otlp:
        - endpoint: https://red.example.net
          headers: {tenant: "<${tenant}>"}
    sampling: {keep_slower_than: 1ms}
  - {id: blue, ports: [tap-blue-*]}
tenancy:
  dir: /etc/dwell/tenants.d
  shared: [qrouter-*]
  uplinks: [ens3]
  export:
    otlp:
      - endpoint: tempo
        headers: {x-scope-orgid: "${tenant}", token: "${env:TOKEN}"}
      - endpoint: b:1
        timeout: 3s
    queue: {spans: 5, delay: 1s}
    spool: {dir: /tenants}
  sampling: {ratio: 0.5}
api: {socket: /run/dwell/agent.sock, operators: {gids: [27]}}
`

// Every setting of a tenant is read, and what it leaves out is what all tenants have,
// wherever in the file that stands and whatever a variable makes of it.
func TestTenants(t *testing.T) {
	loaded := parse(t, tenants, "TOKEN=t", "DWELL_TENANCY_EXPORT_QUEUE_BATCH_SPANS=3")
	red, blue := loaded.Tenants[0], loaded.Tenants[1]
	set, err := loaded.NewSet(loaded.Definitions())
	if err != nil || !slices.Equal(set.Shared(), []string{"qrouter-*"}) {
		t.Errorf("shared %v, %v", set.Shared(), err)
	}
	uplink := false
	set.MatchUplink("ens3", func(*tenant.Ref) { uplink = true })
	if !uplink {
		t.Error("ens3 is not an uplink")
	}
	owned := loaded.Definitions()[0].Owned()
	got := []any{owned.ID, owned.Origin, owned.Ports, owned.Bridges, len(owned.Prefixes), owned.NetNS, owned.Containers, owned.VMs, owned.NeutronPorts}
	want := []any{"red", "f:3", []string{"tap-red-*", "tap1"}, []string{"br-red"}, 2, []string{"red"}, []string{"web"}, []string{"vm1"}, []string{"2b1fb1b1-2fb1-4ac4-8f23-6e2a7b0c1d2e"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("owned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.Access{UIDs: []config.UserID{1001}, GIDs: []config.UserID{0, 4294967294}, Certificates: []string{"red.example.net"}}, red.Access); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
	if len(red.Export.OTLP) != 1 || red.Export.OTLP[0].Headers["tenant"].Value() != "<red>" || red.Export.OTLP[0].TLS.Insecure != config.Auto {
		t.Errorf("red's endpoints: %+v", red.Export.OTLP)
	}
	wantQueue := config.Queue{Spans: 7, BatchSpans: 3, Senders: 2, Delay: config.Duration(time.Second)}
	if red.Export.Queue != wantQueue || red.Export.Spool != loaded.Tenancy.Export.Spool || red.Export.Spool.Dir != "/tenants" {
		t.Errorf("red's queue %+v, spool %+v", red.Export.Queue, red.Export.Spool)
	}
	if want := (config.TraceSampling{Ratio: 0.5, KeepSlowerThan: config.Duration(time.Millisecond)}); red.Sampling != want || blue.Sampling.Ratio != 0.5 {
		t.Errorf("red's sampling %+v, blue's %+v", red.Sampling, blue.Sampling)
	}
	headers := blue.Export.OTLP[0].Headers
	if len(blue.Export.OTLP) != 2 || headers["x-scope-orgid"].Value() != "blue" || headers["token"].Value() != "t" || blue.Export.OTLP[1].Timeout == 0 {
		t.Errorf("blue's endpoints: %+v", blue.Export.OTLP)
	}
	again := parse(t, string(loaded.YAML()), "TOKEN=t")
	checkSame(t, again.Config, loaded.Config)
}

// Mistakes in lists of settings are reported where they stand.
func TestMistakesOfTenants(t *testing.T) {
	const in = "tenants:\n  - id: red\n    netns: [n]\n    "
	for _, tt := range []struct{ text, want string }{
		{"tenants: red\n", "f:1:10: tenants: this is a single value; it should be a list, like - id: ..."},
		{"tenants: {id: red}\n", "f:1:10: tenants: this is a block"},
		{"tenants:\n  - red\n", "f:2:5: tenants[0]: this is a single value; it should be settings, like id:"},
		{"tenants:\n  - {id: red, vms: [v]}\n  -\n", "tenants[1]: this is empty; it should be settings, like id:"},
		{in + "port: [a]\n", "f:4:5: tenants[0].port: there is no such setting; did you mean ports?"},
		{in + "acces: {}\n", "did you mean access?"},
		{in + "uids: [1]\n", "did you mean access.uids?"},
		{in + "access.uids: [1]\n", "write it as access: {uids: ...}"},
		{in + "timeout: 1s\n", "below tenants[0] you can set: id, ports,"},
		{in + "ports: [a, 'b/c']\n", "f:4:16: tenants[0].ports[1]: \"b/c\" is not a valid interface name"},
		{in + "ports: ['[']\n", "tenants[0].ports[0]: \"[\" is not a valid glob"},
		{in + "vms: ['']\n", "f:4:11: tenants[0].vms[0]: the name is empty"},
		{in + "containers: ['[']\n", "f:4:18: tenants[0].containers[0]: \"[\" is not a valid glob"},
		{in + "prefixes: [192.0.2.0/33]\n", "f:4:16: tenants[0].prefixes[0]: "},
		{"tenants:\n  - {id: red, ports: [a], prefixes: [2001:db8::/32]}\n", "f:2:38: tenants[0].prefixes[0]: this is a block of names and values; it should be a single value, so put it in quotes"},
		{"tenants:\n  - {id: red, ports: [a], prefixes: [fe80::/10]}\n", "so put it in quotes"},
		{in + "prefixes:\n    - fd00::\n", "so put it in quotes"},
		{in + "access: {uids: [-1]}\n", "f:4:21: tenants[0].access.uids[0]: \"-1\" is not a valid user"},
		{in + "access: {gids: [4294967295]}\n", "f:4:21: tenants[0].access.gids[0]: "},
		{in + "access: {uids: [root]}\n", "f:4:21: tenants[0].access.uids[0]: "},
		{in + "access: {uids: [65534]}\n", "f:4:21: tenants[0].access.uids[0]: 65534 stands for everyone whom the kernel cannot name"},
		{in + "access: {certificates: [a, ' ']}\n", "f:4:32: tenants[0].access.certificates[1]: the name is empty"},
		{in + "readers: {certificates: [a, ' ']}\n", "f:4:33: tenants[0].readers.certificates[1]: the name is empty"},
		{in + "access: {certificates: [\"a\\n\"]}\n", "f:4:29: tenants[0].access.certificates[0]: "},
		{in + "export: {otlp: {endpoint: a}}\n", "f:4:20: tenants[0].export.otlp: this is a block"},
		{in + "export: {otlp: [{endpoint: a, endpoin: a}]}\n", "tenants[0].export.otlp[0].endpoin: there is no such setting; did you mean endpoint?"},
		{in + "export: {otlp: [{timeout: 1s}]}\n", "f:4:21: tenants[0].export.otlp[0].endpoint: it is missing"},
		{in + "export: {otlp: [{endpoint: 'http://a/b'}]}", "f:4:32: tenants[0].export.otlp[0].endpoint: \"http://a/b\" has a path"},
		{in + "export: {otlp: [{endpoint: a, headers: {a: '${tenants}'}}]}\n", "f:4:48: tenants[0].export.otlp[0].headers.a: "},
		{in + "export: {otlp: [{endpoint: a, tls: {key_file: /k}}]}\n", "tenants[0].export.otlp[0].tls.key_file: cert_file is required"},
		{in + "export: {file: /a}\n", "tenants[0].export.file: there is no such setting"},
		{in + "export: {queue: {spans: 0}}\n", "f:4:29: tenants[0].export.queue.spans: 0 is less than 1"},
		{in + "export: {spool: {max_bytes: 1}}\n", "tenants[0].export.spool.max_bytes: 1 is less than 1MiB"},
		{in + "sampling: {ratio: 2}\n", "f:4:23: tenants[0].sampling.ratio: 2 is not between"},
		{"tenancy: {export: {otlp: [{endpoint: a, headers: {grpc-a: b}}]}}\n", "tenancy.export.otlp[0].headers.grpc-a: "},
		{"tenancy: {dir: tenants.d}\n", "f:1:16: tenancy.dir: \"tenants.d\" is not an absolute path"},
		{"tenancy: {shared: ['']}\n", "f:1:20: tenancy.shared[0]: the name is empty"},
		{"export: {otlp: {headers: {a: '${tenant}'}}}\n", "f:1:30: export.otlp.headers.a: ${tenant} stands for a tenant only in"},
		{"export: {spool: {dir: /s}}\ntenancy: {export: {spool: {dir: /s/}}}", "f:2:33: tenancy.export.spool.dir: \"/s/\" and export.spool.dir, \"/s\", overlap"},
		{"export: {spool: {dir: /s}}\n" + in + "export: {spool: {dir: /s/t}}", "f:5:27: tenants[0].export.spool.dir: "},
		{"api: {socket: a.sock}\n", "f:1:15: api.socket: \"a.sock\" is not an absolute path"},
		{"api: {socket: /" + strings.Repeat("a", 107) + "}\n", "f:1:15: api.socket: the path has 108 characters"},
		{"api: {listen: '9465', tls: {cert_file: /c, key_file: /k, client_ca_file: /a}}\n", "f:1:15: api.listen: \"9465\" is not host:port"},
		{"api: {tls: {cert_file: a}}\n", "f:1:24: api.tls.cert_file: \"a\" is not an absolute path"},
		{"api: {operators: {certificates: ['']}}\n", "api.operators.certificates[0]: the name is empty"},
		{"api: {listen: ':1', tls: {cert_file: /c, key_file: /k}}\n", "f:1:15: api.listen: it needs api.tls.client_ca_file, too"},
		{"tenants: [{ports: [a]}]\n", "f:1:11: tenants[0].id: tenant ID is empty"},
		{"tenants: [{id: ../red, ports: [a]}]\n", "f:1:16: tenants[0].id: tenant ID \"../red\": use A-Z"},
		{"tenants: [{id: red, prefixes: [192.0.2.0/24]}]\n", "f:1:11: tenants[0]: the tenant owns nothing"},
		{"tenants: [{id: red, netns: [host]}]\n", "f:1:29: tenants[0].netns[0]: the host's own"},
		{"tenants: [{id: red, neutron_ports: [x]}]\n", "f:1:37: tenants[0].neutron_ports[0]: \"x\" is not a UUID"},
		{"tenants:\n- {id: red, ports: [a]}\n- {id: red, ports: [b]}\n", "tenants: tenant ID red is defined twice (f:2 and f:3)"},
		{"tenants:\n- {id: red, ports: [a]}\n- {id: blue, bridges: [a]}\n", "belong to tenant red (f:2) and to tenant blue (f:3)"},
		{"tenancy: {uplinks: [ens3]}\ntenants: [{id: red, ports: [ens3]}]\n", "f:2:10: tenants: "},
		{"tenancy: {uplinks: [a/b]}\ntenants: [{id: red, ports: [ens3]}]\n", "f:1:21: tenancy.uplinks[0]: "},
		{"tenancy: {shared: [n]}\ntenants: [{id: red, netns: [n]}]\n", "f:2:10: tenants: namespace n is shared and belongs to tenant red (f:2)"},
	} {
		got := mistakes(t, tt.text)
		if len(got) != 1 || !strings.Contains(got[0].Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, got, tt.want)
		}
	}
}

// A mistake in what all tenants have is not every tenant's, too.
func TestSharedMistakesAreReportedOnce(t *testing.T) {
	const text = "tenants: [{id: red, ports: [a]}, {id: blue, ports: [b]}]\n" +
		"tenancy: {sampling: {ratio: 2}, export: {queue: {spans: 0}, spool: {dir: t}, otlp: [{endpoint: a, headers: {b: '${env:NONE}'}}]}}\n"
	checkMistakes(t, mistakes(t, text), "tenancy.sampling.ratio", "tenancy.export.queue.spans", "tenancy.export.spool.dir", "tenancy.export.otlp[0].headers.b")
}

// Lists of blocks cannot be given by a variable, which says so instead of being ignored.
func TestListsOfBlocksHaveNoVariable(t *testing.T) {
	for _, path := range lists {
		got := mistakes(t, "", config.Variable(path)+"=s3cret")
		if len(got) != 1 || got[0].Path != path || !strings.Contains(got[0].Problem, "cannot be given by a variable") || strings.Contains(got[0].Error(), "s3cret") {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// Each setting of the elements of a list has a type and an example that can be set.
func TestElementsAreDocumented(t *testing.T) {
	var want []string
	for name := range strings.FieldsSeq("name netns targets interval timeout size") {
		want = append(want, "probes[]."+name)
	}
	for name := range strings.FieldsSeq("id ports bridges prefixes netns containers vms neutron_ports access access.uids access.gids access.certificates readers readers.uids readers.gids readers.certificates fastpath export sampling probes") {
		want = append(want, "tenants[]."+name)
	}
	var got []string
	for _, f := range config.Elements() {
		got = append(got, f.Path)
		if !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: %q is not a sentence", f.Path, f.Doc)
		}
		if name, of := strings.CutPrefix(f.Path, "probes[]."); of {
			rest, _, _ := cutSetting(someProbe, name)
			parse(t, "probes: [{"+rest+", "+name+": "+f.Example+"}]")
			continue
		}
		parts := strings.Split(strings.TrimPrefix(f.Path, "tenants[]."), ".")
		if f.Example == "" {
			continue
		}
		text := "tenants: [{id: x, vms: [y], " + strings.Join(parts, ": {") + ": " + f.Example + strings.Repeat("}", len(parts)) + "]"
		switch parts[0] {
		case "id":
			text = "tenants: [{id: red, vms: [y]}]"
		case "vms":
			text = "tenants: [{id: x, vms: " + f.Example + "}]"
		}
		parse(t, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented (-want +got):\n%s", diff)
	}
}

// A file of its own defines one tenant, as the list in the configuration does.
func TestTenantFile(t *testing.T) {
	_, all, _ := strings.Cut(tenants, "\ntenancy:")
	loaded := parse(t, "tenancy:"+all, "TOKEN=t")
	def, err := loaded.ParseTenant("/etc/dwell/tenants.d/red.yaml", []byte("# red\nports: [a]\nprefixes: [192.0.2.1]\nexport: {queue: {delay: 9s}}\n"), []string{"TOKEN=t"})
	if err != nil {
		t.Fatal(err)
	}
	owned := def.Owned()
	if owned.ID != "red" || owned.Origin != "/etc/dwell/tenants.d/red.yaml:2" || len(owned.Ports) != 1 || len(owned.Prefixes) != 1 {
		t.Errorf("owned %+v", owned)
	}
	if q := def.Export.Queue; q.Spans != 5 || time.Duration(q.Delay) != 9*time.Second || def.Export.OTLP[0].Headers["x-scope-orgid"].Value() != "red" {
		t.Errorf("export %+v", def.Export)
	}
	if got := def.Error("export.queue.delay", errTest).Error(); got != "/etc/dwell/tenants.d/red.yaml:4:25: export.queue.delay: from the test" {
		t.Errorf("error %s", got)
	}
	if def, err = loaded.ParseTenant("/t/red.yaml", []byte("{id: crimson, vms: [a]}"), []string{"TOKEN=t"}); err != nil || def.ID != "crimson" {
		t.Errorf("%q, %v", def.ID, err)
	}
	if origin := loaded.Origin("tenancy.export.otlp[0].headers.token").String(); origin != "f:8:54" {
		t.Errorf("reading a tenant has moved the configuration to %s", origin)
	}
	if headers := loaded.Tenancy.Export.OTLP[0].Headers; headers["x-scope-orgid"].Value() != "" {
		t.Errorf("reading a tenant has changed what holds for all: %q", headers["x-scope-orgid"].Value())
	}
}

// A mistake in such a file has its line and column, and paths within it.
func TestMistakesInTenantFile(t *testing.T) {
	loaded := parse(t, "export: {spool: {dir: /s}}\n")
	for _, tt := range []struct{ file, text, want string }{
		{"red.yaml", "", "red.yaml:1:1: the tenant owns nothing"},
		{"red.yaml", "# nothing\n", "red.yaml:1:1: the tenant owns nothing"},
		{"red.yaml", "- a\n", "red.yaml:1:1: this is a list; it should be settings, like id:"},
		{"red.yaml", "ports: [a\n", "red.yaml:1:"},
		{"red.yaml", "ports: [a]\nprefix: [a]\n", "red.yaml:2:1: prefix: there is no such setting; did you mean prefixes?"},
		{"red.yaml", "ports: [a]\nuids: [1]\n", "did you mean access.uids?"},
		{"red.yaml", "ports: [a]\ntimeout: 1s\n", "here you can set: id, ports,"},
		{"red.yaml", "tenants: [{id: red, ports: [a]}]\n", "here you can set: id, ports,"},
		{"red.yaml", "ports: ['[']\n", "red.yaml:1:9: ports[0]: "},
		{"red.yaml", "netns: [host]\n", "red.yaml:1:9: netns[0]: the host's own"},
		{"red.yaml", "ports: [a]\naccess: {uids: [x]}\n", "red.yaml:2:17: access.uids[0]: "},
		{"red.yaml", "ports: [a]\nexport: {otlp: [{endpoint: 'a?s3cret'}]}\n", "red.yaml:2:28: export.otlp[0].endpoint: it contains a ?"},
		{"red.yaml", "ports: [a]\nexport: {spool: {dir: /s}}\n", "red.yaml:2:23: export.spool.dir: "},
		{"red.yaml", "ports: [a]\n---\nports: [b]\n", "red.yaml:3:1: a second YAML document"},
		{"a b.yaml", "ports: [a]\n", "a b.yaml:1:1: id: tenant ID \"a b\""},
		{"red.yaml", "id: \nports: [a]\nid: b\n", "red.yaml:3:1: "},
	} {
		_, err := loaded.ParseTenant("/t/"+tt.file, []byte(tt.text), nil)
		if err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzTenantFile(f *testing.F) {
	for _, text := range []string{"ports: [a]\n", "id: &a [*a]\nports: [a]", tenants, "a: |\n  b\n? c\n: d\n", "export: {otlp: [{endpoint: a, headers: {a: '${tenant}'}}]}\nvms: [x]\n"} {
		f.Add("red.yaml", text)
	}
	loaded, err := config.Parse("f", nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file, text string) {
		def, err := loaded.ParseTenant(file, []byte(text), nil)
		if err != nil {
			return
		}
		if _, err := loaded.NewSet([]config.Definition{def}); err != nil {
			t.Errorf("read without a mistake, and refused: %v", err)
		}
	})
}
