// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"math"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/config"
)

func anyTenancy(t *rapid.T) config.Tenancy {
	return config.Tenancy{
		Dir:      rapid.OneOf(rapid.Just(""), absolute()).Draw(t, "tenancy.dir"),
		Shared:   rapid.SliceOf(ref()).Draw(t, "tenancy.shared"),
		Uplinks:  rapid.SliceOf(device()).Draw(t, "tenancy.uplinks"),
		Export:   anyTenantExport(t),
		Sampling: anyTraceSampling(t),
	}
}

// anyTenants draws tenants of which no two own the same.
func anyTenants(t *rapid.T) []config.Tenant {
	tenants := make([]config.Tenant, rapid.IntRange(0, 3).Draw(t, "tenants"))
	for i := range tenants {
		own := func(kind string) config.Pattern { return config.Pattern(fmt.Sprintf("%s-%d-*", kind, i)) }
		tenants[i] = config.Tenant{
			ID:         fmt.Sprintf("%s.%d", rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,9}`).Draw(t, "id"), i),
			Ports:      []config.Interface{config.Interface(own("tap"))},
			Bridges:    []config.Interface{config.Interface(own("br"))},
			Prefixes:   rapid.SliceOf(prefix()).Draw(t, "prefixes"),
			NetNS:      []config.Ref{config.Ref(own("ns"))},
			Containers: []config.Pattern{own("web")},
			VMs:        []config.Pattern{own("vm")},
			Access:     anyAccess(t),
			FastPath:   rapid.SampledFrom([]flow.Mode{flow.Off, flow.Shadow, flow.On}).Draw(t, "fastpath"),
			Export:     anyTenantExport(t),
			Sampling:   anyTraceSampling(t),
			Probes:     anyProbes(t, "guest"),
		}
	}
	return tenants
}

func anyTraceSampling(t *rapid.T) config.TraceSampling {
	return config.TraceSampling{
		Ratio:          rapid.Float64Range(0, 1).Draw(t, "ratio"),
		KeepSlowerThan: duration(t, 0, "keep_slower_than"),
	}
}

func anyTenantExport(t *rapid.T) config.TenantExport {
	e := anyExport(t)
	out := config.TenantExport{Queue: e.Queue, Spool: e.Spool}
	out.Spool.Dir = rapid.SampledFrom([]string{"", "/tenants ü", "/a/b"}).Draw(t, "spool")
	for range rapid.IntRange(0, 2).Draw(t, "endpoints") {
		o := anyExport(t).OTLP
		if o.Endpoint == "" {
			o.Endpoint = "c"
		}
		out.OTLP = append(out.OTLP, o)
	}
	return out
}

func anyAccess(t *rapid.T) config.Access {
	ids := rapid.SliceOfN(rapid.Map(rapid.Uint32Max(math.MaxUint32-1).Filter(func(n uint32) bool { return n != 65534 }), func(n uint32) config.UserID { return config.UserID(n) }), 0, 3)
	return config.Access{
		UIDs: ids.Draw(t, "uids"), GIDs: ids.Draw(t, "gids"),
		Certificates: rapid.SliceOfN(rapid.SampledFrom([]string{"red.example.net", "CN with blanks", "é"}), 0, 2).Draw(t, "certificates"),
	}
}

func anyAPI(t *rapid.T) config.API {
	a := config.API{
		Socket:    rapid.SampledFrom([]string{"", "/run/dwell/agent.sock"}).Draw(t, "api.socket"),
		Listen:    rapid.SampledFrom([]string{"", ":9465"}).Draw(t, "api.listen"),
		Operators: anyAccess(t),
		Group:     rapid.SampledFrom([]string{"", "dwell", "123"}).Draw(t, "api.group"),

		StreamsMax:       rapid.IntRange(1, math.MaxInt32).Draw(t, "api.streams_max"),
		ClientStreamsMax: rapid.IntRange(1, math.MaxInt32).Draw(t, "api.client_streams_max"),
		ClientRate:       rapid.IntRange(1, math.MaxInt32).Draw(t, "api.client_rate"),
	}
	if a.Listen != "" || rapid.Bool().Draw(t, "api.tls") {
		a.TLS = config.APITLS{CertFile: "/c", KeyFile: "/k", ClientCAFile: "/ca"}
	}
	return a
}
