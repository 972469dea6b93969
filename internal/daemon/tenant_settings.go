// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/dwelltrace/dwell/exporter/sampling"
	"github.com/dwelltrace/dwell/internal/config"
)

// tenantWish is how the traces of a tenant are to be exported.
type tenantWish struct {
	tenantSettings
	sampling sampling.Options
	// tls is for each endpoint, nil for one in plain text.
	tls []*tls.Config
	// left is set if an earlier process may have left something to send.
	left bool
}

// tenantSettings are what a tenant's exporters are made of; if they are the same, those
// stay.
type tenantSettings struct {
	endpoints []tenantEndpoint
	queue     config.Queue
	// spoolBytes bounds the spools of all endpoints together, 0 if there is none.
	spoolBytes int64
}

// tenantEndpoint is one of the endpoints of a tenant.
type tenantEndpoint struct {
	// to has a scheme.
	to   string
	otlp config.OTLP
	tls  digest
	// spool is the directory for what cannot be sent, or "".
	spool string
}

func (w *tenantWish) sameExporters(other *tenantWish) bool {
	return w != nil && other != nil && reflect.DeepEqual(w.tenantSettings, other.tenantSettings)
}

// sharesSpool reports whether some directory is a spool of both.
func (w *tenantWish) sharesSpool(other *tenantWish) bool {
	if w == nil || other == nil {
		return false
	}
	for _, a := range w.endpoints {
		for _, b := range other.endpoints {
			if a.spool != "" && a.spool == b.spool {
				return true
			}
		}
	}
	return false
}

// credentials hands out one TLS configuration for all endpoints with the same files, so that
// they may share connections.
type credentials map[digest]*tls.Config

// newTenantWish returns nil for a tenant whose traces go nowhere. The error is about files
// that the settings name.
func newTenantWish(t *config.Tenant, known credentials) (*tenantWish, error) {
	e := t.Export
	if len(e.OTLP) == 0 {
		return nil, nil //nolint:nilnil // a tenant without endpoints is not an error
	}
	w := &tenantWish{sampling: samplingOptions(t.Sampling)}
	w.queue = e.Queue
	if e.Spool.Dir != "" {
		w.spoolBytes = int64(e.Spool.MaxBytes)
	}
	err := w.sampling.Validate()
	taken := map[string]bool{}
	for i := range e.OTLP {
		one := tenantEndpoint{to: tenantURL(e.OTLP[i]), otlp: e.OTLP[i]}
		at := fmt.Sprintf("tenant %s: export.otlp[%d].", t.ID, i)
		credentials, sum, tlsErr := readTLS(one.otlp.TLS, func(setting string, err error) error {
			return fmt.Errorf("%stls.%s: %w", at, setting, err)
		})
		err = errors.Join(err, tlsErr)
		if wrong := checkForm(one.otlp.Protocol, one.to); wrong != nil {
			err = errors.Join(err, fmt.Errorf("%sendpoint: %w", at, wrong))
		}
		if credentials != nil && known[sum] == nil {
			known[sum] = credentials
		}
		one.tls = sum
		if e.Spool.Dir != "" {
			one.spool = filepath.Join(e.Spool.Dir, t.ID, spoolName(one.to, taken))
		}
		w.left = w.left || exists(one.spool)
		w.endpoints, w.tls = append(w.endpoints, one), append(w.tls, known[sum])
	}
	return w, err
}

// tenantURL returns where an endpoint is. OpenTelemetry's variables are the operator's and
// say nothing about it, so that without any setting it is plain text.
func tenantURL(o config.OTLP) string {
	if to := withScheme(o.Endpoint, o.TLS); strings.Contains(to, "://") {
		return to
	}
	return "http://" + o.Endpoint
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}

// notInNames matches what is replaced in the names of directories.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// spoolName returns the directory of an endpoint below that of its tenant, so that it is
// the same whatever other endpoints the tenant has. taken holds those of the tenant so far.
func spoolName(to string, taken map[string]bool) string {
	_, hostPort, _ := strings.Cut(to, "://")
	base := strings.Trim(notInNames.ReplaceAllString(hostPort, "_"), "_.")
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	taken[name] = true
	return name
}
