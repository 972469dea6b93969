// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"fmt"
	"slices"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/dwelltrace/dwell/exporter"
)

// encodedRequest is a request, and what the client does not pass on of the answer.
type encodedRequest struct {
	payload []byte
	// options are of the call.
	options []grpc.CallOption
	// partial is the endpoint's partial success, which the client itself only reports
	// as an error of an internal type.
	partial *coltracepb.ExportTracePartialSuccess
	// kept is set if gRPC may still be reading the payload: it is done with it only
	// when there is an answer that the endpoint gives after it has read all.
	kept bool
}

// compressed says how a request is to be compressed: that of a connection is the environment's,
// and there is none where connections are shared.
func compressed(c exporter.Compression) []grpc.CallOption {
	switch c {
	case exporter.Gzip:
		return []grpc.CallOption{grpc.UseCompressor(gzip.Name)}
	case exporter.Uncompressed:
		return []grpc.CallOption{grpc.UseCompressor(encoding.Identity)}
	}
	return nil
}

type requestKey struct{}

func sendOption() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		r, ok := ctx.Value(requestKey{}).(*encodedRequest)
		if !ok {
			return invoke(ctx, method, request, reply, cc, opts...)
		}
		err := invoke(ctx, method, r, reply, cc, slices.Concat(opts, r.options, []grpc.CallOption{grpc.ForceCodecV2(codec{encoding.GetCodecV2(proto.Name)})})...)
		r.partial, r.kept = nil, r.kept || err != nil
		if response, ok := reply.(*coltracepb.ExportTraceServiceResponse); ok && err == nil {
			if p := response.GetPartialSuccess(); p.GetRejectedSpans() != 0 || p.GetErrorMessage() != "" {
				r.partial = p
			}
		}
		return err
	})
}

// codec writes an encodedRequest as it is and reads answers as usual.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*encodedRequest)
	if !ok {
		return nil, fmt.Errorf("a request of type %T is not encoded", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(r.payload)}, nil
}
