// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"testing"
	"time"
)

// Work counts, waiting for others does not.
func TestCPU(t *testing.T) {
	const pause, work = 200 * time.Millisecond, 20 * time.Millisecond
	if got := CPU(func() { <-time.After(pause) }); got >= pause {
		t.Errorf("%v of CPU time in a pause of %v", got, pause)
	}
	got := CPU(func() {
		for begin := threadTime(); threadTime() < begin+work; {
		}
	})
	if got < work {
		t.Errorf("%v of CPU time with work of %v", got, work)
	}
}
