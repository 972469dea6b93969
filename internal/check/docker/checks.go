// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege"
)

// pings is how many pings each check sends.
const pings = 3

// containers is the scope of the pings between the containers and to the outside.
func (s *scene) containers() string {
	return "DWELL_TRACE_ADDRESSES: " + s.addresses["red"] + "," + s.addresses["blue"]
}

// between chooses the complete traces of pings from one address to another.
func between(from, to string) func(*journey) bool {
	return func(j *journey) bool {
		return j.outcome == "complete" && j.from == from && j.to == to
	}
}

// checkContainers lets one container ping the other and the outside. The traces must name
// both, and show the bridge, the NAT and the namespace that belongs to no container.
func (s *scene) checkContainers(ctx context.Context) error {
	if err := s.up(ctx, s.containers(), nil, "dwell"); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	red, blue := s.addresses["red"], s.addresses["blue"]
	if err := errors.Join(s.ping(ctx, "red", blue, pings), s.ping(ctx, "red", outsideAddr, pings)); err != nil {
		return err
	}
	err := s.awaitJourneys(ctx, between(red, blue), func(j *journey) error {
		return errors.Join(named(j, "container.name", "red"), named(j, "container.id", s.ids["red"]),
			named(j, "container.name", "blue"), named(j, "container.id", s.ids["blue"]),
			named(j, "dwell.netns.role", "hypervisor"), shows(j.kinds, "bridge"))
	})
	if err != nil {
		return fmt.Errorf("red to blue: %w", err)
	}
	err = s.awaitJourneys(ctx, between(red, outsideAddr), func(j *journey) error {
		err := errors.Join(named(j, "container.name", "red"), named(j, "dwell.netns.name", outsideName), shows(j.devices, "uplink"))
		if !j.nat {
			err = errors.Join(err, errors.New("no NAT"))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("red to the outside: %w", err)
	}
	return nil
}

func named(j *journey, key, value string) error {
	if !j.has(key, value) {
		return fmt.Errorf("no %s=%s", key, value)
	}
	return nil
}

func shows(list []string, want string) error {
	if !slices.Contains(list, want) {
		return fmt.Errorf("no %s", want)
	}
	return nil
}

// checkCapabilities takes each capability away. CAP_SYS_ADMIN stands for the first three in
// the kernel, and so is taken away together with each.
func (s *scene) checkCapabilities(ctx context.Context) error {
	for _, u := range privilege.Agent() {
		without := []privilege.Capability{u.Capability}
		if u.Capability == privilege.BPF || u.Capability == privilege.Perfmon || u.Capability == privilege.NetAdmin {
			without = append(without, privilege.SysAdmin)
		}
		if err := s.checkWithout(ctx, u.Capability, without); err != nil {
			return fmt.Errorf("without %v: %w", without, err)
		}
	}
	return nil
}

// checkWithout runs dwell without some of its capabilities. It must say so, and go without
// what the documentation says.
func (s *scene) checkWithout(ctx context.Context, c privilege.Capability, without []privilege.Capability) error {
	var have []string
	for _, u := range privilege.Agent() {
		if !slices.Contains(without, u.Capability) {
			have = append(have, strings.TrimPrefix(u.String(), "CAP_"))
		}
	}
	if err := s.up(ctx, s.containers(), have, "dwell"); err != nil {
		return err
	}
	if c == privilege.BPF || c == privilege.Perfmon {
		status, err := s.awaitExit(ctx)
		if err == nil && status == "0" {
			err = errors.New("dwell ends as if nothing were wrong")
		}
		return errors.Join(err, s.says(ctx, c))
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	if err := s.ping(ctx, "red", s.addresses["blue"], pings); err != nil {
		return err
	}
	err := s.awaitJourneys(ctx, between(s.addresses["red"], s.addresses["blue"]), func(j *journey) error {
		return withoutCapability(j, c)
	})
	return errors.Join(err, s.says(ctx, c))
}

// withoutCapability checks that a trace lacks what the capability is for.
func withoutCapability(j *journey, c privilege.Capability) error {
	there := false
	switch c {
	case privilege.NetAdmin:
		there = slices.ContainsFunc(j.kinds, func(kind string) bool { return strings.HasPrefix(kind, "netfilter") })
	case privilege.SysAdmin:
		there = slices.Contains(j.devices, "eth0")
	case privilege.SysPtrace:
		there = j.has("dwell.netns.role", "hypervisor")
	}
	if there {
		return fmt.Errorf("what %v is for is there without it: the documentation is wrong", c)
	}
	return nil
}

// says checks that dwell names the capability that it misses.
func (s *scene) says(ctx context.Context, c privilege.Capability) error {
	text := logs(ctx, underTest)
	for line := range strings.Lines(text) {
		if strings.Contains(line, c.String()) {
			fmt.Fprintf(s.out, "    %s\n", strings.TrimSpace(line))
			return nil
		}
	}
	return fmt.Errorf("dwell does not say that %v is missing:\n%s", c, text)
}

// ofOneTenant checks that a trace has the namespace of one of the demo's tenants, whose it is said
// to be, and not the other's.
func ofOneTenant(j *journey) error {
	for _, id := range []string{"red", "blue"} {
		if j.has("dwell.netns.name", "demo-tenants-"+id) != slices.Contains(j.tenants, id) {
			return fmt.Errorf("passes %s's namespace or is said to be %s's, not both", id, id)
		}
	}
	if len(j.tenants) != 1 {
		return fmt.Errorf("of tenants %q, want one", j.tenants)
	}
	return nil
}

// checkDemo runs the demo beside dwell: its lab must be seen with its names, and be gone
// when it is stopped.
func (s *scene) checkDemo(ctx context.Context) error {
	if err := s.up(ctx, "DWELL_TRACE_NETNS: demo-*", nil, "dwell", "demo"); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	// Whose the first pings are is not known yet: dwell has just found the namespaces.
	attributed := func(j *journey) bool { return between("192.168.0.10", "203.0.113.8")(j) && len(j.tenants) > 0 }
	err := s.awaitJourneys(ctx, attributed, func(j *journey) error {
		return errors.Join(named(j, "dwell.netns.name", "demo-tenants-hypervisor"), named(j, "dwell.netns.role", "hypervisor"),
			named(j, "dwell.netns.name", "demo-tenants-outside"), ofOneTenant(j))
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, logs(ctx, "dwell-demo-1"))
	}
	if err := s.compose(ctx, "stop", "demo"); err != nil {
		return err
	}
	left, err := netns.List()
	for _, e := range left {
		if strings.HasPrefix(e.Name, "demo-") {
			err = errors.Join(err, fmt.Errorf("left on the host: %s", e.Name))
		}
	}
	return err
}
