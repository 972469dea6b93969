// SPDX-License-Identifier: Apache-2.0

// Package client asks a running agent by its HTTP API: over its unix socket, over the unix
// socket of another host by way of ssh, or over mutual TLS.
//
// It does not reconnect: whoever shows what comes knows best what to say meanwhile.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Operator stands for the tenant's ID where everything is asked for, of all and of nobody.
const Operator = ""

// answerWithin is how long an answer may take, a stream's first line included.
const answerWithin = 15 * time.Second

// maxAnswer bounds what is read of an answer, and of one line of a stream.
const maxAnswer = 16 << 20

// Options say how to connect.
type Options struct {
	// Backend is unix:///path, ssh://[user@]host[:port][/path] or https://host:port; "" is the
	// agent's usual socket on this host, as it is for ssh without a path.
	Backend string
	// TLS are the files for https.
	TLS TLSFiles
	// Stderr gets what ssh has to say; nil discards it.
	Stderr io.Writer
}

// TLSFiles are PEM files: the client's certificate with its key, and the CAs that verify the
// server, "" for those of the system.
type TLSFiles struct{ Cert, Key, CA string }

// Client asks one agent. Its methods may be called concurrently.
type Client struct {
	base string
	http *http.Client
	// patient is http for what may take longer.
	patient *http.Client
	ssh     *remote // nil without
}

// New makes a client. Except for ssh, which is connected now, that does not connect yet.
// Close it.
func New(ctx context.Context, o Options) (*Client, error) {
	if o.Backend == "" {
		o.Backend = "unix://" + api.DefaultSocket
	}
	u, err := url.Parse(o.Backend)
	if err != nil {
		return nil, fmt.Errorf("the backend %q is not a valid URL: %w", o.Backend, err)
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return nil, fmt.Errorf("the backend %q has no absolute path: write unix:///run/dwell/agent.sock", o.Backend)
		}
		var dialer net.Dialer
		return onSocket(func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.Path)
		}), nil
	case "ssh":
		r, err := openRemote(ctx, u, o.Stderr)
		if err != nil {
			return nil, err
		}
		c := onSocket(r.dial)
		c.ssh = r
		return c, nil
	case "https":
		return onTLS(u, o.TLS)
	}
	return nil, fmt.Errorf("the backend %q is not one of unix:///path, ssh://[user@]host[/path] and https://host:port", o.Backend)
}

// onSocket makes a client of a unix socket. The name of the host has no meaning there.
func onSocket(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Client {
	return newClient("http://dwell", &http.Transport{DialContext: dial})
}

func newClient(base string, t *http.Transport) *Client {
	t.ResponseHeaderTimeout = answerWithin
	t.TLSHandshakeTimeout = answerWithin
	t.DisableCompression = true
	patient := t.Clone()
	patient.ResponseHeaderTimeout = changeWithin
	return &Client{base: base, http: clientOf(t), patient: clientOf(patient)}
}

func clientOf(t *http.Transport) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close ends the connections, and ssh.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.patient.CloseIdleConnections()
	if c.ssh != nil {
		c.ssh.close()
	}
}

// Refused is the error if the agent has answered, and not with what was asked for.
type Refused struct {
	Status int
	api.Problem
}

// Error returns the agent's words.
func (r *Refused) Error() string { return "the agent refuses: " + r.Message + " (" + r.Code + ")" }

// Refusal returns why, for those who do not know this package.
func (r *Refused) Refusal() api.Problem { return r.Problem }

// Code returns the code of the agent's refusal that err is, or "" if it is none.
func Code(err error) string {
	var r *Refused
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

// Tenants returns those that the caller may see.
func (c *Client) Tenants(ctx context.Context) (out api.Tenants, err error) {
	return out, c.getJSON(ctx, api.PathTenants, nil, &out)
}

// Tenant returns one tenant in short.
func (c *Client) Tenant(ctx context.Context, id string) (out api.Tenant, err error) {
	if err := tenant.CheckID(id); err != nil {
		return out, err
	}
	return out, c.getJSON(ctx, api.TenantPath(id), nil, &out)
}

// Summary returns what the pings of a tenant came to.
func (c *Client) Summary(ctx context.Context, id string) (out api.Summary, err error) {
	path, err := pathOf(id, "/summary")
	if err != nil {
		return out, err
	}
	return out, c.getJSON(ctx, path, nil, &out)
}

// Pings returns up to n of the last pings of a tenant, newest first.
func (c *Client) Pings(ctx context.Context, id string, n int) (out api.Pings, err error) {
	path, err := pathOf(id, "/pings")
	if err != nil {
		return out, err
	}
	return out, c.getJSON(ctx, path, url.Values{"limit": {strconv.Itoa(n)}}, &out)
}

// Probes returns how the probes of a tenant go.
func (c *Client) Probes(ctx context.Context, id string) (out api.Probes, err error) {
	path, err := pathOf(id, "/probes")
	if err != nil {
		return out, err
	}
	return out, c.getJSON(ctx, path, nil, &out)
}

// Trace returns one of the last traces of a tenant, as a line of OTLP/JSON.
func (c *Client) Trace(ctx context.Context, id, traceID string) ([]byte, error) {
	path, err := pathOf(id, "/traces/"+url.PathEscape(traceID))
	if err != nil {
		return nil, err
	}
	return c.get(ctx, path, nil)
}

// pathOf returns a path of a tenant, or of the operator.
func pathOf(id, rest string) (string, error) {
	if id == Operator {
		return "/v1" + rest, nil
	}
	return api.TenantPath(id) + rest, tenant.CheckID(id)
}

func (c *Client) getJSON(ctx context.Context, path string, query url.Values, out any) error {
	text, err := c.get(ctx, path, query)
	if err != nil {
		return err
	}
	return decode(text, out)
}

func decode(text []byte, out any) error {
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the agent's answer is not a valid one: %w", err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	resp, err := c.do(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the agent's answer broke off: %w", err)
	}
	return text, nil
}

// do sends a request. The answer is a success.
func (c *Client) do(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, err
	}
	return send(c.http, r)
}

// send sends a request. The answer is a success.
func send(by *http.Client, r *http.Request) (*http.Response, error) {
	resp, err := by.Do(r)
	if err != nil {
		return nil, unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	refused := &Refused{Status: resp.StatusCode}
	var body api.Error
	if text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16)); err == nil && json.Unmarshal(text, &body) == nil {
		refused.Problem = body.Error
	}
	if refused.Code == "" {
		refused.Problem = api.Problem{Code: strconv.Itoa(resp.StatusCode), Message: "the answer is " + resp.Status + "; is this dwell agent's API?"}
	}
	return nil, refused
}

// StreamOptions say which traces a stream has.
type StreamOptions struct {
	// Last is how many of the last traces come first.
	Last int
	// Outcome is 0 for any.
	Outcome trace.Outcome
	// SlowerThan leaves out what was answered sooner, or not at all, if it is not 0.
	SlowerThan time.Duration
}

func (o StreamOptions) query() url.Values {
	q := url.Values{}
	if o.Last > 0 {
		q.Set("last", strconv.Itoa(o.Last))
	}
	if o.Outcome != 0 {
		q.Set("outcome", o.Outcome.String())
	}
	if o.SlowerThan > 0 {
		q.Set("slower_than", o.SlowerThan.String())
	}
	return q
}
