// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/delivery"
)

// answer says what became of a request.
func answer(r *encodedRequest, err error) delivery.Answer {
	a := delivery.Answer{Err: err, Kept: r.kept}
	if r.partial != nil {
		a.Partial, a.Rejected, a.Message = true, r.partial.GetRejectedSpans(), r.partial.GetErrorMessage()
		return a
	}
	if err != nil {
		a.Text, a.Cause = reason(err), causeOf(err)
		a.Fault, a.After = faultOf(err)
	}
	return a
}

// faultOf says whether a request may be sent again after err, and for how long the server
// asks to be left alone (https://opentelemetry.io/docs/specs/otlp/#failures and
// #otlpgrpc-throttling). The protocol has RESOURCE_EXHAUSTED final unless the server says when
// to come back; but quotas are renewed, and a message that is too large can be cut.
func faultOf(err error) (batch.Fault, time.Duration) {
	s := status.Convert(err)
	info := retryInfo(s)
	after := info.GetRetryDelay().AsDuration()
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return batch.Passing, after
	case codes.Unauthenticated, codes.PermissionDenied:
		return batch.Denied, after
	case codes.ResourceExhausted:
		switch {
		case tooLarge(s.Message()):
			return batch.TooLarge, 0
		case info == nil:
			return batch.Exhausted, 0
		}
		return batch.Passing, after
	}
	return batch.Final, 0
}

// tooLarge reports whether a message of RESOURCE_EXHAUSTED is about the size of the request.
// Nothing but the text says so: that of grpc-go and of the C++ library is "received message
// larger than max", that of Java "gRPC message exceeds maximum size", and that of .NET
// "Received message exceeds the maximum configured message size".
func tooLarge(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "larger than max") || strings.Contains(m, "message exceeds")
}

func retryInfo(s *status.Status) *errdetails.RetryInfo {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}

// causeOf returns the name of the error's gRPC status code.
func causeOf(err error) exporter.Cause {
	return exporter.Cause(strings.ToLower(code.Code(status.Code(err)).String()))
}
