// SPDX-License-Identifier: Apache-2.0

// Package source finds the files of a source tree that are worth judging: those
// that people wrote. What checks rules and what computes figures must agree on
// which those are.
package source

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Skipped reports whether a directory of that name holds nothing to judge: it is
// hidden, made by tools, or broken on purpose. The directory .ci is ours.
func Skipped(name string) bool {
	hidden := strings.HasPrefix(name, ".") && name != "." && name != ".ci"
	return hidden || name == "bin" || name == "testdata"
}

// Files returns the paths of all regular files that keep accepts, in lexical order
// and without those in [Skipped] directories. The error is that of reading root.
func Files(root fs.FS, keep func(name string) bool) ([]string, error) {
	var found []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && Skipped(entry.Name()):
			return fs.SkipDir
		case entry.Type().IsRegular() && keep(name):
			found = append(found, name)
		}
		return nil
	})
	return found, err
}

// The marker is defined by `go help generate`.
var (
	generatedMarker = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	packageClause   = regexp.MustCompile(`(?m)^package `)
)

// Generated reports whether a file says above its package clause that a program
// wrote it.
func Generated(text []byte) bool {
	if at := packageClause.FindIndex(text); at != nil {
		text = text[:at[0]]
	}
	return generatedMarker.Match(text)
}

// Match reports whether a path matches one of the patterns: "a" is the path itself,
// "a/..." is a and everything below, and "..." is everything, as for the go command.
func Match(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		base, tree := strings.CutSuffix(pattern, "/...")
		return pattern == "..." || name == base || tree && strings.HasPrefix(name, base+"/")
	})
}
