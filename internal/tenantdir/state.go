// SPDX-License-Identifier: Apache-2.0

package tenantdir

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// State is what is known of a directory at one time. It does not change.
type State struct {
	// Definitions are the tenants in force: those of the configuration, and then those of the
	// directory in the order of their files' names. Set is the same as a set.
	Definitions []config.Definition
	Set         *tenant.Set
	// Problems are the files that are refused, in the order of their names.
	Problems []Problem
	// Withheld is set if no tenant is in force because of files of which nothing is known.
	Withheld bool

	dir   string
	base  *config.Loaded
	files map[string]*file // by name
}

// Problem is a file that is refused, or a directory that cannot be read.
type Problem struct {
	// File is the path.
	File string
	// Err joins what is wrong, each with line and column.
	Err error
	// Kept is set if an earlier definition stays in force.
	Kept bool
}

// file is what is known of a file.
type file struct {
	name     string
	modified time.Time
	text     string
	// base is what the text was read with, which says what it leaves out.
	base *config.Loaded
	// def is what the text defines, unless err says why it defines nothing.
	def *config.Definition
	err error
	// force is the definition in force, nil for none, and conflict says why it is not def.
	force    *config.Definition
	conflict error
}

// problem returns what is wrong with the file, or nil.
func (f *file) problem() error { return cmp.Or(f.err, f.conflict) }

// Count returns how many tenants are in force.
func (s *State) Count() int {
	if s == nil {
		return 0
	}
	return len(s.Definitions)
}

// Refused returns how many files are refused.
func (s *State) Refused() int {
	if s == nil {
		return 0
	}
	return len(s.Problems)
}

// News returns the problems that are not the same as in the state before, and the files that
// had one and have none any more, but for those that are gone.
func (s *State) News(before *State) (problems []Problem, mended []string) {
	was := map[string]string{}
	if before != nil {
		for _, p := range before.Problems {
			was[p.File] = p.Err.Error()
		}
	}
	for _, p := range s.Problems {
		if was[p.File] != p.Err.Error() {
			problems = append(problems, p)
		}
		delete(was, p.File)
	}
	for _, f := range s.files {
		if path := s.path(f.name); was[path] != "" {
			mended = append(mended, path)
		}
	}
	slices.Sort(mended)
	return problems, mended
}

// Same reports whether the same tenants are in force as in another state, by the same
// configuration.
func (s *State) Same(other *State) bool {
	if s == nil || other == nil {
		return s == other
	}
	return s.base == other.base && s.Withheld == other.Withheld && slices.Equal(s.force(), other.force())
}

// force returns the definitions in force of the files.
func (s *State) force() []*config.Definition {
	var all []*config.Definition
	for _, f := range s.sorted() {
		if f.force != nil {
			all = append(all, f.force)
		}
	}
	return all
}

// sorted returns the files in the order of their names.
func (s *State) sorted() []*file {
	var all []*file
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		all = append(all, s.files[name])
	}
	return all
}
