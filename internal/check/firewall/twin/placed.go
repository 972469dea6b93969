// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Placed has the tenant's rules where dwell puts them.
type Placed struct {
	*firewall.Manager
	// Judged is what became of packets at TC, in all cases so far.
	Judged Judged
}

// Judged counts packets at the TC ingress of the tenant's ports.
type Judged struct {
	Packets, Passed, Dropped uint64
	// Deferred is by reason.
	Deferred map[string]uint64
}

// TenantID is who owns the bridge and its ports.
const TenantID = "red"

// NewPlaced returns the subject that is to be as the reference is. It keeps its files in dir.
func NewPlaced(n *Network, backend, dir string) (*Placed, error) {
	set, err := tenant.NewSet([]tenant.Tenant{{
		ID: TenantID, Bridges: []string{Bridge}, Ports: []string{"tap-red-*"},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24"), netip.MustParsePrefix("2001:db8:a::/64")},
	}}, nil, []string{Uplink})
	if err != nil {
		return nil, err
	}
	m, err := firewall.New(firewall.Options{
		StateDir: filepath.Join(dir, "state"), Pin: filepath.Join(dir, "bpf"), IPTables: backend, NetNS: n.Hypervisor,
	})
	if err != nil {
		return nil, err
	}
	m.SetTenants(set)
	return &Placed{Manager: m, Judged: Judged{Deferred: map[string]uint64{}}}, nil
}

// Apply implements [Subject].
func (p *Placed) Apply(family int, rules string) error {
	done, err := p.Restore(context.Background(), firewall.Restore{Tenant: TenantID, Family: family, Text: rules})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, rules)
	}
	if !done.Done {
		return fmt.Errorf("refused: %+v\n%s", done.Answers, rules)
	}
	return nil
}

// Counts implements [Subject]. It also reads Judged.
func (p *Placed) Counts(family int) (map[string][]Count, error) {
	list, err := p.List(context.Background(), TenantID)
	if err != nil {
		return nil, err
	}
	if len(list.Problems) > 0 {
		return nil, fmt.Errorf("not as it should be: %q", list.Problems)
	}
	p.Judged = Judged{Deferred: map[string]uint64{}}
	for i := range list.Ports {
		p.Judged.add(&list.Ports[i])
	}
	counts := map[string][]Count{}
	for _, f := range list.Families {
		if f.Family != family {
			continue
		}
		if f.Place != firewall.TC {
			return nil, fmt.Errorf("rules are not at TC: %s", f.Reason)
		}
		for _, chain := range f.Chains {
			for _, r := range chain.Rules {
				counts[chain.Name] = append(counts[chain.Name], Count{r.Packets, r.Bytes})
			}
		}
	}
	return counts, nil
}

func (j *Judged) add(p *firewall.PortListing) {
	j.Packets += p.Packets
	j.Passed += p.Passed
	j.Dropped += p.Dropped
	for reason, n := range p.Deferred {
		j.Deferred[reason] += n
	}
}

// Clear implements [Subject]. Programs stay where they are, because to load them takes longest.
func (p *Placed) Clear() error {
	for _, family := range []int{4, 6} {
		if err := p.Apply(family, "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes everything of the tenant's away.
func (p *Placed) Remove() error { return p.Flush(context.Background(), TenantID) }

// NewPair makes both networks, whose namespaces' names begin with the name, and puts rules into
// iptables in the one and where dwell puts them in the other. dir is for dwell's files.
func NewPair(name, backend, dir string) (*Pair, error) {
	reference, err := NewNetwork(name + "-a")
	if err != nil {
		return nil, err
	}
	subject, err := NewNetwork(name + "-b")
	if err != nil {
		return nil, errors.Join(err, reference.Close())
	}
	placed, err := NewPlaced(subject, backend, dir)
	if err != nil {
		return nil, errors.Join(err, reference.Close(), subject.Close())
	}
	return &Pair{
		Reference: NewTwin(reference, backend, NewReference(reference, backend)),
		Subject:   NewTwin(subject, backend, placed),
	}, nil
}
