// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The chain that leads to all tenants', and the one from which it is reached.
const (
	root    = "dwell"
	forward = "FORWARD"
)

// Suffixes of a tenant's chains. After ownSuffix and gotoSuffix stands a number.
const (
	fromSuffix = "-from"
	toSuffix   = "-to"
	endSuffix  = "-end" // the policy, for RETURN in the first chain
	ownSuffix  = "."
	gotoSuffix = "-g" // for -g in the first chain
)

// maxID is the longest ID that fits into a name of 28 bytes, the most that iptables takes,
// between "dwell-" and the longest suffix.
const maxID = 28 - len(root) - 1 - 6

// maxChains is how many chains of its own a tenant may have, so that numbers have room.
const maxChains = 9999

// An ID that cannot be part of a chain's name, because it would look like another chain's, or
// like what stands for an ID that cannot be.
var confusing = regexp.MustCompile(`\.|-(from|to|end|g[0-9]+)$|^[0-9a-f]{8}$`)

// ChainName returns the name of the tenant's first chain, with which the names of its others
// begin.
func ChainName(id string, number uint32) string {
	if len(id) > maxID || confusing.MatchString(id) {
		return fmt.Sprintf("%s-%08x", root, number)
	}
	return root + "-" + id
}

// owns reports whether a chain is one of those whose first chain is base.
func owns(base, chain string) bool {
	rest, ok := strings.CutPrefix(chain, base)
	if !ok {
		return false
	}
	switch rest {
	case "", fromSuffix, toSuffix, endSuffix:
		return true
	}
	for _, suffix := range []string{ownSuffix, gotoSuffix} {
		if n, ok := strings.CutPrefix(rest, suffix); ok {
			_, err := strconv.ParseUint(n, 10, 16)
			return err == nil
		}
	}
	return false
}

// OwnedBy reports whether a chain is one of the tenant's own.
func OwnedBy(id string, number uint32, chain string) bool { return owns(ChainName(id, number), chain) }

// Ours reports whether a chain of table filter is dwell's.
func Ours(chain string) bool { return chain == root || strings.HasPrefix(chain, root+"-") }
