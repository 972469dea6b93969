// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/daemon"
)

// asked is a firewall that is asked by a command: an agent's, or without an agent.
type asked struct {
	flags    *firewallFlags
	out, err io.Writer
	firewall agentapi.Firewall
	// agent is nil without an agent.
	agent *agentOf
	close func() error
}

// open finds out whom to ask.
func (f *firewallFlags) open(ctx context.Context, cmd *cobra.Command) (*asked, error) {
	a := &asked{flags: f, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	socket, local := strings.CutPrefix(f.backend, "unix://")
	if !f.direct && local && os.Geteuid() == 0 && nobodyServes(ctx, socket) {
		fmt.Fprintf(a.err, "dwell: no agent serves on %s; doing it without one, with the configuration %s\n", socket, f.config)
		f.direct = true
	}
	if f.direct {
		return a, a.openDirect(ctx)
	}
	c, err := client.New(ctx, client.Options{Backend: f.backend, TLS: f.tls, Stderr: a.err})
	if err != nil {
		return nil, err
	}
	a.agent = &agentOf{client: c, tenant: f.tenant, backend: f.backend}
	a.firewall = c.Firewall()
	a.close = func() error { c.Close(); return nil }
	return a, nil
}

// nobodyServes reports whether there is no such socket, or nobody listens on it.
func nobodyServes(ctx context.Context, socket string) bool {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", socket)
	if err == nil {
		c.Close()
		return false
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// openDirect opens the firewall without an agent.
func (a *asked) openDirect(ctx context.Context) error {
	if err := privileges("dwell firewall --direct"); err != nil {
		return err
	}
	m, err := daemon.OpenFirewall(ctx, daemon.Options{File: a.flags.config, Environ: os.Environ(), Stderr: a.err})
	if err != nil {
		return err
	}
	a.firewall, a.close = m, m.Close
	return nil
}

// failed says why there is no answer. words and text are what the firewall was given.
func (a *asked) failed(ctx context.Context, err error, words []string, text string) error {
	var wrong *firewall.CommandError
	var refused *client.Refused
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted: dwell firewall list shows whether it is in force")
	case errors.As(err, &wrong):
		return a.point(wrong.Error(), agentapi.Position(err, words, text))
	case errors.Is(err, firewall.ErrNoTenant):
		return fmt.Errorf("there is no tenant %q in %s, nor in the directory that it names", a.flags.tenant, a.flags.config)
	case !errors.As(err, &refused):
		return a.explained(ctx, err)
	}
	switch refused.Code {
	case api.CodeSyntax:
		return a.point(refused.Message, refused.At)
	case api.CodeNotYours:
		if a.flags.affectOthers {
			return errors.New(refused.Message)
		}
	case api.CodeReadOnly, api.CodeNoFirewall, api.CodeFailed, api.CodeBusy:
		return errors.New(refused.Message)
	case api.CodeNotFound, api.CodeMethod:
		return errors.New("the agent is older than this program, and has no firewall: start it again with this version")
	}
	return a.explained(ctx, err)
}

func (a *asked) explained(ctx context.Context, err error) error {
	if a.agent == nil {
		return err
	}
	return a.agent.explain(ctx, err)
}

// point shows the word that is not understood, if it is known.
func (a *asked) point(message string, at *api.Position) error {
	return pointAt(a.err, message, at)
}

func pointAt(w io.Writer, message string, at *api.Position) error {
	if at == nil {
		return usageError(errors.New(message))
	}
	fmt.Fprintf(w, "dwell: %s\n%s", strings.ReplaceAll(strings.TrimSpace(message), "\n", "\n  "), caret(at))
	return reported{statusUsage}
}

// caret returns the line and marks the word below it.
func caret(at *api.Position) string {
	column := min(max(at.Column, 0), len(at.Text))
	beyond := at.Column - column // what is missing is one blank behind the end
	end := min(column+max(at.Length, 0), len(at.Text))
	// A tab takes a tab's room below, too.
	before := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, at.Text[:column]) + strings.Repeat(" ", min(max(beyond, 0), 1))
	length := max(len([]rune(at.Text[column:end])), 1)
	return fmt.Sprintf("  %s\n  %s%s\n", at.Text, before, strings.Repeat("^", length))
}

// reported is an error of which all is said already.
type reported struct{ status int }

// Error returns "", which is not printed.
func (reported) Error() string { return "" }

// ExitStatus returns the status to exit with.
func (r reported) ExitStatus() int { return r.status }
