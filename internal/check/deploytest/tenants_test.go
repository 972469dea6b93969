// SPDX-License-Identifier: Apache-2.0

package deploytest_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// orgHeader is the header by which Tempo knows whose the traces are.
const orgHeader = "X-Scope-OrgID"

// tenantFiles returns the tenants of the compose example, as its agent reads them.
func tenantFiles(t *testing.T) []config.Definition {
	t.Helper()
	compose := filepath.Join(root, "examples", "compose")
	loaded, err := config.Load(filepath.Join(compose, "dwell.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(compose, "tenants.d", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tenants: %v", err)
	}
	var all []config.Definition
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := loaded.ParseTenant(file, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	if _, err := loaded.NewSet(all); err != nil {
		t.Error(err)
	}
	return all
}

// The tenants of the compose example are those of the lab that its demo runs.
func TestTenantsAreTheLabs(t *testing.T) {
	topology, err := lab.Find("tenants")
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, tenant := range topology.Tenants() {
		want[tenant.Role] = tenant.Bridge
	}
	for _, d := range tenantFiles(t) {
		for _, bridge := range d.Bridges {
			got[d.ID] += string(bridge)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bridges (-lab +compose):\n%s", diff)
	}
}

// Where the demo runs there is a backend of each tenant's name, whichever it is.
func checkTenantBackends(t *testing.T, all []container) {
	t.Helper()
	for _, d := range tenantFiles(t) {
		if len(d.Export.OTLP) != 1 {
			t.Fatalf("%s has %d endpoints, want one", d.ID, len(d.Export.OTLP))
		}
		endpoint, err := url.Parse(d.Export.OTLP[0].Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			profile, service, _ := strings.Cut(c.Name, "/")
			if service != "demo" {
				continue
			}
			is := func(b container) bool {
				return strings.HasPrefix(b.Name, profile+"/") && slices.Contains(b.Aliases, endpoint.Hostname())
			}
			if !slices.ContainsFunc(all, is) {
				t.Errorf("profile %s: nobody is %s, where %s's traces go", profile, endpoint.Hostname(), d.ID)
			}
		}
	}
}

// Tempo keeps apart whose the traces are: whoever sends to it says so, and Grafana has a data
// source for each.
func TestTempoKnowsTenants(t *testing.T) {
	var tempo struct {
		Multitenancy bool `yaml:"multitenancy_enabled"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "examples/compose/tempo.yaml")), &tempo); err != nil || !tempo.Multitenancy {
		t.Errorf("Tempo has one tenant: %v", err)
	}
	collector := readCollector(t, "examples/compose/otel-collector.yaml")
	operator, _ := collector.Exporters["otlp_grpc/traces"].(map[string]any)["headers"].(map[string]any)[orgHeader].(string)
	want := map[string]string{"tempo": operator}
	for _, d := range tenantFiles(t) {
		header := d.Export.OTLP[0].Headers[orgHeader]
		if header.Value() != d.ID {
			t.Errorf("%s sends the header %s: %s", d.ID, orgHeader, header.Value())
		}
		want["tempo-"+d.ID] = d.ID
	}
	var grafana struct {
		Datasources []struct {
			Type, UID string
			JSON      struct {
				Name string `yaml:"httpHeaderName1"`
			} `yaml:"jsonData"`
			SecureJSON struct {
				Value string `yaml:"httpHeaderValue1"`
			} `yaml:"secureJsonData"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "examples/compose/grafana/datasources/dwell.yaml")), &grafana); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range grafana.Datasources {
		if s.Type == "tempo" && s.JSON.Name == orgHeader {
			got[s.UID] = s.SecureJSON.Value
		}
	}
	if operator == "" || !cmp.Equal(want, got) {
		t.Errorf("data sources (-sent +asked for):\n%s", cmp.Diff(want, got))
	}
}
