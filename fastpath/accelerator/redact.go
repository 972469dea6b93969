// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/netfilter"
)

// elsewhere is what a tenant is told in place of a sentence that names others.
const elsewhere = "The reason is with something of the host's that is not the tenant's own."

// redact returns a text, or another if it is a tenant who asks and the text has a name or an address
// of another tenant in it. It must be called with the lock.
func (m *Manager) redact(q Query, text string) string {
	if q.Operator || text == "" || m.set == nil {
		return text
	}
	foreign, bridge := m.set.Foreign(q.Tenant), m.set.ForeignBridge(q.Tenant)
	for _, word := range strings.FieldsFunc(text, betweenWords) {
		word = strings.TrimRight(word, ".:")
		switch {
		case word != q.Tenant && m.set.Has(word), bridge(word):
			return elsewhere
		case netfilter.Ours(word) && !netfilter.OwnedBy(q.Tenant, m.set.Number(q.Tenant), word):
			return elsewhere
		}
		if a, ok := address(word); ok && foreign(a) {
			return elsewhere
		}
	}
	return text
}

// betweenWords reports whether a character cannot be part of a name or an address.
func betweenWords(r rune) bool { return strings.ContainsRune(" \t\n,;()\"'`=!", r) }

// address returns the address of an address, a prefix, or an address with a port.
func address(word string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(word); err == nil {
		return a, true
	}
	if p, err := netip.ParsePrefix(word); err == nil {
		return p.Addr(), true
	}
	ap, err := netip.ParseAddrPort(word)
	return ap.Addr(), err == nil
}
