// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

func TestTitle(t *testing.T) {
	const id = "9ec39b91f3d7a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5"
	for want, c := range map[string]trace.Container{
		"redis-0.staging":    {ID: id, Name: "redis", Pod: trace.Pod{Name: "redis-0", Namespace: "staging"}},
		"redis-0.production": {ID: id, Name: "redis", Pod: trace.Pod{Name: "redis-0", Namespace: "production"}},
		"redis-0":            {ID: id, Name: "redis", Pod: trace.Pod{Name: "redis-0"}},
		"redis":              {ID: id, Name: "redis", Pod: trace.Pod{UID: "1-2-3"}},
		"9ec39b91f3d7":       {ID: id},
		"short":              {ID: "short"},
	} {
		if got := c.Title(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
