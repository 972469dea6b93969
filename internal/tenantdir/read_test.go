// SPDX-License-Identifier: Apache-2.0

package tenantdir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// place is a directory of tenants, and what is in force of it.
type place struct {
	*testing.T
	dir   string
	base  *config.Loaded
	state *tenantdir.State
}

func newPlace(t *testing.T, text string) *place {
	t.Helper()
	return &place{T: t, dir: filepath.Join(t.TempDir(), "tenants.d"), base: load(t, text)}
}

func load(t *testing.T, text string) *config.Loaded {
	t.Helper()
	loaded, err := config.Parse("/etc/dwell/dwell.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// write writes a file, and makes its directory.
func (p *place) write(name, text string) {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.Fatal(err)
	}
}

// age makes a file that many hours old.
func (p *place) age(name string, hours int) {
	p.Helper()
	at := time.Now().Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(filepath.Join(p.dir, name), at, at); err != nil {
		p.Fatal(err)
	}
}

func (p *place) remove(name string) {
	p.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
		p.Fatal(err)
	}
}

func (p *place) source() tenantdir.Source { return tenantdir.Source{Dir: p.dir, Config: p.base} }

// read reads the directory, and returns who owns what: "red:tap1,tap2 blue:tap3".
func (p *place) read() string {
	p.Helper()
	s, err := tenantdir.Read(p.source(), p.state)
	if err != nil {
		p.Fatal(err)
	}
	p.state = s
	return p.force()
}

// force says who owns what, and checks that the set says the same.
func (p *place) force() string {
	p.Helper()
	var out, ids []string
	for _, d := range p.state.Definitions {
		ids = append(ids, d.ID)
		out = append(out, d.ID+":"+strings.Join(d.Owned().Ports, ","))
		if owned, _ := p.state.Set.Get(d.ID); !slices.Equal(owned.Ports, d.Owned().Ports) {
			p.Errorf("of %s the set has %v", d.ID, owned.Ports)
		}
	}
	slices.Sort(ids)
	if !slices.Equal(p.state.Set.IDs(), ids) {
		p.Errorf("the set has %v, in force are %v", p.state.Set.IDs(), ids)
	}
	return strings.Join(out, " ")
}

// is fails unless these are in force.
func (p *place) is(want string) {
	p.Helper()
	if got := p.read(); got != want {
		p.Errorf("in force is %q, want %q: %v", got, want, p.state.Problems)
	}
}

// refused fails unless there is one problem, which says so.
func (p *place) refused(kept bool, words ...string) {
	p.Helper()
	if len(p.state.Problems) != 1 || p.state.Refused() != 1 || p.state.Problems[0].Kept != kept {
		p.Fatalf("problems: %+v", p.state.Problems)
	}
	for _, word := range words {
		if !strings.Contains(p.state.Problems[0].Err.Error(), word) {
			p.Errorf("%v does not say %q", p.state.Problems[0].Err, word)
		}
	}
}

func TestRead(t *testing.T) {
	p := newPlace(t, "tenants: [{id: first, ports: [tap0]}]\n")
	p.is("first:tap0") // there is no directory
	p.write("red.yaml", "ports: [tap1]\n")
	p.write("b.yaml", "{id: blue, ports: [tap2]}")
	for _, name := range []string{"red.yaml~", ".red.yaml", "red.yaml.tmp", "red.yaml.swp", "#red.yaml#", "readme", "..data"} {
		p.write(name, "nonsense\n")
	}
	p.is("first:tap0 blue:tap2 red:tap1")
	if d := p.state.Definitions[2]; d.Owned().Origin != filepath.Join(p.dir, "red.yaml")+":1" {
		t.Errorf("defined at %s", d.Owned().Origin)
	}
	before := p.state
	p.is("first:tap0 blue:tap2 red:tap1")
	if !p.state.Same(before) || before.Same(nil) {
		t.Error("nothing has changed, and it is not the same")
	}
	p.write("red.yaml", "ports: [tap1, tap3]\n")
	p.is("first:tap0 blue:tap2 red:tap1,tap3")
	if p.state.Same(before) {
		t.Error("a change is none")
	}
	p.remove("b.yaml")
	p.is("first:tap0 red:tap1,tap3")
	p.remove("")
	p.is("first:tap0")
	if n := p.state.Refused() + p.state.Count(); n != 1 {
		t.Errorf("%d in force or refused", n)
	}
}

