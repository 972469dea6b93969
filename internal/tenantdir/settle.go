// SPDX-License-Identifier: Apache-2.0

package tenantdir

import (
	"slices"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// settle decides which definitions are in force: those that are together free of conflicts.
// Of two in conflict the older one is: what is in force before what is new, and then the
// file that was modified first.
func (s *State) settle(base *config.Loaded) error {
	var changed []*file
	for _, f := range s.sorted() {
		f.conflict = nil
		if f.err == nil && f.base != nil {
			changed = append(changed, f)
		}
	}
	slices.SortStableFunc(changed, func(a, b *file) int { return a.modified.Compare(b.modified) })
	t := trial{state: s, base: base, force: map[string]*config.Definition{}}
	for name, f := range s.files {
		t.force[name] = f.force
	}
	if t.all(changed) {
		return t.finish()
	}
	// What holds without any change must hold, or the configuration is in conflict with it.
	if _, err := t.set(); err != nil {
		return err
	}
	for left := len(changed) + 1; len(changed) > 0 && len(changed) < left; {
		left = len(changed)
		changed = t.some(changed) // again, because a conflict may have gone
	}
	return t.finish()
}

// trial puts definitions in force to see whether they are in conflict.
type trial struct {
	state *State
	base  *config.Loaded
	force map[string]*config.Definition // by file; nil for none
}

// set returns the set of what is in force.
func (t *trial) set() (*tenant.Set, error) { return t.base.NewSet(t.definitions()) }

func (t *trial) definitions() []config.Definition {
	defs := t.base.Definitions()
	for _, f := range t.state.sorted() {
		if def := t.force[f.name]; def != nil {
			defs = append(defs, *def)
		}
	}
	return defs
}

// all puts what these files define in force, all or, if it returns false, none.
func (t *trial) all(files []*file) bool { return t.try(files) == nil }

func (t *trial) try(files []*file) error {
	before := make([]*config.Definition, len(files))
	for i, f := range files {
		before[i], t.force[f.name] = t.force[f.name], f.def
	}
	_, err := t.set()
	if err != nil {
		for i, f := range files {
			t.force[f.name] = before[i]
		}
	}
	return err
}

// some puts as many of these files in force as are not in conflict with what comes before
// them, and returns the others. Halves are tried as a whole, so that few conflicts among
// many files take few attempts.
func (t *trial) some(files []*file) (refused []*file) {
	err := t.try(files)
	if err == nil {
		for _, f := range files {
			f.conflict = nil
		}
		return nil
	}
	if len(files) == 1 {
		files[0].conflict = err
		return files
	}
	half := len(files) / 2
	return slices.Concat(t.some(files[:half]), t.some(files[half:]))
}

// finish makes the trial the state.
func (t *trial) finish() (err error) {
	s := t.state
	for name, f := range s.files {
		f.force = t.force[name]
	}
	s.Definitions = t.definitions()
	s.Set, err = t.set()
	return err
}
