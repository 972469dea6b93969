// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
)

// maxFile is far more than a configuration is, and less than a device file has.
const maxFile = 1 << 20

// Loaded is a configuration with what is known of where it came from.
type Loaded struct {
	Config
	// Warnings are of what is probably a mistake and harms nothing.
	Warnings []string
	origins  map[string]Origin
}

// Origin returns where a setting was set, or if it was not, the section that it belongs
// to. What is not in the file has only the file's name.
func (l *Loaded) Origin(path string) Origin { return origin(l.origins, path) }

// Error makes an error about a setting, for what only turns out when it is used.
func (l *Loaded) Error(path string, err error) error {
	return &Error{Origin: l.Origin(path), Path: path, Problem: err.Error()}
}

// Warn adds a warning about a setting.
func (l *Loaded) Warn(path, problem string) {
	l.Warnings = append(l.Warnings, l.Error(path, errors.New(problem)).Error())
}

func origin(origins map[string]Origin, path string) Origin {
	for {
		if at, ok := origins[path]; ok {
			return at
		}
		end := strings.LastIndexAny(path, ".[")
		if end < 0 {
			return origins[""]
		}
		path = path[:end]
	}
}

// Load reads a file and the environment, which is given as [os.Environ] gives it. The
// error joins an [Error] for each mistake.
func Load(file string, environ []string) (*Loaded, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, text, environ)
}

func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration file %s; name one with --config, or start with: dwell agent --print-defaults > %[1]s", file)
	} else if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("the configuration file %s is larger than 1 MiB; is it the right one?", file)
	}
	return text, nil
}

// Parse is Load of a text; file is for messages.
func Parse(file string, text []byte, environ []string) (*Loaded, error) {
	loaded := &Loaded{Config: Default()}
	d := &decoder{file: file, origins: map[string]Origin{"": {File: file}}}
	loaded.Warnings = d.sampler(environ, &loaded.Config)
	d.document(text, reflect.ValueOf(&loaded.Config).Elem())
	fromFile := d.errs
	d.errs = nil
	loaded.Warnings = append(loaded.Warnings, d.environment(environ, &loaded.Config)...)
	d.errs = append(overridden(fromFile, d.origins), d.errs...)
	d.readTenants(&loaded.Config)
	d.origins[""] = Origin{File: file}
	loaded.origins = d.origins
	unread := slices.Clone(d.errs)
	d.secrets(&loaded.Config, environ)
	check(&loaded.Config, d.reporter(unread))
	d.checkTenants(loaded, unread)
	loaded.unused()
	loaded.exposed()
	if err := d.all(); err != nil {
		return nil, err
	}
	return loaded, nil
}

// reporter returns what collects what is wrong with settings, but for those that could not
// be read, for the reasons in unread, and for those that a tenant only inherits.
func (d *decoder) reporter(unread []error) report {
	return func(path, format string, args ...any) {
		if !about(unread, path) && !d.inherited(path) {
			d.fail(origin(d.origins, path), path, format, args...)
		}
	}
}

// all returns all errors, in the order of the lines.
func (d *decoder) all() error {
	slices.SortStableFunc(d.errs, byLine)
	return errors.Join(d.errs...)
}

// about reports whether one of the errors is about the setting at path or the list that
// it is an element of. Such a setting could not be read: what it holds instead is not
// what anybody wrote, so there is nothing to say about it.
func about(errs []error, path string) bool {
	list := path
	if end := strings.LastIndexByte(path, '['); end >= 0 {
		list = path[:end]
	}
	return slices.ContainsFunc(errs, func(err error) bool {
		var e *Error
		return errors.As(err, &e) && e.Path != "" && (e.Path == path || e.Path == list)
	})
}

