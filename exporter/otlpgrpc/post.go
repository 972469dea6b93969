// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"fmt"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// letter is a request that is already encoded, and what the client does not pass on of
// the answer.
type letter struct {
	payload []byte
	// partial is the endpoint's partial success, which the client itself only reports
	// as an error of an internal type.
	partial *coltracepb.ExportTracePartialSuccess
	// kept is set if gRPC may still be reading the payload: it is done with it only
	// when there is an answer that the endpoint gives after it has read all.
	kept bool
}

type letterKey struct{}

// post sends an encoded request. The client takes only messages, which it would encode
// once more, and differently from what lies in a spool; so it is given an empty one,
// which the interceptor of postOption replaces. A partial success is an error, too.
func (e *Exporter) post(ctx context.Context, payload []byte) (*letter, error) {
	l := &letter{payload: payload}
	err := e.link.get().UploadTraces(context.WithValue(ctx, letterKey{}, l), nil)
	e.link.note(err)
	return l, err
}

func postOption() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		l, ok := ctx.Value(letterKey{}).(*letter)
		if !ok {
			return invoke(ctx, method, request, reply, cc, opts...)
		}
		err := invoke(ctx, method, l, reply, cc, append(opts, grpc.ForceCodecV2(codec{encoding.GetCodecV2(proto.Name)}))...)
		l.partial, l.kept = nil, l.kept || err != nil
		if response, ok := reply.(*coltracepb.ExportTraceServiceResponse); ok && err == nil {
			if p := response.GetPartialSuccess(); p.GetRejectedSpans() != 0 || p.GetErrorMessage() != "" {
				l.partial = p
			}
		}
		return err
	})
}

// codec writes letters as they are and reads answers as usual.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	l, ok := v.(*letter)
	if !ok {
		return nil, fmt.Errorf("a request of type %T is not encoded", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(l.payload)}, nil
}
