// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// DefaultSockets are where docker, podman, containerd, CRI-O, k3s and cri-dockerd listen
// unless configured otherwise. Most machines have one of them at most.
func DefaultSockets() []string {
	return []string{
		"/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
		"/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock", "/run/cri-dockerd.sock",
	}
}

// runtime is a container runtime that can be asked.
type runtime interface {
	// describe returns errNotFound if the runtime has no such container.
	describe(ctx context.Context, id string) (trace.Container, error)
	close()
}

var errNotFound = errors.New("no such container")

const (
	// queryTimeout bounds a query of one socket.
	queryTimeout = 2 * time.Second
	// A socket that does not answer is tried again after retryFirst, then after twice as
	// long each time, up to retryLast.
	retryFirst = 5 * time.Second
	retryLast  = 5 * time.Minute
)

// socket is where a runtime listens. One goroutine uses it.
type socket struct {
	path    string
	timeout time.Duration // bounds a query
	runtime runtime       // nil while none answers
	// after is when to try again, wait how long that was from the last failure.
	after time.Time
	wait  time.Duration
}

func newSocket(path string, timeout time.Duration) *socket {
	return &socket{path: strings.TrimPrefix(path, "unix://"), timeout: timeout}
}

// describe asks for a container. It connects if need be.
func (s *socket) describe(ctx context.Context, id string, now time.Time) (trace.Container, error) {
	if now.Before(s.after) {
		return trace.Container{}, fmt.Errorf("%s is not queried again before %v", s.path, s.after)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.connect(ctx)
	if err == nil {
		var c trace.Container
		if c, err = s.runtime.describe(ctx, id); err == nil || errors.Is(err, errNotFound) {
			s.wait = 0
			return c, err
		}
	}
	s.close()
	s.wait = min(max(2*s.wait, retryFirst), retryLast)
	s.after = now.Add(s.wait)
	return trace.Container{}, err
}

// connect finds out what is spoken at the socket.
func (s *socket) connect(ctx context.Context) error {
	if s.runtime != nil {
		return nil
	}
	if _, err := os.Stat(s.path); err != nil {
		return err
	}
	// Half of the time for each, as the one may just say nothing to the other's client.
	half, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	docker, dockerErr := dialDocker(half, s.path)
	if dockerErr == nil {
		s.runtime = docker
		return nil
	}
	cri, err := dialCRI(ctx, s.path)
	if err != nil {
		return errors.Join(dockerErr, err)
	}
	s.runtime = cri
	return nil
}

func (s *socket) close() {
	if s.runtime != nil {
		s.runtime.close()
		s.runtime = nil
	}
}
