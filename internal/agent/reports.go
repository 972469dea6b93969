// SPDX-License-Identifier: Apache-2.0

package agent

import "sync"

// reports hands on what the scope watcher could not do. Its calls are one after the other, in
// the order of what they report.
type reports struct {
	// without is called with each namespace's reason why its chains cannot be timed.
	without func(error)
	// refused is called when the text of [Refused.Err] changes, with nil when it is over.
	refused func(error)

	mu   sync.Mutex
	last string
}

// report reports what has changed since the last time. The scope watcher is not locked
// meanwhile: what it calls may ask for the [Status], but not change the scope.
func (f *scopeWatcher) report() {
	r := &f.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	f.mu.Lock()
	unreported, now := f.unreported, f.refusals().Err()
	f.unreported = nil
	f.mu.Unlock()
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
