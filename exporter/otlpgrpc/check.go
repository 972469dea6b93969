// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// CheckTimeout is how long Check waits if its context has no deadline.
const CheckTimeout = 3 * time.Second

// Check sends a request without spans, which an OTLP endpoint accepts and forgets,
// and so tries address, TLS and credentials. The error is one line that says what to do.
func (e *Exporter) Check(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, CheckTimeout)
		defer cancel()
	}
	client := e.client.newClient()
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("OTLP endpoint %s: %w", e.client.endpoint.Display, err)
	}
	err := client.UploadTraces(e.client.withHeaders(ctx), nil)
	stopErr := client.Stop(context.WithoutCancel(ctx))
	if err != nil {
		return e.explain(err)
	}
	return stopErr
}

func (e *Exporter) explain(err error) error {
	at := e.client.endpoint.Display
	switch status.Code(err) {
	case codes.OK:
		return nil // a partial success of no spans
	case codes.DeadlineExceeded:
		return fmt.Errorf("the OTLP endpoint %s does not answer; is it a gRPC endpoint, and does a firewall let it through? (%s)", at, e.client.endpoint.Source)
	case codes.Unimplemented:
		return fmt.Errorf("the endpoint %s does not accept traces over OTLP/gRPC: %s; is it the OTLP/HTTP port? (%s)", at, reason(err), e.client.endpoint.Source)
	case codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("the OTLP endpoint %s denies access: %s; are the credentials right? (OTEL_EXPORTER_OTLP_HEADERS)", at, reason(err))
	}
	return fmt.Errorf("cannot reach the OTLP endpoint %s: %s; %s (%s)", at, reason(err), advice(err), e.client.endpoint.Source)
}

func advice(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "does it speak plain text? then write http:// before it"
	case strings.Contains(text, "tls:") || strings.Contains(text, "x509:"):
		return "is OTEL_EXPORTER_OTLP_CERTIFICATE right?"
	case strings.Contains(text, "server preface"):
		return "is it a gRPC endpoint? if it wants TLS, write https:// before it"
	case strings.Contains(text, "lookup") || strings.Contains(text, "resolver"):
		return "is the name right?"
	}
	return "is a collector listening there?"
}

// reason returns what went wrong without gRPC's wrappings.
func reason(err error) string {
	if status.Code(err) == codes.DeadlineExceeded {
		return "no answer in time"
	}
	text := err.Error()
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		text = s.GRPCStatus().Message()
	}
	if _, rest, ok := strings.Cut(text, `desc = "`); ok {
		text = strings.TrimSuffix(rest, `"`)
	}
	text = strings.TrimPrefix(text, "transport: Error while dialing: ")
	text = strings.TrimPrefix(text, "transport: ")
	if strings.HasPrefix(text, "dial ") {
		if _, rest, ok := strings.Cut(text, "connect: "); ok {
			text = rest
		}
	}
	return text
}