// unused warns of values that have no effect because of another one.
func (l *Loaded) unused() {
	if !l.Metrics.OTLP.Enabled && l.Metrics.OTLP.Endpoint != "" {
		l.Warn("metrics.otlp.endpoint", "not used: metrics.otlp.enabled is false")
	}
	if !l.Containers.Enabled && len(l.Containers.Sockets) > 0 {
		l.Warn("containers.sockets", "not used: containers.enabled is false")
	}
	if l.API.Listen == "" && l.API.TLS != (APITLS{}) {
		l.Warn("api.tls", "not used: there is no api.listen")
	}
	for i, t := range l.Tenants {
		l.unusedAccess(fmt.Sprintf("tenants[%d].access", i), t.Access)
		l.unusedAccess(fmt.Sprintf("tenants[%d].readers", i), t.Readers)
	}
}

func (l *Loaded) unusedAccess(path string, a Access) {
	switch {
	case l.API.Socket == "" && len(a.UIDs)+len(a.GIDs) > 0:
		l.Warn(path, "users and groups are not used: there is no api.socket")
	case l.API.Listen == "" && len(a.Certificates) > 0:
		l.Warn(path, "certificates are not used: there is no api.listen")
	}
}

// exposed warns of metrics of all tenants where users of this host who may ask for one can read
// them.
func (l *Loaded) exposed() {
	if l.HTTP.Listen == "" || !l.Metrics.Prometheus.Enabled || l.API.Socket == "" {
		return
	}
	local := func(t Tenant) bool {
		return len(t.Access.UIDs)+len(t.Access.GIDs)+len(t.Readers.UIDs)+len(t.Readers.GIDs) > 0
	}
	if slices.ContainsFunc(l.Tenants, local) {
		l.Warn("http.listen", "every user of this host can read /metrics there, which names all tenants and what is theirs; "+
			"push metrics instead (metrics.otlp, with metrics.prometheus.enabled: false), or let a firewall say which user may connect")
	}
}

// overridden leaves out the errors about values that a variable has replaced.
func overridden(errs []error, origins map[string]Origin) []error {
	return slices.DeleteFunc(errs, func(err error) bool {
		var e *Error
		return errors.As(err, &e) && e.Path != "" && origin(origins, e.Path).Variable != ""
	})
}

func byLine(a, b error) int {
	var ea, eb *Error
	if !errors.As(a, &ea) || !errors.As(b, &eb) {
		return 0
	}
	return cmp.Or(cmp.Compare(ea.Line, eb.Line), cmp.Compare(ea.Column, eb.Column))
}

// secrets resolves what headers and the key of IDs refer to.
func (d *decoder) secrets(c *Config, environ []string) {
	to := references{environ: environ}
	if c.Trace.Key.written != "" {
		const path = "trace.key"
		secret, err := c.Trace.Key.resolve(to)
		if err == nil {
			_, err = ParseKey(secret.value)
		}
		if err != nil {
			d.fail(origin(d.origins, path), path, "%v", err)
		}
		c.Trace.Key = secret
	}
	d.headers("export.otlp", &c.Export.OTLP, to)
	to.tenants = true
	for i := range c.Tenancy.Export.OTLP {
		d.headers(fmt.Sprintf("tenancy.export.otlp[%d]", i), &c.Tenancy.Export.OTLP[i], to)
	}
	for i := range c.Tenants {
		d.tenantSecrets(fmt.Sprintf("tenants[%d]", i), &c.Tenants[i], environ)
	}
}

// tenantSecrets resolves what the headers of a tenant refer to; path is the tenant's.
func (d *decoder) tenantSecrets(path string, t *Tenant, environ []string) {
	to := references{environ: environ, tenants: true, tenant: t.ID}
	for i := range t.Export.OTLP {
		d.headers(join(path, fmt.Sprintf("export.otlp[%d]", i)), &t.Export.OTLP[i], to)
	}
}

// headers resolves what the headers of an endpoint refer to; path is the endpoint's.
func (d *decoder) headers(path string, o *OTLP, to references) {
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		at := join(join(path, "headers"), name)
		secret, err := o.Headers[name].resolve(to)
		if err != nil && !d.inherited(at) {
			d.fail(origin(d.origins, at), at, "%v", err)
		}
		o.Headers[name] = secret
	}
}
