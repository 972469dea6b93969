// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// MaxLines is how long a hand-written source file may be.
const MaxLines = 400

// CheckDirectories finds top-level directories that the layout does not know.
// Hidden ones and those that git ignores are not checked.
func CheckDirectories(root fs.FS) ([]string, error) {
	known := []string{"LICENSES", "bpf", "cmd", "correlate", "docs", "examples", "exporter", "fastpath", "internal"}
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, e := range entries {
		if e.IsDir() && !source.Skipped(e.Name()) && e.Name() != ".ci" && !slices.Contains(known, e.Name()) {
			broken = append(broken, e.Name()+" is not a top-level directory of this project: "+strings.Join(known, " "))
		}
	}
	return broken, nil
}

// CheckFiles finds source files that are too long or have no licence line
// (SPDX-License-Identifier, https://spdx.dev/ids) among their first three.
func CheckFiles(root fs.FS) ([]string, error) {
	names, err := source.Files(root, func(name string) bool { return licence(name) != "" })
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, name := range names {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		if source.Generated(text) {
			continue
		}
		if lines := bytes.Count(text, []byte("\n")); lines > MaxLines {
			broken = append(broken, fmt.Sprintf("%s has %d lines: at most %d", name, lines, MaxLines))
		}
		if !licensed(text, licence(name)) {
			broken = append(broken, name+" has no line SPDX-License-Identifier: "+licence(name))
		}
	}
	return broken, nil
}

// licence returns the SPDX expression that a file must have, or "" for a file that is not
// source.
func licence(name string) string {
	switch path.Ext(name) {
	case ".c", ".h":
		return "GPL-2.0 OR Apache-2.0"
	case ".go", ".sh", ".yml", ".yaml":
		return "Apache-2.0"
	}
	if path.Dir(name) == ".ci" || path.Base(name) == "Makefile" {
		return "Apache-2.0"
	}
	return ""
}

func licensed(text []byte, want string) bool {
	head := bytes.SplitN(text, []byte("\n"), 4)
	return slices.ContainsFunc(head[:min(3, len(head))], func(line []byte) bool {
		_, id, found := strings.Cut(string(line), "SPDX-License-Identifier: ")
		return found && strings.TrimSuffix(id, " */") == want
	})
}
