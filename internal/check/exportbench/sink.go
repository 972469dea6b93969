// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// serveSink is an OTLP endpoint that counts spans and looks at nothing else in them. It
// writes its address, and for every line that it reads the count since the last one.
func serveSink(ctx context.Context, in io.Reader, out io.Writer) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var spans atomic.Int64
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{encoding.GetCodecV2(proto.Name)}), grpc.UnknownServiceHandler(
		func(_ any, stream grpc.ServerStream) error {
			var request raw
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			spans.Add(countSpans(request))
			return stream.SendMsg(raw(nil)) // an empty ExportTraceServiceResponse
		}))
	defer server.Stop()
	go server.Serve(l) //nolint:errcheck // ends with the process
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if _, err := fmt.Fprintln(out, spans.Swap(0)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// raw is an encoded message.
type raw []byte

// rawCodec leaves messages encoded.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*raw)
	if !ok {
		return errors.New("not a raw message")
	}
	*r = data.Materialize()
	return nil
}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(raw)
	if !ok {
		return nil, errors.New("not a raw message")
	}
	return mem.BufferSlice{mem.SliceBuffer(r)}, nil
}

// countSpans returns how many spans are in an encoded ExportTraceServiceRequest: those
// in field 2 of what is in field 2 of its field 1.
func countSpans(request []byte) (n int64) {
	each(request, 1, func(resource []byte) {
		each(resource, 2, func(scope []byte) {
			each(scope, 2, func([]byte) { n++ })
		})
	})
	return n
}

// each calls f with each message in the given field of a message.
func each(message []byte, field protowire.Number, f func([]byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return
		}
		if number == field && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			f(value)
		}
		message = message[size:]
	}
}