// A file with a mistake does not change what is in force, and is told once.
func TestMistakes(t *testing.T) {
	p := newPlace(t, "")
	p.write("red.yaml", "ports: [tap1]\n")
	p.write("blue.yaml", "ports: [tap2]\n")
	p.is("blue:tap2 red:tap1")
	for _, tt := range []struct{ text, want string }{
		{"ports: [tap1, 'a/b']\n", "red.yaml:1:15: ports[1]: "},
		{"port: [tap1]\n", "red.yaml:1:1: port: there is no such setting; did you mean ports?"},
		{"", "red.yaml:1:1: the tenant owns nothing"},
		{"ports: [tap1", "red.yaml:1:"},
		{strings.Repeat("#", 300<<10), "larger than 256 KiB"},
		{"ports: [tap1, tap2]\n", "port tap2 belongs to tenant blue ("},
	} {
		p.write("red.yaml", tt.text)
		before := p.state
		p.is("blue:tap2 red:tap1")
		p.refused(true, tt.want)
		if news, _ := p.state.News(before); len(news) != 1 || !p.state.Same(before) {
			t.Errorf("%d news, the same is in force: %t", len(news), p.state.Same(before))
		}
		before = p.state
		p.read()
		if news, mended := p.state.News(before); len(news)+len(mended) > 0 {
			t.Errorf("told again: %v, %v", news, mended)
		}
	}
	before := p.state
	p.write("red.yaml", "ports: [tap3]\n")
	p.is("blue:tap2 red:tap3")
	if news, mended := p.state.News(before); len(news) > 0 || !slices.Equal(mended, []string{filepath.Join(p.dir, "red.yaml")}) {
		t.Errorf("news %v, mended %v", news, mended)
	}
	p.write("green.yaml", "x\n") // was never in force: nobody else changes
	p.is("blue:tap2 red:tap3")
	p.refused(false, "green.yaml:1:1: ")
}

