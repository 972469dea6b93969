// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/agent/agenttest"
)

// refusals are what OnRefused is called with, "" for nil.
type refusals struct {
	mu    sync.Mutex
	texts []string
}

func (r *refusals) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.texts = append(r.texts, "")
	} else {
		r.texts = append(r.texts, err.Error())
	}
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.texts)
}

// A refused change is tried again until the kernel accepts it, and reported when it
// begins, when its text changes and when it is over, however often it is tried.
func TestRefusedScopeIsTriedAgain(t *testing.T) {
	_, name := names(t, "refused")
	var reported refusals
	var kernel agenttest.Refusing
	f := follow(t, agent.Options{
		Scope:  agent.Scope{NetNS: []string{name[0]}, Netfilter: []string{agent.NoNetfilter}},
		Kernel: kernel.Wrap, OnRefused: reported.add,
	})
	full, slow, held := errors.New("no room"), errors.New("too slow"), errors.New("held")
	tries := func(more int) func(agent.Status) bool {
		enough := kernel.FiltersRefused() + more
		return func(agent.Status) bool { return kernel.FiltersRefused() >= enough }
	}
	kernel.Refuse(full, nil)
	create(t, name[0])
	s := f.until("refused", func(s agent.Status) bool { return s.Refused.Scope != nil })
	if !errors.Is(s.Refused.Err(), full) || s.NetNS != 0 {
		t.Errorf("refused %+v, %d namespaces traced; want %v and none", s.Refused, s.NetNS, full)
	}
	f.until("tried again", tries(3))
	kernel.Refuse(slow, held)
	f.until("another reason", func(s agent.Status) bool {
		return errors.Is(s.Refused.Err(), slow) && errors.Is(s.Refused.Err(), held)
	})
	f.until("tried again", tries(2))
	kernel.Refuse(nil, nil)
	f.until("accepted", func(s agent.Status) bool { return s.NetNS == 1 && s.Refused.Err() == nil })
	f.stop()
	got := slices.DeleteFunc(reported.all(), func(s string) bool {
		return s == "too slow" || s == "held" || s == "no room\nheld" // one may be refused before the other
	})
	if want := []string{"no room", "too slow\nheld", ""}; !cmp.Equal(want, got) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

// Whether a namespace can be released is tried after each look, whatever the scope.
func TestRefusedRelease(t *testing.T) {
	_, name := names(t, "held")
	var reported refusals
	var kernel agenttest.Refusing
	held := errors.New("held")
	kernel.Refuse(nil, held)
	f := follow(t, agent.Options{
		Scope:  agent.Scope{NetNS: name, Netfilter: name},
		Kernel: kernel.Wrap, OnRefused: reported.add,
	})
	ns := create(t, name[0])
	f.until("timed", func(s agent.Status) bool { return s.Netfilter == 1 })
	f.until("refused", func(s agent.Status) bool { return errors.Is(s.Refused.Release, held) })
	tried := kernel.ReleasesRefused()
	f.until("tried again", func(agent.Status) bool { return kernel.ReleasesRefused() > tried+1 })
	kernel.Refuse(nil, nil)
	f.until("over", func(s agent.Status) bool { return s.Refused.Err() == nil })
	remove(t, ns)
	f.until("released", func(s agent.Status) bool { return s.Netfilter == 0 })
	f.stop()
	if want, got := []string{"held", ""}, reported.all(); !cmp.Equal(want, got) {
		t.Errorf("reported %q, want %q", got, want)
	}
}
