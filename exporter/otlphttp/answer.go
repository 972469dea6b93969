// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/delivery"
	"github.com/dwelltrace/dwell/exporter/internal/text"
)

const (
	protobuf = "application/x-protobuf"
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 64 << 10
	// maxMessage is how much of a message is shown, in bytes.
	maxMessage = 200
)

// answer says what became of a request that was answered
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp-response).
func answer(r *http.Response) delivery.Answer {
	said, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if r.StatusCode >= 200 && r.StatusCode <= 299 {
		return taken(r, said, err)
	}
	a := delivery.Answer{Err: errors.New(r.Status), Text: r.Status, Cause: causeOf(r.StatusCode)}
	if m := message(r, said); m != "" {
		a.Text += ": " + m
	}
	switch r.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.Fault, a.After = batch.Passing, retryAfter(r.Header.Get("Retry-After"), time.Now())
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		a.Fault = batch.Denied
	case http.StatusRequestEntityTooLarge:
		a.Fault = batch.TooLarge
	default:
		a.Fault = batch.Final
	}
	return a
}

// taken is for a request that was taken, wholly or in part. An answer that breaks off says that as well as
// one that is complete.
func taken(r *http.Response, said []byte, err error) delivery.Answer {
	var response coltracepb.ExportTraceServiceResponse
	if err != nil || !isProtobuf(r) || proto.Unmarshal(said, &response) != nil {
		return delivery.Answer{}
	}
	p := response.GetPartialSuccess()
	if p.GetRejectedSpans() == 0 && p.GetErrorMessage() == "" {
		return delivery.Answer{}
	}
	return delivery.Answer{Partial: true, Rejected: p.GetRejectedSpans(), Message: p.GetErrorMessage()}
}

func isProtobuf(r *http.Response) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind) == protobuf
}

// message returns what the endpoint says in the body of an error: a status of protobuf, or the text
// of a proxy. A page is left out.
func message(r *http.Response, said []byte) string {
	m := ""
	kind := r.Header.Get("Content-Type")
	switch {
	case isProtobuf(r):
		var s status.Status
		if proto.Unmarshal(said, &s) == nil {
			m = s.GetMessage()
		}
	case strings.HasPrefix(kind, "text/plain"), strings.HasPrefix(kind, "application/json"):
		m = string(said)
	case r.Header.Get("Location") != "":
		m = "it sends us to " + r.Header.Get("Location")
	}
	m, _, _ = strings.Cut(strings.TrimSpace(m), "\n")
	if m = text.Clean(m); len(m) > maxMessage {
		m = strings.ToValidUTF8(m[:maxMessage], "") + "…"
	}
	return m
}

// retryAfter reads a number of seconds or a date (RFC 9110, section 10.2.3); 0 if it is
// neither.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// unanswered is for a request that got no answer.
func unanswered(err error) delivery.Answer {
	a := delivery.Answer{Err: err, Text: reason(err), Fault: batch.Passing, Cause: "unavailable"}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		a.Cause = "deadline_exceeded"
	case errors.Is(err, context.Canceled):
		a.Cause = "canceled"
	}
	return a
}

// reason returns what went wrong without the URL, which the message has anyway.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	m := err.Error()
	if _, rest, ok := strings.Cut(m, "connect: "); ok && strings.HasPrefix(m, "dial ") {
		return rest
	}
	return m
}

// causeOf returns the name of the gRPC status that stands for an HTTP status, so that losses
// are counted alike whatever the protocol.
func causeOf(code int) exporter.Cause {
	switch code {
	case http.StatusBadRequest:
		return "invalid_argument"
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return "unauthenticated"
	case http.StatusForbidden:
		return "permission_denied"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return "unimplemented"
	case http.StatusRequestEntityTooLarge:
		return "resource_exhausted"
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "unavailable"
	}
	return "unknown"
}
