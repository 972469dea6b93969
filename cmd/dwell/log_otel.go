// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// routeOpenTelemetry makes what OpenTelemetry's libraries have to say, mostly of its
// environment variables, lines like the program's others. They would go to the standard
// logger, with file and line of a foreign source.
func routeOpenTelemetry(log *slog.Logger) {
	h := &onceHandler{Handler: log.Handler(), said: map[string]bool{}}
	otel.SetLogger(logr.FromSlogHandler(h))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		slog.New(h).Warn(err.Error())
	}))
}

// onceHandler logs everything once: each new client reads the environment again, and
// Check makes one of its own. A mistake there is never worse than a warning, because the
// program continues without the setting.
type onceHandler struct {
	slog.Handler
	mu   sync.Mutex
	said map[string]bool
}

// Enabled implements [slog.Handler]. Below warnings it is about OpenTelemetry itself.
func (h *onceHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle implements [slog.Handler].
func (h *onceHandler) Handle(ctx context.Context, r slog.Record) error {
	warning := slog.NewRecord(r.Time, slog.LevelWarn, "OpenTelemetry: "+r.Message, r.PC)
	if r.Message == "parse url" {
		return nil // of an endpoint, which otlpgrpc reads itself, and better
	}
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		warning.AddAttrs(a)
		text += " " + a.String()
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said[text] {
		return nil
	}
	h.said[text] = true
	return h.Handler.Handle(ctx, warning)
}
