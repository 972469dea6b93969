// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Access says who may ask: processes by their user or one of their groups, as the kernel has
// them, or clients by a name in their certificate.
type Access struct {
	UIDs, GIDs   []uint32
	Certificates []string
}

// unmapped is the number that the kernel shows for users and groups that have none in the
// user namespace of the agent, whoever they are.
const unmapped = 65534

// Check returns what is wrong with it.
func (a Access) Check() error {
	var errs []error
	if slices.Contains(a.UIDs, unmapped) || slices.Contains(a.GIDs, unmapped) {
		errs = append(errs, fmt.Errorf("%d stands for everyone whom the kernel cannot name; use a user or group of your own", unmapped))
	}
	if slices.Contains(a.Certificates, "") {
		errs = append(errs, errors.New("the name of a certificate is empty"))
	}
	return errors.Join(errs...)
}

// Policy says who may ask for what.
type Policy struct {
	// Operators may see everything.
	Operators Access
	// Tenants says for each tenant, by ID, who may see what is the tenant's, and change its
	// firewall.
	Tenants map[string]Access
	// Readers says for each tenant, by ID, who else may see it, and change nothing.
	Readers map[string]Access
}

// rules is a policy, by who asks. It is never changed.
type rules struct {
	operators granted
	// tenants and readers have the IDs.
	tenants, readers grants
}

// grants are the IDs of tenants, by who is granted something.
type grants struct {
	uids, gids   map[uint32][]string
	certificates map[string][]string
}

type granted struct {
	uids, gids   map[uint32]bool
	certificates map[string]bool
}

func newRules(p Policy) (*rules, error) {
	errs := []error{p.Operators.Check()}
	r := &rules{
		operators: granted{set(p.Operators.UIDs), set(p.Operators.GIDs), set(folded(p.Operators.Certificates))},
	}
	var err error
	r.tenants, err = newGrants("access", p.Tenants)
	errs = append(errs, err)
	r.readers, err = newGrants("readers", p.Readers)
	return r, errors.Join(append(errs, err)...)
}

func newGrants(what string, to map[string]Access) (grants, error) {
	var errs []error
	g := grants{map[uint32][]string{}, map[uint32][]string{}, map[string][]string{}}
	for id, a := range to {
		if err := a.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s of tenant %s: %w", what, id, err))
		}
		grant(g.uids, a.UIDs, id)
		grant(g.gids, a.GIDs, id)
		grant(g.certificates, folded(a.Certificates), id)
	}
	return g, errors.Join(errs...)
}

// to returns the IDs that are granted to c, some of them perhaps twice.
func (g *grants) to(c *caller) (ids []string) {
	if c.local {
		ids = append(ids, g.uids[c.uid]...)
		for _, gid := range c.gids {
			ids = append(ids, g.gids[gid]...)
		}
	}
	for _, name := range c.names {
		ids = append(ids, g.certificates[name]...)
	}
	return ids
}

func set[K comparable](list []K) map[K]bool {
	m := make(map[K]bool, len(list))
	for _, k := range list {
		m[k] = true
	}
	return m
}

func grant[K comparable](to map[K][]string, keys []K, id string) {
	for _, k := range keys {
		to[k] = append(to[k], id)
	}
}

// folded returns names as they are compared. A DNS name has no case; nobody should be able
// to tell two others apart by it either.
func folded(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	return out
}

// caller is who asks.
type caller struct {
	// key tells callers apart where what each may use is limited.
	key string
	// local is set for one on the unix socket; then uid and gids are valid.
	local bool
	uid   uint32
	gids  []uint32
	// names are those of the certificate, folded, and expires is when it does.
	names   []string
	expires time.Time
	// ca is which CAs have verified chain, the certificates that it sent.
	ca    *clientCAs
	chain []*x509.Certificate
}

// rights are what a caller may see and do.
type rights struct {
	operator bool
	// tenants are those that it may see, and whether it may change their firewalls.
	tenants map[string]bool
}

// of returns what c may see and do. It takes as long for whatever c is going to ask.
func (r *rules) of(c *caller) rights {
	out := rights{operator: r.operators.has(c), tenants: map[string]bool{}}
	for _, id := range r.readers.to(c) {
		out.tenants[id] = false
	}
	for _, id := range r.tenants.to(c) {
		out.tenants[id] = true
	}
	return out
}

func (g *granted) has(c *caller) bool {
	if c.local && (g.uids[c.uid] || slices.ContainsFunc(c.gids, func(gid uint32) bool { return g.gids[gid] })) {
		return true
	}
	return slices.ContainsFunc(c.names, func(name string) bool { return g.certificates[name] })
}

// may reports whether the rights include seeing a tenant, or "" for what is the operator's.
func (r rights) may(tenant string) bool {
	_, sees := r.tenants[tenant]
	return r.operator || tenant != "" && sees
}

// mayChange reports whether the rights include changing a tenant's firewall.
func (r rights) mayChange(tenant string) bool { return r.operator || tenant != "" && r.tenants[tenant] }
