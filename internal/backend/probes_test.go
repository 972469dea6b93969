// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
)

// fakeProbes has probes of red, of blue and of the operator.
type fakeProbes struct{}

func (fakeProbes) AllProbes() api.Probes {
	return api.Probes{
		Probes: []api.Probe{{Name: "gateway", NetNS: "host", Target: "192.0.2.1"}, probeOf("blue"), probeOf("red")}, Unresolved: []string{"gateway: none"}, OverLimit: 2,
	}
}

func (fakeProbes) ProbesOf(id string) api.Probes {
	return api.Probes{Probes: []api.Probe{probeOf(id)}, Unresolved: []string{id + "/own: none"}, OverLimit: 1}
}

func probeOf(id string) api.Probe {
	at, rtt := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), int64(350_000)
	return api.Probe{
		Tenant: id, Name: "own", NetNS: id + "-web", Target: "2001:db8::1", Result: "unreachable", Reason: "no route, says 2001:db8::ff",
		Time: &at, LastSuccess: &at, RTT: &rtt, Next: &at,
	}
}

// noProbes has none.
type noProbes struct{}

func (noProbes) AllProbes() api.Probes        { return api.Probes{} }
func (noProbes) ProbesOf(_ string) api.Probes { return api.Probes{} }

// The operator sees all probes, a tenant its own, and what is answered is as described.
func TestProbes(t *testing.T) {
	d := describe(t)
	s := start(t, backend.ServerOptions{Probes: fakeProbes{}})
	for path, id := range map[string]string{"/v1/probes": client.Operator, "/v1/tenants/red/probes": "red"} {
		a := ask(s.socket, path)
		if a.Status != 200 || !d.check(t, http.MethodGet, path, a.Status, a.Header, []byte(a.Body)) {
			t.Errorf("%s: %+v", path, a)
		}
		want := fakeProbes{}.AllProbes()
		if id != client.Operator {
			want = fakeProbes{}.ProbesOf(id)
		}
		got, err := s.client(t).Probes(t.Context(), id)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
		}
	}
	for _, none := range []backend.Probes{nil, noProbes{}} {
		s := start(t, backend.ServerOptions{Probes: none})
		for _, path := range []string{"/v1/probes", "/v1/tenants/red/probes"} {
			a := ask(s.socket, path)
			if !d.check(t, http.MethodGet, path, a.Status, a.Header, []byte(a.Body)) || strings.Contains(a.Body, "null") {
				t.Errorf("%s without probes: %+v", path, a)
			}
		}
	}
}

// A tenant sees no other's probes, nor the operator's, and cannot tell another from one that does
// not exist. Its readers see what it sees.
func TestProbesAreOnesOwn(t *testing.T) {
	p := tenantOnly()
	reader := p
	reader.Readers, reader.Tenants = map[string]backend.Access{"red": p.Tenants["red"]}, map[string]backend.Access{}
	for _, p := range []backend.Policy{p, reader} {
		s := start(t, backend.ServerOptions{Probes: fakeProbes{}, Policy: p})
		own := ask(s.socket, "/v1/tenants/red/probes")
		if own.Status != 200 || !strings.Contains(own.Body, "red-web") || strings.Contains(own.Body, "blue") || strings.Contains(own.Body, "gateway") {
			t.Errorf("red's own: %+v", own)
		}
		blue, none := ask(s.socket, "/v1/tenants/blue/probes"), ask(s.socket, "/v1/tenants/green/probes")
		if blue.Status != 403 || blue.code() != api.CodeNotYours || blue.Body != none.Body {
			t.Errorf("blue's %+v, nobody's %+v", blue, none)
		}
		if all := ask(s.socket, "/v1/probes"); all.Status != 403 || strings.Contains(all.Body, "web") {
			t.Errorf("all: %+v", all)
		}
	}
}
