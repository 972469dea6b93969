// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"reflect"
	"regexp"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Tenancy is what holds for all tenants.
type Tenancy struct {
	Dir      string        `yaml:"dir"`
	Shared   []Ref         `yaml:"shared"`
	Uplinks  []Interface   `yaml:"uplinks"`
	Export   TenantExport  `yaml:"export"`
	Sampling TraceSampling `yaml:"sampling"`
}

// TenantExport says where a tenant's own traces go: what it may see of each.
type TenantExport struct {
	OTLP  []OTLP `yaml:"otlp"`
	Queue Queue  `yaml:"queue"`
	Spool Spool  `yaml:"spool"`
}

// Tenant is one tenant: what it owns, who may ask for it, and where its traces go. What
// is not said of Export and Sampling is as in [Tenancy].
type Tenant struct {
	ID           string        `yaml:"id"`
	Ports        []Interface   `yaml:"ports"`
	Bridges      []Interface   `yaml:"bridges"`
	Prefixes     []Prefix      `yaml:"prefixes"`
	NetNS        []Ref         `yaml:"netns"`
	Containers   []Pattern     `yaml:"containers"`
	VMs          []Pattern     `yaml:"vms"`
	NeutronPorts []Pattern     `yaml:"neutron_ports"`
	Access       Access        `yaml:"access"`
	Readers      Access        `yaml:"readers"`
	FastPath     flow.Mode     `yaml:"fastpath"`
	Export       TenantExport  `yaml:"export"`
	Sampling     TraceSampling `yaml:"sampling"`
	Probes       []Probe       `yaml:"probes"`
}

// Access lists who may ask for something: processes by their user or group, or clients by
// the name in their certificate.
type Access struct {
	UIDs         []UserID `yaml:"uids"`
	GIDs         []UserID `yaml:"gids"`
	Certificates []string `yaml:"certificates"`
}

// API is where tenants and the operator ask for traces.
type API struct {
	Socket           string `yaml:"socket"`
	Group            string `yaml:"group"`
	Listen           string `yaml:"listen"`
	TLS              APITLS `yaml:"tls"`
	Operators        Access `yaml:"operators"`
	StreamsMax       int    `yaml:"streams_max"`
	ClientStreamsMax int    `yaml:"client_streams_max"`
	ClientRate       int    `yaml:"client_rate"`
}

// APITLS says how the API proves who it is, and how its clients do.
type APITLS struct {
	CertFile     string `yaml:"cert_file"`
	KeyFile      string `yaml:"key_file"`
	ClientCAFile string `yaml:"client_ca_file"`
}

func texts[S ~string](list []S) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

func prefixes(list []Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}

// defaults returns a tenant of which nothing is said.
func (t *Tenancy) defaults() Tenant {
	return Tenant{Export: t.Export.clone(), Sampling: t.Sampling}
}

// readTenants reads the tenants of the document, when it is known what holds for all.
func (d *decoder) readTenants(c *Config) {
	d.tenancy = &c.Tenancy
	d.fill(d.tenants, reflect.ValueOf(&c.Tenants).Elem(), "tenants")
}

// ofTenant matches what the path of a tenant's setting in the file begins with.
var ofTenant = regexp.MustCompile(`^tenants\[\d+\]\.`)

// inherited reports whether the setting at path is of a tenant that leaves it out, so that
// what is wrong with it stands elsewhere.
func (d *decoder) inherited(path string) bool {
	tenant := ofTenant.FindString(path)
	if tenant == "" && d.of == "" {
		return false
	}
	section, rest, _ := strings.Cut(strings.TrimPrefix(path, tenant), ".")
	if section != "export" && section != "sampling" {
		return false
	}
	if strings.HasPrefix(rest, "otlp[") { // a list is of one piece
		path = tenant + "export.otlp"
	}
	_, written := d.origins[path]
	return !written
}
