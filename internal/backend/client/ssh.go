// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// tunnel is an ssh process that forwards a unix socket of this host to one of another. One
// ssh serves all connections, and the other host needs nothing but sshd: who has logged in
// is whom the agent takes for the caller.
type tunnel struct {
	local  string
	dir    string
	cancel context.CancelFunc
	done   chan struct{}
}

// sshReady is what ssh has printed once it forwards. LocalCommand runs after that.
const sshReady = "ready"

// remote is another host's agent: a tunnel to it, and another one when that has broken.
type remote struct {
	url *url.URL
	// ctx is done when the client is closed.
	ctx  context.Context //nolint:containedctx // of the whole life of remote
	stop context.CancelFunc

	mu     sync.Mutex
	tunnel *tunnel
}

// openRemote starts ssh and waits until it forwards. It may ask for passwords on the terminal.
func openRemote(ctx context.Context, u *url.URL, stderr io.Writer) (*remote, error) {
	t, err := openTunnel(ctx, u, stderr)
	if err != nil {
		return nil, err
	}
	r := &remote{url: u, tunnel: t}
	r.ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// unattended are the options of an ssh that must not ask for anything: the terminal may be in
// use by now.
func unattended() []string { return []string{"-o", "BatchMode=yes", "-o", "ConnectTimeout=10"} }

// dial connects to the agent, by another ssh if the last one has ended.
func (r *remote) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	select {
	case <-r.tunnel.done:
		t, err := openTunnel(r.ctx, r.url, nil, unattended()...)
		if err != nil {
			return nil, err
		}
		r.tunnel.close()
		r.tunnel = t
	default:
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", r.tunnel.local)
}

// close ends ssh.
func (r *remote) close() {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tunnel.close()
}

// openTunnel starts ssh with more options and waits until it forwards.
func openTunnel(ctx context.Context, u *url.URL, stderr io.Writer, more ...string) (*tunnel, error) {
	dir, err := os.MkdirTemp("", "dwell-")
	if err != nil {
		return nil, err
	}
	t := &tunnel{local: filepath.Join(dir, "agent.sock"), dir: dir, done: make(chan struct{})}
	args, err := sshArgs(u, t.local, more...)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	var said bytes.Buffer
	cmd := exec.CommandContext(run, "ssh", args...)
	cmd.Stderr = &said
	if stderr != nil {
		cmd.Stderr = io.MultiWriter(&said, stderr)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot start ssh: %w", err)
	}
	ready := make(chan bool, 1)
	go func() {
		defer close(t.done)
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- strings.TrimSpace(line) == sshReady
		_ = cmd.Wait() // why it has ended it says on standard error
	}()
	select {
	case <-ctx.Done():
		t.close()
		return nil, ctx.Err()
	case ok := <-ready:
		if ok {
			return t, nil
		}
	}
	t.close()
	if stderr != nil { // whoever asks has read it already
		return nil, fmt.Errorf("ssh to %s failed", u.Host)
	}
	return nil, fmt.Errorf("ssh to %s failed: %s", u.Host, strings.TrimSpace(said.String()))
}

// sshArgs returns the arguments that make ssh forward local to the socket that u names, more
// among them.
func sshArgs(u *url.URL, local string, more ...string) ([]string, error) {
	socket := u.Path
	if socket == "" || socket == "/" {
		socket = api.DefaultSocket
	}
	host := u.Hostname()
	user := u.User.Username()
	switch _, password := u.User.Password(); {
	case host == "" || strings.HasPrefix(host, "-") || strings.HasPrefix(user, "-"):
		return nil, errors.New("the backend has no host that ssh would accept: write ssh://user@host[/path]")
	case password:
		return nil, errors.New("the backend has a password in it, which others can read; use a key, or let ssh ask")
	case strings.ContainsAny(socket, ":\n\x00"):
		return nil, fmt.Errorf("the path of the socket, %q, has a character that ssh cannot forward to", socket)
	}
	args := []string{
		"-N", "-T", "-x", "-a", "-L", local + ":" + socket,
		"-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindMask=0177", "-o", "ControlPath=none",
		"-o", "ServerAliveInterval=5", "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo " + sshReady,
	}
	args = append(args, more...)
	if p := u.Port(); p != "" {
		args = append(args, "-p", p)
	}
	if user != "" {
		args = append(args, "-l", user)
	}
	return append(args, "--", host), nil
}

// close ends ssh.
func (t *tunnel) close() {
	t.cancel()
	<-t.done
	os.RemoveAll(t.dir)
}
