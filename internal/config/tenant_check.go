// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// maxSocket is the kernel's limit on the path of a unix socket, without the terminating
// zero.
const maxSocket = 107

// checkTenancy checks what holds for all tenants, and the tenants of the file by
// themselves.
func checkTenancy(c *Config, bad report) {
	t := &c.Tenancy
	absolute("tenancy.dir", t.Dir, bad)
	checkSampling("tenancy.sampling", t.Sampling, bad)
	checkTenantExport("tenancy.export", &t.Export, bad)
	apart("tenancy.export.spool.dir", t.Export.Spool.Dir, c.Export.Spool.Dir, bad)
	for i := range c.Tenants {
		path := fmt.Sprintf("tenants[%d]", i)
		checkTenant(path+".", &c.Tenants[i], bad)
		apart(path+".export.spool.dir", c.Tenants[i].Export.Spool.Dir, c.Export.Spool.Dir, bad)
	}
}

// checkTenant checks what one tenant has; before is what its paths begin with.
func checkTenant(before string, t *Tenant, bad report) {
	checkAccess(before+"access", t.Access, bad)
	checkAccess(before+"readers", t.Readers, bad)
	checkTenantExport(before+"export", &t.Export, bad)
	checkSampling(before+"sampling", t.Sampling, bad)
	checkTenantProbes(before+"probes", t.Probes, bad)
}

func checkTenantExport(path string, e *TenantExport, bad report) {
	for i := range e.OTLP {
		at := fmt.Sprintf("%s.otlp[%d]", path, i)
		if e.OTLP[i].Endpoint == "" {
			bad(at+".endpoint", "it is missing; no variable stands in for the endpoint of a tenant")
		}
		checkOTLP(at, &e.OTLP[i], bad)
	}
	checkQueue(path+".queue", e.Queue, bad)
	checkSpool(path+".spool", e.Spool, bad)
}

// apart keeps the spools of tenants from the operator's, whose files are all of one owner.
func apart(at, dir, operators string, bad report) {
	if dir == "" || operators == "" {
		return
	}
	a, b := filepath.Clean(dir)+"/", filepath.Clean(operators)+"/"
	if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
		bad(at, "%q and export.spool.dir, %q, overlap; use directories of which neither is in the other", dir, operators)
	}
}

func checkAccess(path string, a Access, bad report) {
	for i, name := range a.Certificates {
		at := fmt.Sprintf("%s.certificates[%d]", path, i)
		if strings.TrimSpace(name) == "" {
			bad(at, "the name is empty; use a name that stands in the client's certificate")
		}
		printable(at, name, bad)
	}
}

func checkAPI(a *API, bad report) {
	absolute("api.socket", a.Socket, bad)
	if n := len(a.Socket); n > maxSocket {
		bad("api.socket", "the path has %d characters; at most %d are possible", n, maxSocket)
	}
	printable("api.group", a.Group, bad)
	checkListen("api.listen", a.Listen, bad)
	atLeastOne("api.streams_max", a.StreamsMax, bad)
	atLeastOne("api.client_streams_max", a.ClientStreamsMax, bad)
	atLeastOne("api.client_rate", a.ClientRate, bad)
	var missing []string
	for _, f := range []struct{ name, file string }{
		{"cert_file", a.TLS.CertFile}, {"key_file", a.TLS.KeyFile}, {"client_ca_file", a.TLS.ClientCAFile},
	} {
		at := "api.tls." + f.name
		absolute(at, f.file, bad)
		if a.Listen != "" && f.file == "" {
			missing = append(missing, at)
		}
	}
	if len(missing) > 0 {
		bad("api.listen", "it needs %s, too: server and clients prove who they are with certificates", strings.Join(missing, ", "))
	}
	checkAccess("api.operators", a.Operators, bad)
}
