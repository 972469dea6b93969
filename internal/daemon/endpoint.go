// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/otelconfig"
)

// endpoint returns where traces go, with a scheme if the configuration says whether it is
// TLS; "" if nothing names one.
func endpoint(o config.OTLP) string {
	to := o.Endpoint
	if to == "" {
		to, _ = otlpgrpc.EnvironmentEndpoint()
	}
	return withScheme(to, o.TLS)
}

func withScheme(to string, t config.TLS) string {
	switch {
	case to == "" || strings.Contains(to, "://"):
		return to
	case t.Insecure == config.On:
		return "http://" + to
	case t.Insecure == config.Off || t.CAFile != "" || t.CertFile != "":
		return "https://" + to
	}
	return to
}

// checkEndpoint returns what is wrong with the endpoint for traces. Package config has
// checked its own setting; here the environment's is checked, too.
func checkEndpoint(l *config.Loaded) error {
	o := l.Export.OTLP
	named, variable := otlpgrpc.EnvironmentEndpoint()
	if o.Endpoint != "" || named == "" {
		return nil
	}
	if err := checkForm(protocolOf(o), ""); err != nil {
		return l.Error("export.otlp.endpoint", err)
	}
	plain, secure := strings.HasPrefix(named, "http://"), strings.HasPrefix(named, "https://")
	switch {
	case secure && o.TLS.Insecure == config.On:
		return l.Error("export.otlp.tls.insecure", errors.New("true means plain text, but "+variable+" begins with https://"))
	case plain && o.TLS.Insecure == config.Off:
		return l.Error("export.otlp.tls.insecure", errors.New("false means TLS, but "+variable+" begins with http://"))
	case plain && (o.TLS.CAFile != "" || o.TLS.CertFile != ""):
		return l.Error("export.otlp.tls", errors.New("not used without TLS: "+variable+" begins with http://"))
	}
	return nil
}

// checkPush returns what is wrong with the endpoint for metrics.
func checkPush(l *config.Loaded) error {
	if !l.Metrics.OTLP.Enabled {
		return nil
	}
	to, protocol := pushEndpoint(l.Config), pushProtocol(l.Config)
	if err := otlpmetrics.CheckEndpoint(to, string(protocol)); err != nil {
		return l.Error("metrics.otlp.endpoint", err)
	}
	if u, err := url.Parse(to); err == nil && protocol == config.HTTPProtobuf && l.Metrics.OTLP.Endpoint == "" && strings.Trim(u.Path, "/") != "" && !strings.HasSuffix(u.Path, "/v1/metrics") {
		return l.Error("metrics.otlp.endpoint", fmt.Errorf("it is not set, and %s of export.otlp.endpoint is where traces go; say where metrics go", u.Path))
	}
	return nil
}

// warnings returns those of the configuration and one for each setting that has no
// effect.
func warnings(l *config.Loaded) []string {
	out := slices.Clone(l.Warnings)
	unused := func(path, why string) { out = append(out, l.Error(path, errors.New(why)).Error()) }
	const metrics = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" // set by the file
	if !l.Metrics.OTLP.Enabled && os.Getenv(otelconfig.Variable) != "" && os.Getenv(metrics) != "" {
		unused("metrics.otlp.enabled", "it is false, so that no metrics are pushed as the meter_provider of "+otelconfig.Variable+" says")
	}
	if l.Export.Spool.Dir != "" && endpoint(l.Export.OTLP) == "" {
		unused("export.spool.dir", "not used: there is no export.otlp.endpoint")
	}
	return out
}
