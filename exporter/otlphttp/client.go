// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/delivery"
	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

// client is the transport.
type client struct {
	to       endpoint.Endpoint
	options  Options
	compress bool
	headers  atomic.Pointer[map[string]string]
	http     *http.Client
}

var _ delivery.Transport = (*client)(nil)

func newClient(to endpoint.Endpoint, o Options, env environment) (*client, error) {
	c := &client{to: to, options: o}
	var err error
	switch o.Compression {
	case exporter.EnvironmentCompression:
		if c.compress, err = env.compress(); err != nil {
			return nil, err
		}
	case exporter.Gzip:
		c.compress = true
	}
	headers := maps.Clone(o.Headers)
	if len(headers) == 0 {
		if headers, err = env.headers(); err != nil {
			return nil, err
		}
	}
	c.headers.Store(&headers)
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: max(o.Queue.Senders, 1),
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: o.Timeout,
		// A connection to a host that has vanished looks like one that is slow.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: o.Timeout},
	}
	if !to.Plain() {
		t.TLSClientConfig = o.TLS.Clone()
		if o.TLS == nil {
			if t.TLSClientConfig, err = env.tls(); err != nil {
				return nil, err
			}
		}
	}
	// A redirection would turn the request into one without a body, or send it to somebody who
	// was not named.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &http.Client{Transport: t, CheckRedirect: stay}
	return c, nil
}

// Send implements [delivery.Transport].
func (c *client) Send(ctx context.Context, payload []byte) delivery.Answer {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	b := newBody(payload, c.compress)
	response, err := c.post(ctx, b)
	var a delivery.Answer
	if err != nil {
		a = unanswered(err)
	} else {
		a = answer(response)
		_ = response.Body.Close() // has been read as far as it matters
	}
	a.Kept = b.inUse()
	return a
}

func (c *client) post(ctx context.Context, b *body) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.to.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.to.Source, err)
	}
	for name, value := range *c.headers.Load() {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", protobuf)
	request.Header.Set("User-Agent", "dwell/"+c.options.OTLP.Version)
	b.attach(request)
	return c.http.Do(request) //nolint:wrapcheck // explained by the caller
}

// Renew implements [delivery.Transport].
func (c *client) Renew() error {
	if c.options.RenewHeaders == nil {
		return nil
	}
	headers, err := c.options.RenewHeaders()
	if err == nil {
		c.headers.Store(&headers)
	}
	return err
}

// Close implements [delivery.Transport].
func (c *client) Close(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}
