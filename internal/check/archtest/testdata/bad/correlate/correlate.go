// SPDX-License-Identifier: Apache-2.0

// Package correlate reads the clock and starts a program.
package correlate

import (
	"os/exec"
	"time"

	_ "github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Timeout is fine: a duration is no clock.
const Timeout = 3 * time.Second

var (
	started = time.Now()
	seen    = map[string]int{}
	names   = []string{"read only"}
)

// Run writes to a package variable.
func Run() time.Duration {
	seen[names[0]]++
	names := []string{"a local one"}
	names[0] = "that may be written to"
	_ = exec.Command("true")
	return time.Since(started)
}

// begins knows a hook, which is for the other stage.
func begins(h event.Hook, t event.Type) bool { return h == event.First && t == event.EchoRequest }
