// SPDX-License-Identifier: Apache-2.0

package tenantdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/config"
)

// maxFile is the most bytes that a file may have: more than a tenant of thousands of ports
// needs.
const maxFile = 256 << 10

// patience is how long a file that is being written is left alone without a word.
const patience = 10 * time.Second

// Source is what tenants are read from.
type Source struct {
	// Dir is the directory, "" for none. It need not exist.
	Dir string
	// Config is the configuration, and Environ what it was read with.
	Config  *config.Loaded
	Environ []string
	// Writing says which files are being written, by name, and when that began. They are left
	// as they are.
	Writing map[string]time.Time
}

// Read reads the directory. What is in force in the state before, which may be nil, stays so
// where a file cannot be read. A directory that does not exist has no files.
//
// An error is one of the configuration: one of its tenants is in conflict with a file that
// is in force.
func Read(src Source, before *State) (*State, error) {
	s := &State{dir: src.Dir, base: src.Config, files: map[string]*file{}}
	if before == nil || before.dir != s.dir {
		before = &State{Withheld: true}
	}
	if err := s.readAll(src, before); err != nil {
		for name, old := range before.files {
			f := *old
			s.files[name] = &f
		}
		s.Problems = append(s.Problems, Problem{s.dir, err, !before.Withheld})
		s.Withheld = before.Withheld
	}
	if err := s.settle(src.Config); err != nil {
		return nil, err
	}
	s.note(before, src)
	if s.Withheld {
		s.Definitions = nil
		s.Set, _ = src.Config.NewSet(nil) // of no tenants, which nothing can be wrong with
	}
	return s, nil
}

// note collects the problems, and decides whether tenants can be in force.
func (s *State) note(before *State, src Source) {
	unknown := s.Withheld
	for _, f := range s.sorted() {
		if err := f.problem(); err != nil {
			s.Problems = append(s.Problems, Problem{s.path(f.name), err, f.force != nil})
		} else if began, writing := src.Writing[f.name]; writing && time.Since(began) > patience {
			s.Problems = append(s.Problems, Problem{s.path(f.name), fmt.Errorf("%s: another process has it open for writing and has not closed it", s.path(f.name)), f.force != nil})
		}
		unknown = unknown || f.force == nil
	}
	s.Withheld = unknown && before.Withheld
}

// path returns the path of a file.
func (s *State) path(name string) string { return filepath.Join(s.dir, name) }

// readAll reads the files of the directory.
func (s *State) readAll(src Source, before *State) error {
	if s.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("cannot read the directory of tenants: %w", err)
	}
	for _, e := range entries {
		if !isTenant(e.Name()) {
			continue
		}
		f := &file{name: e.Name()}
		if old := before.files[f.name]; old != nil {
			*f = *old
		}
		if s.read(f, src) {
			s.files[f.name] = f
		}
	}
	return nil
}

// isTenant reports whether a name is that of a tenant's file: not that of an editor's
// backup, of what is renamed when it is complete, or of what holds a ConfigMap's files.
func isTenant(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, config.TenantFile) || strings.HasSuffix(name, ".yml"))
}

// read reads one file anew, and returns false if it is gone.
func (s *State) read(f *file, src Source) bool {
	if _, writing := src.Writing[f.name]; writing {
		return true
	}
	path := s.path(f.name)
	if strings.HasSuffix(f.name, ".yml") {
		f.err = fmt.Errorf("%s: not read, because its name does not end in %s; rename it", path, config.TenantFile)
		return true
	}
	text, modified, err := load(path)
	if err != nil {
		if _, there := os.Lstat(path); errors.Is(there, fs.ErrNotExist) {
			return false
		}
		f.text, f.base, f.err = "", nil, err
		return true
	}
	f.modified = modified
	if f.base == src.Config && f.text == text {
		return true
	}
	f.text, f.base = text, src.Config
	def, err := src.Config.ParseTenant(path, []byte(text), src.Environ)
	f.def, f.err = &def, err
	return true
}

// load returns the text of a file, which must not be one that a read waits for.
func load(path string) (text string, modified time.Time, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", modified, fmt.Errorf("cannot read a tenant: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", modified, fmt.Errorf("cannot read a tenant: %w", err)
	}
	if !st.Mode().IsRegular() {
		return "", modified, fmt.Errorf("cannot read a tenant: %s is not a regular file", path)
	}
	if st.Mode().Perm()&0o002 != 0 {
		return "", modified, fmt.Errorf("cannot trust a tenant: everyone may write %s; use chmod o-w", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", modified, fmt.Errorf("cannot read a tenant: %w", err)
	}
	if len(b) > maxFile {
		return "", modified, fmt.Errorf("cannot read a tenant: %s is larger than %d KiB", path, maxFile>>10)
	}
	return string(b), st.ModTime(), nil
}
