// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// maxID is the most characters that an ID may have: it becomes part of names of files, of
// chains of the firewall and of labels.
const maxID = 63

// maxDevice is the most bytes that an alternative name of a device may have (ALTIFNAMSIZ - 1
// in linux/if.h).
const maxDevice = 127

// hostName is the reference to the host's own namespace.
const hostName = "host"

// neutronNameLen is how much of a port's UUID is in the names of its devices, which must
// not be longer than 15 bytes in all.
const neutronNameLen = 11

// CheckID returns an error for what cannot be a tenant's ID: it has 1 to 63 of the
// characters A-Z, a-z, 0-9, dot, underscore and hyphen, the first of which is a letter or
// digit. So no ID is a path, hidden, or an option of a command.
func CheckID(id string) error {
	if id == "" {
		return errors.New("tenant ID is empty")
	}
	if len(id) > maxID {
		return fmt.Errorf("tenant ID %.70q has %d bytes: use at most %d", id, len(id), maxID)
	}
	for i := range len(id) {
		if c := id[i]; !alphanumeric(c) && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return fmt.Errorf("tenant ID %q: use A-Z, a-z, 0-9, and after the first character also . _ -", id)
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// Problem is what is wrong with one field of a [Tenant].
type Problem struct {
	// Path names the field as the configuration does: "id", "ports[2]", "neutron_ports[0]". It
	// is "" for what is about the tenant as a whole.
	Path string
	// Err says what is wrong, without the field's name.
	Err error
}

// Error returns "ports[2]: the problem".
func (p Problem) Error() string {
	if p.Path == "" {
		return p.Err.Error()
	}
	return p.Path + ": " + p.Err.Error()
}

// Unwrap returns Err.
func (p Problem) Unwrap() error { return p.Err }

// Check returns an error that joins all of [Tenant.Problems], or nil.
func (t Tenant) Check() error {
	var errs []error
	for _, p := range t.Problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// Problems returns what is wrong with the tenant, regardless of others: names and patterns
// that can match nothing, and that it owns nothing at all. Prefixes alone are nothing: a
// packet is never attributed by its addresses.
func (t Tenant) Problems() []Problem {
	var found []Problem
	note := func(path string, err error) {
		if err != nil {
			found = append(found, Problem{Path: path, Err: err})
		}
	}
	note("id", CheckID(t.ID))
	for _, l := range t.lists() {
		for i, name := range l.names {
			note(fmt.Sprintf("%s[%d]", l.field, i), l.check(name))
		}
	}
	for i, p := range t.Prefixes {
		note(fmt.Sprintf("prefixes[%d]", i), checkPrefix(p))
	}
	if !t.ownsAny() {
		note("", errors.New("owns nothing: list at least one of ports, bridges, netns, containers, vms and neutron_ports"))
	}
	return found
}

// list is one of the tenant's lists of names.
type list struct {
	field string
	names []string
	check func(string) error
}

func (t *Tenant) lists() []list {
	return []list{
		{"ports", t.Ports, checkDevice},
		{"bridges", t.Bridges, checkDevice},
		{"netns", t.NetNS, checkNetNS},
		{"containers", t.Containers, checkName},
		{"vms", t.VMs, checkVM},
		{"neutron_ports", t.NeutronPorts, checkUUID},
	}
}

func (t *Tenant) ownsAny() bool {
	for _, l := range t.lists() {
		if len(l.names) > 0 {
			return true
		}
	}
	return false
}

func checkDevice(name string) error {
	if name == "" || len(name) > maxDevice || strings.Contains(name, "/") {
		return fmt.Errorf("%.140q is not a name of a device: it must have 1 to %d bytes, and no slash", name, maxDevice)
	}
	return checkName(name)
}

// checkName checks what may be a pattern.
func checkName(name string) error {
	if name == "" {
		return errors.New("must not be empty")
	}
	if _, err := path.Match(name, ""); err != nil {
		return fmt.Errorf("pattern %q: %w (the syntax is that of Go's path.Match)", name, err)
	}
	return nil
}

func checkVM(name string) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("%q is not a name of a libvirt domain: it must not have a slash in it", name)
	}
	return checkName(name)
}

func checkNetNS(ref string) error {
	if ref == hostName {
		return errors.New("the host's own namespace cannot belong to a tenant: list the tenant's ports in it")
	}
	if strings.Contains(ref, "/") {
		return nil // a path, which is taken literally
	}
	return checkName(ref)
}

// checkUUID checks that the text is a UUID as OpenStack prints it (RFC 9562, section 4).
func checkUUID(text string) error {
	valid := len(text) == 36
	for i := 0; valid && i < len(text); i++ {
		switch i {
		case 8, 13, 18, 23:
			valid = text[i] == '-'
		default:
			valid = strings.IndexByte("0123456789abcdefABCDEF", text[i]) >= 0
		}
	}
	if !valid {
		return fmt.Errorf("%.70q is not a UUID such as 3f1c9a52-8d3e-4b61-9c0a-2f6f6e0e7a11", text)
	}
	return nil
}

func checkPrefix(p netip.Prefix) error {
	if !p.IsValid() {
		return errors.New("is not a valid prefix, such as 192.0.2.0/24")
	}
	return nil
}

// IsPattern reports whether a name is a pattern of names. A reference to a namespace that
// has a slash in it is a path, and not a pattern.
func IsPattern(name string) bool {
	return strings.ContainsAny(name, `*?[\`) && !strings.Contains(name, "/")
}
