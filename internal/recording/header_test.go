// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// file is a recording in memory.
type file struct{ bytes.Buffer }

// Close implements [io.Closer].
func (*file) Close() error { return nil }

// What the correlator was told of clock, scope and root is in the header.
func TestOptionsAreKept(t *testing.T) {
	for _, want := range []correlate.Options{{Wall: 5, Partial: true}, {Wall: 7, OwnRoot: true}, {}} {
		var b file
		w := New(&b, Info{}, nil)
		opts := want
		opts.Resolver, opts.Emit = correlate.Numbers{}, func(*trace.Trace) {}
		w.Correlator(opts, 99)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Open("f", &b.Buffer)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.options; got.Wall != want.Wall || got.Partial != want.Partial || got.OwnRoot != want.OwnRoot {
			t.Errorf("%+v, want %+v", got, want)
		}
		if text := string(r.Header().encode()); strings.Contains(text, "own_root") != want.OwnRoot || strings.Contains(text, "partial") != want.Partial {
			t.Errorf("the header is %s", text)
		}
	}
}

// An older recording does not say what the correlator was told of the clock, but what the
// clock was.
func TestOlderRecordingsHaveTheClock(t *testing.T) {
	for _, name := range []string{"testdata/version1.dwell", "testdata/version2.dwell"} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := Open(name, f)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.options.Wall, r.Header().Offset; got != want || want == 0 {
			t.Errorf("%s: wall %d, offset %d", name, got, want)
		}
	}
}
