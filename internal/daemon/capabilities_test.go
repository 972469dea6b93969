// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// TestCapabilities: each capability that is missing is a line, with what goes without.
// Those that are there are not mentioned.
func TestCapabilities(t *testing.T) {
	log := &logBuffer{}
	logCapabilities(newLogger(log))
	have, err := privilege.Effective()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "level=WARN"); got != len(have.MissingForAgent()) {
		t.Errorf("%d are logged:\n%s", got, log)
	}

	out := inUserNamespace(t, incapableVariable+"=1")
	for _, use := range privilege.Agent() {
		says(t, out, "level=WARN", "capability="+use.String(), use.Without)
	}
}
