// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
)

func id(digit string) string { return strings.Repeat(digit, 64) }

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	return listenAt(t, path), path
}

func listenAt(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// engine is a Docker Engine API that has the container id("a"), and counts the questions.
type engine struct {
	header    http.Header
	labels    string
	questions atomic.Int32
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for k, v := range e.header {
		w.Header()[k] = v
	}
	if r.Method != http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/_ping":
		w.Header().Set("Api-Version", "1.51")
		fmt.Fprint(w, "OK")
	case "/containers/" + id("a") + "/json":
		e.questions.Add(1)
		fmt.Fprintf(w, `{"Id":%q,"Name":"/web","State":{"Pid":1},"Config":{"Image":"nginx","Labels":{%s}}}`, id("a"), e.labels)
	default:
		e.questions.Add(1)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"No such container"}`)
	}
}

func (e *engine) serve(t *testing.T, l net.Listener) {
	t.Helper()
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: e}}
	s.Start()
	t.Cleanup(s.Close)
}

// kubelet is a runtime of the CRI with the container id("b") in the sandbox id("c").
type kubelet struct {
	cri.UnimplementedRuntimeServiceServer
}

func (kubelet) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{RuntimeName: "containerd", RuntimeApiVersion: "v1"}, nil
}

func (kubelet) ContainerStatus(_ context.Context, r *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	if r.GetContainerId() != id("b") {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	return &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{
		Id: id("b"), Metadata: &cri.ContainerMetadata{Name: "app", Attempt: 2},
		Labels: map[string]string{
			"io.kubernetes.container.name": "app", "io.kubernetes.pod.name": "shop-0",
			"io.kubernetes.pod.namespace": "sales", "io.kubernetes.pod.uid": "1-2-3",
		},
	}}, nil
}

func (kubelet) PodSandboxStatus(_ context.Context, r *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	if r.GetPodSandboxId() != id("c") {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id: id("c"), Metadata: &cri.PodSandboxMetadata{Name: "shop-0", Namespace: "sales", Uid: "1-2-3"},
	}}, nil
}

func (k kubelet) serve(t *testing.T, l net.Listener) {
	t.Helper()
	s := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(s, k)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
}

// clock is a clock that only the test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1e9, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func ask(t *testing.T, sockets ...string) (*Names, *clock) {
	t.Helper()
	return askFor(t, time.Minute, sockets...) // a machine may be busy
}

// askFor asks with this timeout.
func askFor(t *testing.T, timeout time.Duration, sockets ...string) (*Names, *clock) {
	t.Helper()
	c := &clock{}
	n := newNames(sockets, c.now, timeout)
	t.Cleanup(n.Close)
	return n, c
}

// told asks, and waits for what has been learnt.
func (n *Names) told(t *testing.T, c trace.Container) trace.Container {
	t.Helper()
	n.Complete(c)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		n.mu.Lock()
		underway := n.known[c.ID].underway
		n.mu.Unlock()
		if !underway {
			return n.Complete(c)
		}
		if time.Now().After(deadline) {
			t.Fatal("no answer")
		}
	}
}

func TestRuntimesAreAsked(t *testing.T) {
	docker, dockerPath := listen(t)
	(&engine{}).serve(t, docker)
	labelled, labelledPath := listen(t)
	(&engine{labels: `"io.kubernetes.pod.name":"shop-0","io.kubernetes.container.name":"app"`}).serve(t, labelled)
	podman, podmanPath := listen(t)
	(&engine{header: http.Header{"Libpod-Api-Version": {"5.4.0"}}}).serve(t, podman)
	containerd, containerdPath := listen(t)
	kubelet{}.serve(t, containerd)
	pod := trace.Pod{Name: "shop-0", Namespace: "sales", UID: "1-2-3"}
	for name, tc := range map[string]struct {
		sockets     []string
		asked, want trace.Container
	}{
		"docker":           {[]string{dockerPath}, trace.Container{ID: id("a")}, trace.Container{ID: id("a"), Name: "web", Runtime: Docker}},
		"cri-dockerd":      {[]string{labelledPath}, trace.Container{ID: id("a"), Pod: trace.Pod{UID: "9"}}, trace.Container{ID: id("a"), Name: "app", Runtime: Docker, Pod: trace.Pod{Name: "shop-0", UID: "9"}}},
		"podman":           {[]string{"unix://" + podmanPath}, trace.Container{ID: id("a")}, trace.Container{ID: id("a"), Name: "web", Runtime: Podman}},
		"CRI":              {[]string{containerdPath}, trace.Container{ID: id("b")}, trace.Container{ID: id("b"), Name: "app", Runtime: "containerd", Pod: pod}},
		"CRI, sandbox":     {[]string{containerdPath}, trace.Container{ID: id("c")}, trace.Container{ID: id("c"), Runtime: "containerd", Pod: pod}},
		"second of two":    {[]string{dockerPath, containerdPath}, trace.Container{ID: id("b"), Runtime: CRIO}, trace.Container{ID: id("b"), Name: "app", Runtime: CRIO, Pod: pod}},
		"one is not there": {[]string{"/nowhere", dockerPath}, trace.Container{ID: id("a")}, trace.Container{ID: id("a"), Name: "web", Runtime: Docker}},
		"nobody knows it":  {[]string{dockerPath, containerdPath}, trace.Container{ID: id("d"), Runtime: Podman}, trace.Container{ID: id("d"), Runtime: Podman}},
		"nobody to ask":    {nil, trace.Container{ID: id("d")}, trace.Container{ID: id("d")}},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := ask(t, tc.sockets...)
			if diff := cmp.Diff(tc.want, n.told(t, tc.asked)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What was told is not asked for again until it is old; that there is nothing to tell is
// remembered, too.
func TestAnswersAreKept(t *testing.T) {
	l, path := listen(t)
	e := &engine{}
	e.serve(t, l)
	n, c := ask(t, path)
	there, missing := trace.Container{ID: id("a")}, trace.Container{ID: id("d")}
	questions := func(want int32) {
		t.Helper()
		n.told(t, there)
		n.told(t, missing)
		if got := e.questions.Load(); got != want {
			t.Errorf("%d questions, want %d", got, want)
		}
	}
	questions(2)
	if got := n.Answers(); got != 1 {
		t.Errorf("%d answers, want 1", got)
	}
	c.advance(missingFor - time.Second)
	questions(2)
	c.advance(time.Second)
	questions(3)
	c.advance(goodFor)
	questions(5)
	if got := n.Answers(); got != 1 {
		t.Errorf("%d answers after the same was told again, want 1", got)
	}
	c.advance(2 * forgetAfter)
	n.told(t, there)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) != 1 {
		t.Errorf("%d answers are kept, want 1", len(n.known))
	}
}

// A runtime that is away is not asked each time, and is found when it is back.
func TestRuntimeComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	n, c := ask(t, path)
	web := trace.Container{ID: id("a")}
	if got := n.told(t, web); got != web {
		t.Errorf("%+v from nobody", got)
	}
	(&engine{}).serve(t, listenAt(t, path))
	if got := n.told(t, web); got != web {
		t.Errorf("%+v was asked for again at once", got)
	}
	c.advance(failedFor)
	if got := n.told(t, web).Name; got != "web" {
		t.Errorf("%q, want web", got)
	}
}

// A runtime that takes connections and says nothing keeps nobody waiting: this would take
// an hour.
func TestRuntimeKeepsNobodyWaiting(t *testing.T) {
	_, path := listen(t)
	n, _ := askFor(t, time.Hour, path)
	c := trace.Container{Runtime: Docker}
	for i := range 10 * maxWaiting {
		c.ID = fmt.Sprintf("%064x", i)
		if got := n.Complete(c); got != c {
			t.Fatalf("%+v", got)
		}
	}
}

// It is given up, and not asked again at once.
func TestRuntimeSaysNothing(t *testing.T) {
	_, path := listen(t)
	n, _ := askFor(t, 20*time.Millisecond, path)
	web := trace.Container{ID: id("a"), Runtime: Docker}
	if got := n.told(t, web); got != web {
		t.Errorf("%+v", got)
	}
	if _, err := n.ask(t.Context(), web); err == nil || !strings.Contains(err.Error(), "not queried again") {
		t.Errorf("asked again: %v", err)
	}
}
