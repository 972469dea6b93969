// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
)

func errJoined() error { return errors.Join(errors.New("a"), errors.New("b")) }

// countHandler counts what is logged.
type countHandler struct {
	slog.Handler
	n int
}

func (h *countHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *countHandler) Handle(context.Context, slog.Record) error {
	h.n++
	return nil
}
