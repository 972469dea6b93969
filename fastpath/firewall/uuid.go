// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// namespace is that of the UUIDs of dwell's rules: the UUID, version 5, of the URL of the
// project. It must never change, because the UUIDs of all rules would.
const namespace = "https://github.com/dwelltrace/dwell/fastpath/firewall"

// ruleUUID returns the UUID of a rule, which is the same on every host and in every run: what
// the rule is called depends on what it says and whose it is, and on nothing else. So the same
// rule twice in a chain has one UUID.
func ruleUUID(tenantID string, f header.Family, chain, text string) string {
	name := strings.Join([]string{tenantID, strconv.Itoa(int(f)), chain, text}, "\x00")
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte(namespace))
	return uuid.NewSHA1(space, []byte(name)).String()
}
