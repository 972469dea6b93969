// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// statusEvery is how often the status line is renewed if there is no watchdog.
const statusEvery = 10 * time.Second

// service reports the daemon's state to the service manager (sd_notify(3)); if none
// listens, it does nothing.
type service struct {
	log *slog.Logger
	// watchdog is how often the service manager expects a notification, 0 for never.
	watchdog time.Duration
}

func newService(log *slog.Logger) service {
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot serve the service manager's watchdog", "error", err)
	}
	return service{log, watchdog}
}

// notify sends a state, such as "READY=1\nSTATUS=...".
func (s service) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		s.log.Debug("cannot notify the service manager", "state", state, "error", err)
	}
}

func (s service) ready(status string)  { s.notify(systemd.SdNotifyReady + "\nSTATUS=" + status) }
func (s service) stopping()            { s.notify(systemd.SdNotifyStopping + "\nSTATUS=stopping") }
func (s service) status(status string) { s.notify("STATUS=" + status) }

// reloading is followed by ready; the time identifies the reload (Type=notify-reload in
// systemd.service(5)).
func (s service) reloading() {
	s.notify(systemd.SdNotifyReloading + "\n" + systemd.SdNotifyMonotonicUsec())
}

// beat calls each until ctx is done, at least twice per watchdog interval, and notifies
// the watchdog while each returns nil.
func (s service) beat(ctx context.Context, each func() (alive error)) {
	every := statusEvery
	if s.watchdog > 0 {
		every = min(every, s.watchdog/2)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := each(); err != nil {
			s.log.Error("not healthy; the service manager's watchdog is not notified", "error", err)
		} else if s.watchdog > 0 {
			s.notify(systemd.SdNotifyWatchdog)
		}
	}
}
