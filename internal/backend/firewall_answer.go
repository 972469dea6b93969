// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"slices"

	"github.com/dwelltrace/dwell/fastpath/firewall"
)

// In JSON a list with nothing in it is [], and never null.

func notNil[E any](list []E) []E {
	if list == nil {
		return []E{}
	}
	return list
}

func listingOf(l *firewall.Listing) firewall.Listing {
	out := *l
	out.Families, out.Ports = notNil(slices.Clone(l.Families)), notNil(slices.Clone(l.Ports))
	for i := range out.Families {
		f := &out.Families[i]
		f.Chains = notNil(slices.Clone(f.Chains))
		for j := range f.Chains {
			f.Chains[j].Rules = notNil(f.Chains[j].Rules)
		}
	}
	for i := range out.Ports {
		if out.Ports[i].Deferred == nil {
			out.Ports[i].Deferred = map[string]uint64{}
		}
	}
	return out
}

func restoredOf(r *firewall.Restored) firewall.Restored {
	out := *r
	out.Answers = notNil(r.Answers)
	return out
}

func explanationOf(e *firewall.Explanation) firewall.Explanation {
	out := *e
	out.Path = notNil(e.Path)
	return out
}
