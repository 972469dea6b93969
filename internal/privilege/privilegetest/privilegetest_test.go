// SPDX-License-Identifier: Apache-2.0

package privilegetest_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// missing is an error about a feature that came with a newer kernel than the running
// one, or did not.
type missing struct{ newer bool }

func (missing) Error() string            { return "netfilter programs not supported" }
func (m missing) NeedsNewer(string) bool { return m.newer }

// ending notes how a test would have ended.
type ending struct {
	testing.TB
	how    string
	tooOld bool // has the attribute
}

func (*ending) Helper() {}

func (e *ending) Attr(key, _ string) { e.tooOld = key == privilegetest.TooOld }

func (e *ending) Skipf(string, ...any)  { e.how = "skips"; runtime.Goexit() }
func (e *ending) Fatalf(string, ...any) { e.how = "fails"; runtime.Goexit() }

func TestKernel(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "goes on"},
		{missing{newer: true}, "skips"},
		{fmt.Errorf("attach: %w", missing{newer: true}), "skips"},
		{missing{newer: false}, "fails"},
		{errors.New("permission denied"), "fails"},
	} {
		e := &ending{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			privilegetest.Kernel(e, tt.err)
			e.how = "goes on"
		}()
		if <-done; e.how != tt.want {
			t.Errorf("a test with the error %v %s, want: %s", tt.err, e.how, tt.want)
		}
		if e.tooOld != (tt.want == "skips") {
			t.Errorf("a test with the error %v %s, and has the attribute %s: %t", tt.err, e.how, privilegetest.TooOld, e.tooOld)
		}
	}
}
