// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"strings"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// upload sends one batch and says what became of it. Whether it may be tried again
// only matters to who tries again.
func (e *Exporter) upload(ctx context.Context, b spool.Batch) batch.Verdict {
	r, err := e.send(ctx, b.Payload)
	v := batch.Verdict{Kept: r.kept}
	switch {
	case err == nil:
		e.recovered()
	case r.partial != nil:
		v.Result = e.rejected(r.partial, b.Count)
	default:
		e.failed(err)
		v.Result = batch.Result{Lost: b.Count, Cause: causeOf(err)}
		v.Again, v.After = retryable(err)
	}
	return v
}

// retryable reports whether the protocol lets a request be sent again after err, and
// for how long the server asks to be left alone
// (https://opentelemetry.io/docs/specs/otlp/#failures and #otlpgrpc-throttling):
// RESOURCE_EXHAUSTED is final unless the server says when to come back.
func retryable(err error) (again bool, after time.Duration) {
	s := status.Convert(err)
	info := retryInfo(s)
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return true, info.GetRetryDelay().AsDuration()
	case codes.ResourceExhausted:
		return info != nil, info.GetRetryDelay().AsDuration()
	}
	return false, 0
}

func retryInfo(s *status.Status) *errdetails.RetryInfo {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}

func (e *Exporter) recovered() {
	if e.failing.Set(false) {
		e.log.Info("export recovered", "lost", e.Stats().LostString())
	}
	if e.rejecting.Set(false) {
		e.log.Info("the endpoint accepts all spans again", "lost", e.Stats().LostString())
	}
}

func (e *Exporter) failed(err error) {
	e.mu.Lock()
	e.lastErr = err
	e.mu.Unlock()
	if e.failing.Set(true) {
		e.log.Warn("export is failing; "+e.consequence(err), "error", reason(err))
	}
}

func (e *Exporter) consequence(err error) string {
	if again, _ := retryable(err); again && e.spool != nil {
		return "traces are kept and retried"
	}
	return "undeliverable traces are dropped and counted"
}

// rejected is for a request that was taken in part. A message without rejected
// spans is a warning of the endpoint's.
func (e *Exporter) rejected(p *coltracepb.ExportTracePartialSuccess, sent exporter.Count) batch.Result {
	if e.failing.Set(false) {
		e.log.Info("export recovered", "lost", e.Stats().LostString())
	}
	if e.rejecting.Set(true) {
		e.log.Warn("the endpoint rejects some spans", "rejected_spans", p.RejectedSpans, "message", p.ErrorMessage)
	}
	lost := exporter.Count{Spans: min(max(p.RejectedSpans, 0), sent.Spans)}
	if lost.Spans == sent.Spans {
		lost = sent
	}
	return batch.Result{Lost: lost, Cause: exporter.CauseRejected}
}

// causeOf returns the name of the error's gRPC status code.
func causeOf(err error) exporter.Cause {
	return exporter.Cause(strings.ToLower(code.Code(status.Code(err)).String()))
}
