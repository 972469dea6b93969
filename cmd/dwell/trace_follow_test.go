// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// A pattern means namespaces that come later, too.
func TestTraceFollowsNamespaces(t *testing.T) {
	privilegetest.BPF(t)
	p := dwell(t, "trace", "--netns", testPrefix()+"-*", "--netfilter", "none", "--count", "5", "--duration", "60s")
	stderr, attached := watch("attached")
	p.Stderr = stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-attached
	l, exited := testLab(t), make(chan error, 1)
	go func() { exited <- p.Wait() }()
	var err error
	for over := false; !over; { // the first pings come before the agent is told
		pingLab(t, l, 10)
		select {
		case err = <-exited:
			over = true
		default:
		}
	}
	if err != nil || !strings.Contains(stderr.String(), "5 pings: ") {
		t.Errorf("%v\n%s", err, stderr)
	}
}

func TestTraceOfPatternThatIsNone(t *testing.T) {
	p := dwell(t, "trace", "--netns", "tenant-[")
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	checkOneLine(t, p.stderr.String(), `"tenant-["`, "syntax error in pattern")
}
