// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"
)

// Work counts, waiting for others does not.
func TestBusy(t *testing.T) {
	const pause, work = 200 * time.Millisecond, 20 * time.Millisecond
	if got := busy(func() { <-time.After(pause) }); got >= pause {
		t.Errorf("%v busy in a pause of %v", got, pause)
	}
	got := busy(func() {
		for begin := threadTime(); threadTime() < begin+work; {
		}
	})
	if got < work {
		t.Errorf("%v busy with work of %v", got, work)
	}
}
