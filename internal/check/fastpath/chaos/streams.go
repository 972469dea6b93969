// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a TCP connection may make no progress.
const patience = 30 * time.Second

// traffic is what runs all the time.
type traffic struct {
	streams []*stream
	echoes  []*echo
	work    sync.WaitGroup
	stop    context.CancelFunc
}

// stream is a TCP connection over which numbered bytes go, mostly one way.
type stream struct {
	name  string
	bytes atomic.Int64
	mu    sync.Mutex
	err   error
}

// echo are datagrams that are answered.
type echo struct {
	name                string
	sent, got, overtook atomic.Int64
}

// start begins all traffic.
func (w *world) traffic() (*traffic, error) {
	ctx, stop := context.WithCancel(context.Background())
	t := &traffic{stop: stop}
	for _, s := range []struct {
		name, from, to, addr, listen string
		down                         bool
	}{
		{"guest to server", space0, outside, at(w.server, 5001), at(w.server, 5001), false},
		{"server to guest", space0, outside, at(w.server, 5002), at(w.server, 5002), true},
		{"outside to a guest's port", outside, space1, at(w.uplink, 2200), at(w.guest1, 22), false},
		{"guest to guest", space0, space1, at(w.guest1, 5003), at(w.guest1, 5003), false},
		{"tenant to tenant", space0, space2, at(w.guest2, 5004), at(w.guest2, 5004), false},
	} {
		st := &stream{name: s.name}
		t.streams = append(t.streams, st)
		if err := w.stream(ctx, t, st, s.from, s.to, s.addr, s.listen, s.down); err != nil {
			return t, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for _, e := range []struct{ name, from, to, addr string }{
		{"echo by guest0", space0, outside, at(w.echoer, 7000)},
		{"echo that is forbidden at times", space0, outside, at(w.echoer, 9000)},
		{"echo by guest1", space1, outside, at(w.echoer, 7001)},
		{"echo of guest0 by guest1", space1, space0, at(w.guest0, 7002)},
		{"echo across tenants", space2, space1, at(w.guest1, 7003)},
	} {
		ec := &echo{name: e.name}
		t.echoes = append(t.echoes, ec)
		if err := w.echo(ctx, t, ec, e.from, e.to, e.addr); err != nil {
			return t, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return t, nil
}

// at is a port of an address, as the library for networks writes it.
func at(addr string, port int) string { return net.JoinHostPort(addr, strconv.Itoa(port)) }

// end stops all and returns what went wrong with connections.
func (t *traffic) end() error {
	t.stop()
	t.work.Wait()
	var errs []error
	for _, s := range t.streams {
		if s.err != nil {
			errs = append(errs, fmt.Errorf("the connection %s, after %d bytes: %w", s.name, s.bytes.Load(), s.err))
		}
	}
	return errors.Join(errs...)
}

func (s *stream) fail(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && ctx.Err() == nil {
		s.err = err
	}
}

// stream connects, and lets one side send; down: the one that was called.
func (w *world) stream(ctx context.Context, t *traffic, s *stream, from, to, addr, listen string, down bool) error {
	var l net.Listener
	err := w.spaces[to].Do(func() (err error) {
		l, err = net.Listen("tcp", listen)
		return err
	})
	if err != nil {
		return err
	}
	defer l.Close()
	var caller net.Conn
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- c
	}()
	err = w.spaces[from].Do(func() (err error) {
		d := net.Dialer{Timeout: patience}
		if from == outside { // its default is the router's own address
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(w.server)}
		}
		caller, err = d.DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return err
	}
	called, ok := <-accepted
	if !ok {
		return errors.Join(errors.New("nobody was called"), caller.Close())
	}
	sender, receiver := caller, called
	if down {
		sender, receiver = called, caller
	}
	for _, c := range []net.Conn{caller, called} {
		context.AfterFunc(ctx, func() { _ = c.Close() })
	}
	t.work.Go(func() { s.fail(ctx, s.send(ctx, sender)) })
	t.work.Go(func() { s.fail(ctx, s.receive(receiver)) })
	t.work.Go(func() { s.fail(ctx, pulse(ctx, receiver)) })
	t.work.Go(func() { _, _ = io.Copy(io.Discard, sender) })
	return nil
}

// pulse sends a byte now and then: if connection tracking has forgotten a connection that is translated, it
// learns of it anew only from the guest's side, which otherwise has nothing to say.
func pulse(ctx context.Context, c net.Conn) error {
	const often = 50 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := c.Write([]byte{0}); err != nil {
			return err
		}
	}
}

// send sends some bytes often, so that there are packets all the time and the machine is not only
// busy with them.
func (s *stream) send(ctx context.Context, c net.Conn) error {
	const often = 5 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	buf := make([]byte, 24<<10)
	for n := uint64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for i := 0; i < len(buf); i += 8 {
			binary.LittleEndian.PutUint64(buf[i:], n)
			n++
		}
		if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
}

func (s *stream) receive(c net.Conn) error {
	var number [8]byte
	buf := make([]byte, 64<<10)
	for n, have := uint64(0), 0; ; {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		k, err := c.Read(buf)
		for _, b := range buf[:k] {
			number[have] = b
			if have++; have == len(number) {
				if got := binary.LittleEndian.Uint64(number[:]); got != n {
					return fmt.Errorf("number %d came instead of %d", got, n)
				}
				n, have = n+1, 0
			}
		}
		s.bytes.Add(int64(k))
		if errors.Is(err, io.EOF) {
			return errors.New("it was closed")
		}
		if err != nil {
			return err
		}
	}
}

// ping has guest0 ping a server all the time, so that there is something to be traced.
func (w *world) ping(t *traffic) error {
	ctx, stop := context.WithCancel(context.Background())
	all := t.stop
	t.stop = func() {
		stop()
		all()
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--net=/run/netns/"+w.prefix+space0, "ping", "-n", "-q", "-i", "0.02", w.server)
	if err := cmd.Start(); err != nil {
		return err
	}
	t.work.Go(func() { _ = cmd.Wait() }) // it is ended by a signal
	return nil
}

// echo sends numbered datagrams to who answers them.
func (w *world) echo(ctx context.Context, t *traffic, e *echo, from, to, addr string) error {
	var server net.PacketConn
	var client net.Conn
	err := w.spaces[to].Do(func() (err error) {
		server, err = net.ListenPacket("udp", addr)
		return err
	})
	if err != nil {
		return err
	}
	err = w.spaces[from].Do(func() (err error) {
		client, err = net.Dial("udp", addr)
		return err
	})
	if err != nil {
		return errors.Join(err, server.Close())
	}
	context.AfterFunc(ctx, func() { _, _ = server.Close(), client.Close() })
	t.work.Go(func() {
		buf := make([]byte, 2000)
		for ctx.Err() == nil {
			if n, from, err := server.ReadFrom(buf); err == nil {
				_, _ = server.WriteTo(buf[:n], from) // what is refused now may be answered later
			}
		}
	})
	t.work.Go(func() { e.send(ctx, client) })
	t.work.Go(func() { e.receive(ctx, client) })
	return nil
}

func (e *echo) send(ctx context.Context, c net.Conn) {
	const often = 2 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		n := e.sent.Add(1)
		b := make([]byte, 8+n%1200)
		binary.LittleEndian.PutUint64(b, uint64(n))
		_, _ = c.Write(b) // what is refused now may get through later
	}
}

func (e *echo) receive(ctx context.Context, c net.Conn) {
	buf := make([]byte, 2000)
	for last := uint64(0); ctx.Err() == nil; {
		n, err := c.Read(buf)
		if err != nil || n < 8 {
			continue
		}
		e.got.Add(1)
		number := binary.LittleEndian.Uint64(buf)
		if number < last {
			e.overtook.Add(1)
		}
		last = max(last, number)
	}
}
