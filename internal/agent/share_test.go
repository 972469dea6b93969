// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// sharing is a FastPath that notes what it is given.
type sharing struct {
	correlate.Numbers
	given []int
	err   error
}

func (s *sharing) SetTracing(shared map[string]*ebpf.Map) error {
	s.given = append(s.given, len(shared))
	if shared == nil {
		return nil
	}
	return s.err
}

// Firewall and fast path are given the tracer's maps, and have them taken away, whether the
// other can use them or not.
func TestShare(t *testing.T) {
	privilegetest.BPF(t)
	tracer, err := bpf.Load(bpf.Options{RingBytes: 1 << 12})
	privilegetest.Kernel(t, err)
	defer tracer.Close()
	all := len(tracer.Shared())
	refused := errors.New("refused")
	for name, tt := range map[string]struct {
		firewall, fastPath error
		without            bool
		given              int // to the fast path
		fails              bool
	}{
		"both":                    {given: all},
		"no firewall":             {firewall: refused, without: true, given: all},
		"no fast path":            {fastPath: refused, without: true, given: all},
		"firewall is needed":      {firewall: refused, fails: true},
		"the fast path is needed": {fastPath: refused, given: all, fails: true},
	} {
		f, p := &sharing{err: tt.firewall}, &sharing{err: tt.fastPath}
		told := 0
		a := &Agent{tracer: tracer, opts: Options{Firewall: silent{f}, FastPath: p}}
		if tt.without {
			a.opts.WithoutFirewall = func(error) { told++ }
			a.opts.WithoutFastPath = a.opts.WithoutFirewall
		}
		if err := a.share(); (err != nil) != tt.fails || err != nil && !errors.Is(err, refused) {
			t.Errorf("%s: error %v", name, err)
		}
		if err := a.unshare(); err != nil || a.unshare() != nil {
			t.Errorf("%s: error %v", name, err)
		}
		if tt.without != (told == 1) {
			t.Errorf("%s: told %d times", name, told)
		}
		if want := []int{all, 0}; len(f.given) != 2 || f.given[0] != want[0] || f.given[1] != 0 {
			t.Errorf("%s: the firewall was given %v", name, f.given)
		}
		if tt.given == 0 && len(p.given) != 0 || tt.given > 0 && (len(p.given) != 2 || p.given[0] != tt.given || p.given[1] != 0) {
			t.Errorf("%s: the fast path was given %v", name, p.given)
		}
	}
}

// silent is a Firewall that explains nothing.
type silent struct{ *sharing }

func (silent) Explain(*event.Event) (event.Action, bool) { return event.Action{}, false }
