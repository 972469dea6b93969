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

// service tells the service manager how the daemon is (sd_notify(3)); without one that
// listens it does nothing.
type service struct {
	log *slog.Logger
	// watchdog is how often the service manager wants to hear of us, 0 for never.
	watchdog time.Duration
}

func newService(log *slog.Logger) service {
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot serve the service manager's watchdog", "error", err)
	}
	return service{log, watchdog}
}

// tell sends a state, such as "READY=1\nSTATUS=...".
func (s service) tell(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		s.log.Debug("cannot notify the service manager", "state", state, "error", err)
	}
}

func (s service) ready(status string)  { s.tell(systemd.SdNotifyReady + "\nSTATUS=" + status) }
func (s service) stopping()            { s.tell(systemd.SdNotifyStopping + "\nSTATUS=stopping") }
func (s service) status(status string) { s.tell("STATUS=" + status) }

// reloading is followed by ready; the time tells which reload it was
// (Type=notify-reload in systemd.service(5)).
func (s service) reloading() {
	s.tell(systemd.SdNotifyReloading + "\n" + systemd.SdNotifyMonotonicUsec())
}

// beat calls each until ctx is done, at least twice in the time of the watchdog, which is
// told that all is well if each says so.
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
			s.tell(systemd.SdNotifyWatchdog)
		}
	}
}
