// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/tenant"
)

// TenantFile is what the name of a file in tenancy.dir ends in.
const TenantFile = ".yaml"

// Definition is a tenant and where it is defined: in the configuration, or in a file of
// its own.
type Definition struct {
	Tenant
	// path is what precedes the paths of the tenant's settings, such as "tenants[1].".
	path    string
	origins map[string]Origin
}

// Definitions returns the tenants of the configuration.
func (l *Loaded) Definitions() []Definition {
	all := make([]Definition, len(l.Tenants))
	for i, t := range l.Tenants {
		all[i] = Definition{Tenant: t, path: fmt.Sprintf("tenants[%d].", i), origins: l.origins}
	}
	return all
}

// Origin returns where the tenant is defined.
func (d Definition) Origin() Origin { return origin(d.origins, strings.TrimSuffix(d.path, ".")) }

// Error makes an error about a setting of the tenant, such as "export.otlp[0].tls.ca_file".
func (d Definition) Error(path string, err error) error {
	path = d.path + path
	return &Error{Origin: origin(d.origins, path), Path: path, Problem: err.Error()}
}

// Owned returns what the tenant owns.
func (d Definition) Owned() tenant.Tenant { return d.Tenant.owned(d.Origin()) }

// NewSet returns the set of some tenants. The error says of each thing that two of them own
// whose it is, and where they are defined.
func (l *Loaded) NewSet(defs []Definition) (*tenant.Set, error) {
	owned := make([]tenant.Tenant, len(defs))
	for i, d := range defs {
		owned[i] = d.Owned()
	}
	return tenant.NewSet(owned, texts(l.Tenancy.Shared), texts(l.Tenancy.Uplinks))
}

// ParseTenant reads a file that defines one tenant, whose ID is by default what the file
// is called. What it does not say is as the configuration says it is for all tenants. The
// error joins an [Error] for each mistake. The environment is as of [os.Environ].
func (l *Loaded) ParseTenant(file string, text []byte, environ []string) (Definition, error) {
	d := &decoder{
		file: file, origins: map[string]Origin{"": {File: file}},
		tenancy: &l.Tenancy, of: "tenants[]",
	}
	t := l.Tenancy.defaults()
	t.ID = strings.TrimSuffix(filepath.Base(file), TenantFile)
	d.document(text, reflect.ValueOf(&t).Elem())
	if _, ok := d.origins[""]; !ok || d.origins[""].Line == 0 {
		d.origins[""] = Origin{File: file, Line: 1, Column: 1}
	}
	unread := slices.Clone(d.errs)
	d.tenantSecrets("", &t, environ)
	bad := d.reporter(unread)
	checkTenant("", &t, bad)
	apart("export.spool.dir", t.Export.Spool.Dir, l.Export.Spool.Dir, bad)
	d.problems("", t, unread)
	if err := d.all(); err != nil {
		return Definition{}, err
	}
	return Definition{Tenant: t, origins: d.origins}, nil
}

// problems reports what is wrong with what a tenant owns; before is what its paths begin
// with. Nothing is said of the whole if a part of it could not be read.
func (d *decoder) problems(before string, t Tenant, unread []error) {
	whole := strings.TrimSuffix(before, ".")
	if slices.ContainsFunc(unread, func(err error) bool {
		var e *Error
		return errors.As(err, &e) && e.Path == whole
	}) {
		return
	}
	bad := d.reporter(unread)
	for _, p := range t.owned(Origin{}).Problems() {
		if p.Path != "" {
			bad(before+p.Path, "%v", p.Err)
		} else if !anyBelow(unread, before) {
			bad(whole, "the tenant %v", p.Err)
		}
	}
}

// anyBelow reports whether one of the errors is about something whose path begins so.
func anyBelow(errs []error, before string) bool {
	return slices.ContainsFunc(errs, func(err error) bool {
		var e *Error
		return errors.As(err, &e) && strings.HasPrefix(e.Path, before)
	})
}

// checkTenants checks the tenants of the configuration, each by itself and whether two of
// them own the same.
func (d *decoder) checkTenants(l *Loaded, unread []error) {
	before := len(d.errs)
	for i, t := range l.Tenants {
		d.problems(fmt.Sprintf("tenants[%d].", i), t, unread)
	}
	if len(d.errs) > before || anyBelow(unread, "tenants") || anyBelow(unread, "tenancy.shared") || anyBelow(unread, "tenancy.uplinks") {
		return // a name that is wrong is nobody's
	}
	_, err := l.NewSet(l.Definitions())
	for _, err := range parts(err) {
		d.fail(l.Origin("tenants"), "tenants", "%v", err)
	}
}

// parts returns the errors that one joins, or those of nil: none.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// owned returns what the tenant owns; at is where that is defined.
func (t Tenant) owned(at Origin) tenant.Tenant {
	return tenant.Tenant{
		ID: t.ID, Origin: at.place(), Ports: texts(t.Ports), Bridges: texts(t.Bridges),
		Prefixes: prefixes(t.Prefixes), NetNS: texts(t.NetNS), Containers: texts(t.Containers),
		VMs: texts(t.VMs), NeutronPorts: texts(t.NeutronPorts),
	}
}

// clone returns a copy that shares nothing: whoever has it resolves its secrets.
func (e TenantExport) clone() TenantExport {
	e.OTLP = slices.Clone(e.OTLP)
	for i := range e.OTLP {
		e.OTLP[i].Headers = maps.Clone(e.OTLP[i].Headers)
	}
	return e
}
