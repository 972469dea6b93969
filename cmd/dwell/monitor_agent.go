// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/monitor"
)

// agentOf is an agent as one tenant sees it, or the operator.
type agentOf struct {
	client          *client.Client
	tenant, backend string
	stream          client.StreamOptions
	// opened is set after the first stream.
	opened bool
}

var _ monitor.Backend = (*agentOf)(nil)

// Summary says what was counted.
func (a *agentOf) Summary(ctx context.Context) (*api.Summary, error) {
	s, err := a.client.Summary(ctx, a.tenant)
	return &s, err
}

// Stream opens the stream of traces. Those after the first begin with some of the last traces:
// they passed while there was no stream.
func (a *agentOf) Stream(ctx context.Context) (monitor.Stream, error) {
	if a.opened {
		a.stream.Last = max(a.stream.Last, defaultLast)
	}
	s, err := a.client.Traces(ctx, a.tenant, a.stream)
	if err != nil {
		return nil, err
	}
	a.opened = true
	return s, nil
}

// explain says in words what the agent's refusal comes to, and what to do.
func (a *agentOf) explain(ctx context.Context, err error) error {
	switch code := client.Code(err); {
	case err == nil:
		return nil
	case code == api.CodeUnknownTenant:
		return fmt.Errorf("the agent knows no tenant %q; %s", a.tenant, a.mine(ctx))
	case code == api.CodeNotYours && a.tenant == "":
		return fmt.Errorf("to see all pings, you must be an operator (api: operators in the agent's configuration); %s", a.mine(ctx))
	case code == api.CodeNotYours:
		return fmt.Errorf("there is no tenant %q, or you may not see it; %s", a.tenant, a.mine(ctx))
	}
	socket, local := strings.CutPrefix(a.backend, "unix://")
	switch {
	case strings.HasPrefix(a.backend, "ssh:") && hungUp(err):
		return fmt.Errorf("ssh reaches the host, but not the socket there (%w): is dwell agent running, is api.socket the path that --backend names, and may the user who has logged in use it?", err)
	case !local:
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no socket %s: is dwell agent running, and is api.socket set in its configuration? (--backend names another)", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you have no right to use the socket %s: %s", socket, whoMay(socket))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on the socket %s: dwell agent is not running, or listens elsewhere (--backend)", socket)
	}
	return err
}

// hungUp reports whether the other side ended the connection without a word, as ssh does if it
// cannot connect to the socket.
func hungUp(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// mine says which tenants the caller may see.
func (a *agentOf) mine(ctx context.Context) string {
	list, err := a.client.Tenants(ctx)
	if err == nil && list.Operator && len(list.Tenants) == 0 {
		return "there is no tenant in force: the agent's configuration has none, or its log says which one it has refused"
	}
	if err != nil || len(list.Tenants) == 0 {
		return "nothing has been granted to " + a.caller() + ": ask the operator for access to a tenant (tenants: access)"
	}
	var ids []string
	for _, t := range list.Tenants {
		ids = append(ids, t.ID)
	}
	const most = 10
	if len(ids) > most {
		ids = append(ids[:most], "…")
	}
	return "you may see: " + strings.Join(ids, ", ") + " (--tenant)"
}

// caller says as whom the agent knows the user.
func (a *agentOf) caller() string {
	switch {
	case strings.HasPrefix(a.backend, "https:"):
		return "the names in your certificate"
	case strings.HasPrefix(a.backend, "ssh:"):
		return "the user who has logged in there"
	}
	return fmt.Sprintf("you (uid %d)", os.Getuid())
}

// whoMay says who may use a socket.
func whoMay(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		return fmt.Sprintf("its directory %s is closed to you; ask the operator", filepath.Dir(socket))
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o020 == 0 {
		return "only its owner may; ask the operator to set api.group"
	}
	group := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("it is for the group %s; ask to be made a member of it, then log in again", group)
}
