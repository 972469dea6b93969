// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// sink answers every gRPC request with an empty message, which is what OTLP says when all
// is well, and counts what came.
type sink struct {
	server          *grpc.Server
	listener        net.Listener
	done            chan struct{}
	requests, bytes atomic.Int64
}

func startSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, done: make(chan struct{})}
	s.server = grpc.NewServer(grpc.ForceServerCodecV2(s), grpc.MaxRecvMsgSize(64<<20),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			if err := stream.RecvMsg(nil); err != nil {
				return err
			}
			s.requests.Add(1)
			return stream.SendMsg(nil)
		}))
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with stop
	}()
	return s, nil
}

func (s *sink) address() string { return s.listener.Addr().String() }

func (s *sink) stop() {
	s.server.Stop()
	<-s.done
}

// Marshal, Unmarshal and Name implement encoding.CodecV2: nothing is decoded.
func (s *sink) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

// Unmarshal counts the bytes.
func (s *sink) Unmarshal(data mem.BufferSlice, _ any) error {
	s.bytes.Add(int64(data.Len()))
	return nil
}

// Name of the codec; clients do not see it.
func (s *sink) Name() string { return "count" }