// What cannot be a file with a tenant in it is refused, and is not waited for.
func TestNoFiles(t *testing.T) {
	p := newPlace(t, "")
	p.write("red.yaml", "ports: [tap1]\n")
	p.is("red:tap1")
	path := filepath.Join(p.dir, "x.yaml")
	for name, put := range map[string]func() error{
		"is not a regular file": func() error { return os.Mkdir(path, 0o755) },
		"not a regular file":    func() error { return unix.Mkfifo(path, 0o644) },
		"no such file":          func() error { return os.Symlink("/nowhere", path) },
		"too many levels":       func() error { return os.Symlink(path, path) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		p.is("red:tap1")
		p.refused(false, name, path)
		p.remove("x.yaml")
	}
	p.write("x.yaml", "ports: [tap3]\n")
	if err := os.Chmod(path, 0o646); err != nil {
		t.Fatal(err)
	}
	p.is("red:tap1")
	p.refused(false, "everyone may write "+path)
	p.remove("x.yaml")
	p.write("blue.yml", "ports: [tap2]\n")
	p.is("red:tap1")
	p.refused(false, "blue.yml", "does not end in .yaml")
	p.remove("blue.yml")
	p.is("red:tap1")
	// A directory that is no directory any more is not one without files.
	if err := os.Rename(p.dir, p.dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.is("red:tap1")
	p.refused(true, "not a directory")
}

// When nothing is known of a file, no tenant is in force, not even those of the
// configuration, because any of them may have a pattern that matches what is not its own.
func TestStart(t *testing.T) {
	for name, spoil := range map[string]func(*place){
		"a mistake":      func(p *place) { p.write("blue.yaml", "port: [x]\n") },
		"a conflict":     func(p *place) { p.write("blue.yaml", "ports: [tap1]\n") },
		"another ending": func(p *place) { p.write("blue.yml", "ports: [tap2]\n") },
		"no directory": func(p *place) {
			p.remove("")
			if err := os.WriteFile(p.dir, nil, 0o644); err != nil {
				p.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, "tenants: [{id: first, ports: ['tap*']}]\n")
			p.write("red.yaml", "ports: [tap1]\n")
			p.age("red.yaml", 1)
			spoil(p)
			p.is("")
			if !p.state.Withheld || p.state.Refused() != 1 || p.state.Set.Len() != 0 {
				t.Errorf("withheld: %t, refused: %v", p.state.Withheld, p.state.Problems)
			}
			p.is("") // it does not become known by being read again
			p.remove("")
			p.write("red.yaml", "ports: [tap1]\n")
			p.is("first:tap* red:tap1")
			spoil(p)
			if p.is("first:tap* red:tap1"); p.state.Withheld {
				t.Error("what was in force is not any more")
			}
		})
	}
}

// Of two in conflict the older is in force, after a start too; as soon as it lets go, the
// other one is.
func TestConflicts(t *testing.T) {
	p := newPlace(t, "tenants: [{id: first, ports: [tap0]}]\n")
	p.is("first:tap0")
	p.write("z.yaml", "ports: [tap1]\n")
	p.is("first:tap0 z:tap1")
	p.write("a.yaml", "ports: [tap1, tap2]\n")
	p.is("first:tap0 z:tap1")
	p.refused(false, "port tap1 belongs to tenant a (", "a.yaml:1", "tenant z (")
	p.age("a.yaml", 5) // what is in force is older all the same
	p.is("first:tap0 z:tap1")
	p.write("z.yaml", "ports: [tap3]\n")
	p.is("first:tap0 a:tap1,tap2 z:tap3")
	p.write("z.yaml", "ports: [tap0]\n")
	p.is("first:tap0 a:tap1,tap2 z:tap3")
	p.refused(true, "port tap0 belongs to tenant first (/etc/dwell/dwell.yaml:1)", "z.yaml:1")
	p.remove("z.yaml")
	// A file that is renamed by a copy is two for a while.
	p.write("b.yaml", "{id: a, ports: [tap1, tap2]}\n")
	p.is("first:tap0 a:tap1,tap2")
	p.refused(false, "tenant ID a is defined twice")
	p.remove("a.yaml")
	p.is("first:tap0 a:tap1,tap2")
	// Two that exchange what they own are in conflict one by one, and not together.
	p.write("c.yaml", "ports: [tap3]\n")
	p.is("first:tap0 a:tap1,tap2 c:tap3")
	p.write("b.yaml", "{id: a, ports: [tap3]}\n")
	p.write("c.yaml", "ports: [tap1]\n")
	p.is("first:tap0 a:tap3 c:tap1")
}

// A configuration that takes what a file has in force is refused, and changes nothing.
func TestConfiguration(t *testing.T) {
	p := newPlace(t, "tenancy: {sampling: {ratio: 0.5}}\n")
	p.write("red.yaml", "ports: [tap1]\n")
	p.is("red:tap1")
	good := p.base
	for _, text := range []string{"tenants: [{id: blue, ports: [tap1]}]\n", "tenants: [{id: red, ports: [tap2]}]\n"} {
		p.base = load(t, text)
		if _, err := tenantdir.Read(p.source(), p.state); err == nil || !strings.Contains(err.Error(), "red.yaml:1") || !strings.Contains(err.Error(), "dwell.yaml:1") {
			t.Errorf("%v", err)
		}
	}
	p.base = good
	p.is("red:tap1")
	before := p.state
	p.base = load(t, "tenancy: {sampling: {ratio: 0.25}}\n")
	p.is("red:tap1")
	if got := p.state.Definitions[0].Sampling.Ratio; got != 0.25 || p.state.Same(before) {
		t.Errorf("ratio %v, the same is in force: %t", got, p.state.Same(before))
	}
	// A file with a mistake keeps what it had, as the old configuration had it.
	p.write("red.yaml", "x\n")
	p.base = load(t, "tenancy: {sampling: {ratio: 0.125}}\n")
	p.is("red:tap1")
	p.refused(true, "red.yaml:1:1")
	// Another directory is like a start.
	p.dir += ".new"
	p.write("blue.yaml", "x\n")
	if p.is(""); !p.state.Withheld {
		t.Error("tenants of a directory that was never read are in force")
	}
}

// Files that are being written stay as they were.
func TestWriting(t *testing.T) {
	p := newPlace(t, "")
	p.write("red.yaml", "ports: [tap1]\n")
	p.is("red:tap1")
	p.write("red.yaml", "ports: [tap2]\n")
	p.write("blue.yaml", "ports: [tap3]\n")
	src := p.source()
	for since, problems := range map[time.Duration]int{0: 0, time.Minute: 2} {
		began := time.Now().Add(-since)
		src.Writing = map[string]time.Time{"red.yaml": began, "blue.yaml": began}
		s, err := tenantdir.Read(src, p.state)
		if err != nil || len(s.Problems) != problems {
			t.Fatalf("%v, %+v", err, s.Problems)
		}
		p.state = s
		if got := p.force(); got != "red:tap1" {
			t.Errorf("in force is %q", got)
		}
	}
	p.is("blue:tap3 red:tap2")
}

// A thousand files, a few of them in conflict, are read in a moment.
func TestMany(t *testing.T) {
	p := newPlace(t, "")
	for i := range 1000 {
		p.write(fmt.Sprintf("t%d.yaml", i), fmt.Sprintf("ports: [tap%d]\nprefixes: [192.0.2.0/24]\n", i))
	}
	p.read()
	if p.state.Count() != 1000 {
		t.Fatalf("%d in force, refused: %v", p.state.Count(), p.state.Problems)
	}
	for i := range 10 {
		p.write(fmt.Sprintf("t%d.yaml", i*50), fmt.Sprintf("ports: [tap%d]\n", i*50+1))
	}
	began := time.Now()
	p.read()
	if p.state.Count() != 1000 || p.state.Refused() != 10 {
		t.Errorf("%d in force, refused: %v", p.state.Count(), p.state.Problems)
	}
	t.Logf("read in %v", time.Since(began))
}

// The files that come with dwell are good.
func TestExample(t *testing.T) {
	p := newPlace(t, "")
	p.dir = "../../examples/compose/tenants.d"
	p.read()
	if p.state.Count() != 2 || p.state.Refused() > 0 {
		t.Errorf("%d in force, refused: %v", p.state.Count(), p.state.Problems)
	}
}
