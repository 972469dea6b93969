// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules that the compiler does not: which package may
// know which, who may look at the clock, where files go and how long they get.
//
// The correlator is worth testing without a kernel only as long as it cannot
// reach one; a rule that nobody checks is a wish. Each rule returns what breaks
// it as text, file or package first.
package archtest

import (
	"bytes"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// skipped are directories that hold nothing to judge: not ours, made by tools, or
// broken on purpose.
func skipped(name string) bool {
	hidden := strings.HasPrefix(name, ".") && name != "." && name != ".ci"
	return hidden || name == "bin" || name == "testdata"
}

// files returns the paths of all files that keep accepts.
func files(root fs.FS, keep func(name string) bool) ([]string, error) {
	var found []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(entry.Name()):
			return fs.SkipDir
		case entry.Type().IsRegular() && keep(name):
			found = append(found, name)
		}
		return nil
	})
	return found, err
}

// sources returns the hand-written Go files, without tests, by directory.
func sources(root fs.FS) (map[string][]string, error) {
	names, err := files(root, func(name string) bool {
		return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
	})
	if err != nil {
		return nil, err
	}
	byDir := map[string][]string{}
	for _, name := range names {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		if !generated(text) {
			byDir[path.Dir(name)] = append(byDir[path.Dir(name)], name)
		}
	}
	return byDir, nil
}

// The marker is defined by `go help generate`.
var generatedMarker = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func generated(text []byte) bool {
	head, _, _ := bytes.Cut(text, []byte("\npackage "))
	return generatedMarker.Match(head)
}

// match reports whether a path matches one of the patterns, of which "a/..." means
// a and all below and "..." everything, as for the go command.
func match(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		base, tree := strings.CutSuffix(pattern, "/...")
		return pattern == "..." || name == base || tree && strings.HasPrefix(name, base+"/")
	})
}
