// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// logCapabilities logs which capabilities are missing and what does not work without
// them. This is not an error: what is vital fails when it is tried.
func logCapabilities(log *slog.Logger) {
	have, err := privilege.Effective()
	if err != nil {
		log.Warn("cannot read the capabilities", "error", err)
		return
	}
	for _, u := range have.MissingForAgent() {
		log.Warn("missing "+u.String()+": "+u.Without, "capability", u.String())
	}
}
