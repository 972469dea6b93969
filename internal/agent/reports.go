// SPDX-License-Identifier: Apache-2.0

package agent

import "sync"

// reports passes on what the scope watcher could not do. Its callbacks run one at a time, in
// the order of what they report.
type reports struct {
	// without is called once for each namespace whose netfilter chains cannot be timed, with
	// the reason.
	without func(error)
	// refused is called when the text of [Refused.Err] changes, and with nil when nothing is
	// refused any more.
	refused func(error)

	mu   sync.Mutex
	last string
}

// report reports what has changed since the last call. The scope watcher is not locked while
// the callbacks run: they may ask for the [Status], but not change the scope.
func (w *scopeWatcher) report() {
	r := &w.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	w.mu.Lock()
	unreported, now := w.unreported, w.refusals().Err()
	w.unreported = nil
	w.mu.Unlock()
	for _, err := range unreported {
		r.without(err)
	}
	text := ""
	if now != nil {
		text = now.Error()
	}
	if text != r.last {
		r.last = text
		r.refused(now)
	}
}
