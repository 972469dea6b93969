// SPDX-License-Identifier: Apache-2.0

// Package otlpsink is an OTLP/gRPC endpoint for long checks: it counts what comes, keeps nothing
// of it but which traces there were, and refuses or delays as it is told.
package otlpsink

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// ID is a trace ID.
type ID [16]byte

// Behaviour is what the endpoint does with a request.
type Behaviour struct {
	// Code is what it answers; OK takes the spans.
	Code codes.Code
	// Delay is how long it takes to answer.
	Delay time.Duration
}

// Counts is what came so far and was taken; what was refused does not count.
type Counts struct {
	Requests, Bytes, Spans int64
	// Refused is how many requests were.
	Refused int64
}

// Sink is the endpoint.
type Sink struct {
	// OnTrace, if set before Listen, is called for the spans of each trace in a request that is
	// taken, by several goroutines.
	OnTrace func(id ID, spans int)

	mu       sync.Mutex
	address  string
	server   *grpc.Server
	served   chan struct{}
	does     Behaviour
	taken    Counts
	quitting chan struct{}
}

// Listen begins to answer, at the address where it did before, if it did.
func (s *Sink) Listen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" {
		s.address = "127.0.0.1:0"
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	s.address = l.Addr().String()
	s.served, s.quitting = make(chan struct{}), make(chan struct{})
	s.server = grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(64<<20),
		grpc.UnknownServiceHandler(s.handle(s.quitting)))
	go func(server *grpc.Server, served chan struct{}) {
		defer close(served)
		_ = server.Serve(l) // ends with Hang
	}(s.server, s.served)
	return nil
}

// Address is where it answers.
func (s *Sink) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Behave says what it does from now on.
func (s *Sink) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.does = b
}

// Counts returns what came so far.
func (s *Sink) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// Close cuts all connections and answers no more, until Listen.
func (s *Sink) Close() {
	s.mu.Lock()
	server, served := s.server, s.served
	if server != nil {
		close(s.quitting)
	}
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		server.Stop()
		<-served
	}
}

// handle answers one request at a time of a stream, which has one.
func (s *Sink) handle(quitting chan struct{}) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		var request message
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		s.mu.Lock()
		does := s.does
		s.mu.Unlock()
		if does.Delay > 0 {
			timer := time.NewTimer(does.Delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-quitting:
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
		if does.Code != codes.OK {
			s.mu.Lock()
			s.taken.Refused++
			s.mu.Unlock()
			return status.Error(does.Code, "as it was told")
		}
		s.take(request)
		return stream.SendMsg(message(nil)) // an empty ExportTraceServiceResponse
	}
}

// take counts a request. Spans of a trace need not be next to each other.
func (s *Sink) take(request message) {
	spans, traces := int64(0), map[ID]int{}
	eachSpan(request, func(id ID) {
		spans++
		if s.OnTrace != nil {
			traces[id]++
		}
	})
	for id, n := range traces {
		s.OnTrace(id, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken.Requests++
	s.taken.Bytes += int64(len(request))
	s.taken.Spans += spans
}

// message is an encoded one.
type message []byte

// codec leaves messages encoded.
type codec struct{}

func (codec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*message) = data.Materialize() //nolint:forcetypeassert // it is what handle receives
	return nil
}

// Name of the codec; clients do not see it.
func (codec) Name() string { return "encoded" }
