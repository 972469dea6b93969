// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// tellCapabilities says which capabilities are missing and what will be for want of them.
// It is no error: what is vital fails by itself when it is tried.
func tellCapabilities(log *slog.Logger) {
	have, err := privilege.Effective()
	if err != nil {
		log.Warn("cannot read the capabilities", "error", err)
		return
	}
	for _, u := range have.MissingForAgent() {
		log.Warn("missing "+u.String()+": "+u.Without, "capability", u.String())
	}
}
