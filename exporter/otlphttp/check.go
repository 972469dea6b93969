// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/exporter/internal/batch"
)

// CheckTimeout is how long Check waits if its context has no deadline.
const CheckTimeout = 3 * time.Second

// Check sends a request without spans, which an OTLP endpoint accepts and forgets, and so
// tries address, TLS and credentials. The error is one line that says what to do.
func (e *Exporter) Check(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, CheckTimeout)
		defer cancel()
	}
	a, to := e.client.Send(ctx, nil), e.client.to
	switch {
	case a.Err == nil:
		return nil
	case a.Cause == "deadline_exceeded":
		return fmt.Errorf("the OTLP endpoint %s does not answer; is it an HTTP endpoint, and does a firewall let it through? (%s)", to.Display, to.Source)
	case a.Fault == batch.Denied:
		return fmt.Errorf("the OTLP endpoint %s denies access: %s; are the credentials right? (OTEL_EXPORTER_OTLP_HEADERS)", to.Display, a.Text)
	case a.Cause == "unimplemented":
		return fmt.Errorf("the endpoint %s does not accept traces over OTLP/HTTP: %s; is the path of %s right? (%s)", to.Display, a.Text, to.URL, to.Source)
	}
	return fmt.Errorf("cannot reach the OTLP endpoint %s: %s; %s (%s)", to.Display, a.Text, advice(a.Text), to.Source)
}

func advice(text string) string {
	switch {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "does it speak plain text? then write http:// before it"
	case strings.Contains(text, "tls:") || strings.Contains(text, "x509:"):
		return "is OTEL_EXPORTER_OTLP_CERTIFICATE right?"
	case strings.Contains(text, "malformed HTTP response"):
		return "is it the gRPC port? that of HTTP is 4318"
	case strings.Contains(text, "lookup"):
		return "is the name right?"
	}
	return "is a collector listening there?"
}
