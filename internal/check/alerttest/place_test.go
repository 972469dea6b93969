// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
)

// place is a network namespace with nothing but loopback, in which the chain's
// processes talk to each other. Ports are fixed there without being in anybody's way.
type place struct {
	*netns.NS
	// http is inside.
	http *http.Client
}

func newPlace(t testing.TB) place {
	t.Helper()
	p := place{NS: netnstest.WithLoopback(t, "chain")}
	transport := &http.Transport{DialContext: p.dial}
	p.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return p
}

// dial connects from inside. A socket stays in the namespace in which it was made.
func (p place) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = p.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (p place) listen(t testing.TB, address string) (l net.Listener) {
	t.Helper()
	err := p.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
