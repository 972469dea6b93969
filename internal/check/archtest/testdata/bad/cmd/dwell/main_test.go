// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

func TestHooks(t *testing.T) {
	hooks := 0
	for h := event.First; h <= event.Last; h++ {
		hooks++ // which is no hook
	}
	for range event.Last {
		hooks++
	}
	if hooks < 2 {
		t.Error(hooks)
	}
}
