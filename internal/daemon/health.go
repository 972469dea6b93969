// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/internal/agent"
)

// The loop runs five times a second. It may stand still while a file takes nothing, see
// fileWait, and more than once in a row.
const (
	readyWithin = 10 * time.Second
	aliveWithin = time.Minute
)

// phase is where the daemon is in its life.
type phase int32

const (
	starting phase = iota
	running
	stopping
)

// health judges by what is known of the agent.
type health struct {
	phase phase
	agent agent.Status
	// began is when the agent was started: until then the loop could not have run.
	began, now time.Time
}

// lastIteration returns when the loop last ran, or could first have.
func (h health) lastIteration() time.Time {
	if h.agent.LastIteration.Before(h.began) {
		return h.began
	}
	return h.agent.LastIteration
}

// ready returns why no pings are traced now, or nil.
func (h health) ready() error {
	idle := h.now.Sub(h.lastIteration())
	switch {
	case h.phase == starting:
		return fmt.Errorf("starting: not attached yet")
	case h.phase == stopping:
		return fmt.Errorf("stopping")
	case !h.agent.LastIteration.IsZero() && !h.agent.Attached:
		return fmt.Errorf("not attached")
	case idle > readyWithin:
		return fmt.Errorf("the ring buffer was last read %v ago", idle.Round(time.Second))
	}
	return nil
}

// alive returns why the agent should be started again, or nil. Starting and stopping are
// bounded otherwise.
func (h health) alive() error {
	if idle := h.now.Sub(h.lastIteration()); h.phase == running && idle > aliveWithin {
		return fmt.Errorf("stuck: the ring buffer was last read %v ago", idle.Round(time.Second))
	}
	return nil
}
