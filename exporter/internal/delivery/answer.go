// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// Transport is a way to an endpoint.
type Transport interface {
	// Send makes one request of the payload, an encoded ExportTraceServiceRequest, and
	// returns when there is an answer, when the time for a try is over, or soon after ctx is
	// done. It may be called concurrently.
	Send(ctx context.Context, payload []byte) Answer
	// Renew reads the credentials again. The next requests have them.
	Renew() error
	// Close ends the connection. Nothing is being sent any more.
	Close(ctx context.Context) error
}

// Answer is what became of a request.
type Answer struct {
	// Err is nil if the request was taken, Text is Err for people, and Cause is what the
	// spans are counted as if they are not sent again.
	Err   error
	Text  string
	Cause exporter.Cause
	// Fault says whether they are, and After how long the endpoint asks to wait before.
	Fault batch.Fault
	After time.Duration
	// Partial is set if the request was taken in part, or with a warning: Message says why,
	// and Rejected how many spans were not taken. Err does not matter then.
	Partial  bool
	Rejected int64
	Message  string
	// Kept is set if the payload may still be in use.
	Kept bool
}

// try sends one batch and says what became of it.
func (e *Exporter) try(ctx context.Context, b spool.Batch) batch.Verdict {
	a := e.transport.Send(ctx, b.Payload)
	v := batch.Verdict{Kept: a.Kept}
	switch {
	case a.Partial:
		v.Result = e.rejected(&a, b.Count)
	case a.Err == nil:
		e.recovered()
	default:
		e.failed(ctx, &a, b)
		v.Result = batch.Result{Lost: b.Count, Cause: a.Cause}
		v.Fault, v.After = a.Fault, a.After
	}
	return v
}

func (e *Exporter) recovered() {
	e.reachable()
	if e.rejecting.Set(false) {
		e.log.Info("the endpoint accepts all spans again", "lost", e.Stats().LostString())
	}
}

// reachable notes that the endpoint takes requests.
func (e *Exporter) reachable() {
	failed, denied := e.failing.Set(false), e.denied.Set(false)
	if failed || denied {
		e.log.Info("export recovered", "lost", e.Stats().LostString())
	}
}

func (e *Exporter) failed(ctx context.Context, a *Answer, b spool.Batch) {
	e.mu.Lock()
	e.lastErr = a.Text
	e.mu.Unlock()
	switch {
	case ctx.Err() != nil: // it is ours that it was cut short
	case a.Fault == batch.TooLarge && b.Count.Traces > 1: // is sent in two
	case a.Fault == batch.TooLarge:
		if e.large.Set(true) {
			e.log.Warn("a single trace is larger than the endpoint's limit for a message; such traces are dropped and counted", "bytes", len(b.Payload), "spans", b.Count.Spans)
		}
	case a.Fault == batch.Denied:
		renewed := e.transport.Renew()
		if e.denied.Set(true) {
			e.log.Warn("the endpoint denies access; "+e.consequence(a.Fault)+"; are the credentials right?", "error", a.Text)
		}
		if e.unread.Set(renewed != nil) && renewed != nil {
			e.log.Warn("credentials cannot be read again", "error", renewed)
		}
	case e.failing.Set(true):
		e.log.Warn("export is failing; "+e.consequence(a.Fault), "error", a.Text)
	}
}

func (e *Exporter) consequence(f batch.Fault) string {
	spooled := e.spooled()
	switch {
	case f == batch.Denied && spooled:
		return "traces are kept and retried, now and then, with credentials that are read again"
	case f == batch.Exhausted && spooled:
		return "traces are kept and retried for " + e.options.Patience.String()
	case f == batch.Passing && spooled:
		return "traces are kept and retried"
	}
	return "undeliverable traces are dropped and counted"
}

// rejected is for a request that was taken in part. A message without rejected
// spans is a warning of the endpoint's.
func (e *Exporter) rejected(a *Answer, sent exporter.Count) batch.Result {
	e.reachable()
	if e.rejecting.Set(true) {
		e.log.Warn("the endpoint rejects some spans", "rejected_spans", a.Rejected, "message", a.Message)
	}
	lost := exporter.Count{Spans: min(max(a.Rejected, 0), sent.Spans)}
	if lost.Spans == sent.Spans {
		lost = sent
	}
	return batch.Result{Lost: lost, Cause: exporter.CauseRejected}
}
