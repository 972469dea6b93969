// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules that the compiler does not: which package may
// know which, who may read the clock, where files go, how long they get, which phrases readers
// are spared, and that no compiled program is among them.
//
// The correlator is worth testing without a kernel only as long as it cannot
// reach one; a rule that nobody checks is a wish. Each rule returns what breaks
// it as text, file or package first.
package archtest

import (
	"io/fs"
	"path"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// sources returns the hand-written Go files, without tests, by directory.
func sources(root fs.FS) (map[string][]string, error) {
	names, err := source.Files(root, func(name string) bool {
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
		if !source.Generated(text) {
			byDir[path.Dir(name)] = append(byDir[path.Dir(name)], name)
		}
	}
	return byDir, nil
}
