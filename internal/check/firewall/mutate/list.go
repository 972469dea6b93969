// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Where the guards are listed: those of the firewall's BPF programs, those of the fast path's, which the
// twins test, those of the tracer's rings on both sides, and all others.
const (
	programs     = "fastpath/datapath"
	programsList = programs + "/mutations.txt"
	bypass       = "fastpath/bypass"
	bypassList   = bypass + "/mutations.txt"
	bypassTests  = "./internal/check/fastpath/twin"
	rings        = "bpf"
	ringsList    = rings + "/mutations.txt"
	othersList   = "internal/check/firewall/mutate/mutations.txt"
)

// mutation is a guard taken away.
type mutation struct {
	// file is changed by a script for sed.
	file, script string
	// test, an expression as of go test, must then fail in the package.
	pkg, test string
	// generate is where BPF objects must be generated anew, or "".
	generate string
}

// String returns what is on the list.
func (m *mutation) String() string { return m.file + ": " + m.script }

// mutations reads all lists of the tree.
func mutations(tree string) ([]mutation, error) {
	var list []mutation
	err := readList(filepath.Join(tree, programsList), 3, func(f []string) {
		list = append(list, mutation{file: path.Join(programs, "c", f[0]), script: f[1], pkg: "./" + programs, test: f[2], generate: programs})
	})
	if err != nil {
		return nil, err
	}
	err = readList(filepath.Join(tree, bypassList), 3, func(f []string) {
		list = append(list, mutation{file: path.Join(bypass, "c", f[0]), script: f[1], pkg: bypassTests, test: f[2], generate: bypass})
	})
	if err != nil {
		return nil, err
	}
	err = readList(filepath.Join(tree, ringsList), 3, func(f []string) {
		m := mutation{file: path.Join(rings, f[0]), script: f[1], pkg: "./" + rings, test: f[2]}
		if path.Ext(f[0]) == ".h" {
			m.generate = rings
		}
		list = append(list, m)
	})
	if err != nil {
		return nil, err
	}
	err = readList(filepath.Join(tree, othersList), 4, func(f []string) {
		list = append(list, mutation{file: f[0], script: f[1], pkg: f[2], test: f[3]})
	})
	return list, err
}

// readList calls line with the fields of each line, which are separated by tabs.
func readList(name string, fields int, line func([]string)) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	number := 0
	for l := range strings.Lines(string(text)) {
		number++
		l = strings.TrimRight(l, "\n")
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		f := strings.Split(l, "\t")
		if len(f) != fields {
			return fmt.Errorf("%s:%d has %d fields, want %d", name, number, len(f), fields)
		}
		line(f)
	}
	return nil
}
