// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The page that says what each package is for, and the heading of that part of it.
const (
	MapPage    = "docs/architecture.md"
	mapHeading = "\n## The map\n"
)

// A path of this repository in the map: a package, a directory or a file.
var mapPath = regexp.MustCompile("`((?:bpf|cmd|correlate|docs|examples|exporter|fastpath|internal)[a-z0-9_./]*)`")

// CheckMap finds packages that the map in docs/architecture.md does not name, and
// paths in it that do not exist. A package for tests or for generated pages, which
// stands in the directory of another package, may be missing.
func CheckMap(root fs.FS) ([]string, error) {
	page, err := fs.ReadFile(root, MapPage)
	if err != nil {
		return nil, err
	}
	byDir, err := sources(root)
	if err != nil {
		return nil, err
	}
	named := mapped(string(page))
	var broken []string
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		if !slices.Contains(named, dir) && !companion(dir, byDir) && !ownModule(root, dir) {
			broken = append(broken, fmt.Sprintf("%s is not in the map of %s: say there what it is for", dir, MapPage))
		}
	}
	for _, name := range named {
		if _, err := fs.Stat(root, name); err != nil {
			broken = append(broken, fmt.Sprintf("%s names %s, which does not exist", MapPage, name))
		}
	}
	return broken, nil
}

// mapped returns the paths that the map names, each once.
func mapped(page string) []string {
	_, section, _ := strings.Cut(page, mapHeading)
	section, _, _ = strings.Cut(section, "\n## ")
	var named []string
	for _, match := range mapPath.FindAllStringSubmatch(section, -1) {
		named = append(named, match[1])
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// companion reports whether a package only serves the tests or the pages of the
// package in whose tree it stands.
func companion(dir string, byDir map[string][]string) bool {
	base := path.Base(dir)
	parent := path.Dir(dir)
	for parent != "." && byDir[parent] == nil {
		parent = path.Dir(parent)
	}
	return parent != "." && (strings.HasSuffix(base, "test") || strings.HasSuffix(base, "doc"))
}

// ownModule reports whether a directory is the top of another module.
func ownModule(root fs.FS, dir string) bool {
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil && dir != "."
}
