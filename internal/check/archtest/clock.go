// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// CheckClock finds every use of the machine's clock in the packages below dir. The
// correlator's only time is that of its events: otherwise a recording, replayed,
// would give another trace.
func CheckClock(root fs.FS, dir string) ([]string, error) {
	byDir, err := sources(root)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, at := range slices.Sorted(maps.Keys(byDir)) {
		if !source.Match(at, dir+"/...") {
			continue
		}
		for _, name := range byDir[at] {
			found, err := clockReads(root, name)
			if err != nil {
				return nil, err
			}
			broken = append(broken, found...)
		}
	}
	return broken, nil
}

func clockReads(root fs.FS, name string) ([]string, error) {
	fset := token.NewFileSet()
	file, err := parse(fset, root, name)
	if err != nil {
		return nil, err
	}
	var broken []string
	ast.Inspect(file, func(n ast.Node) bool {
		sel, isSelector := n.(*ast.SelectorExpr)
		if !isSelector || !readsClock(sel.Sel.Name) {
			return true
		}
		if pkg, isIdent := sel.X.(*ast.Ident); isIdent && pkg.Name == importName(file, "time") {
			broken = append(broken, fmt.Sprintf("%s:%d uses time.%s: time comes from the events",
				name, fset.Position(sel.Pos()).Line, sel.Sel.Name))
		}
		return true
	})
	return broken, nil
}

// readsClock lists the functions of package time that depend on the machine's
// clock; time.Duration and time.Unix do not.
func readsClock(function string) bool {
	return slices.Contains([]string{
		"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker",
	}, function)
}

// importName returns the name under which a file imports a package, or "".
func importName(file *ast.File, importPath string) string {
	for _, spec := range file.Imports {
		switch {
		case spec.Path.Value != `"`+importPath+`"`:
		case spec.Name != nil:
			return spec.Name.Name
		default:
			return importPath
		}
	}
	return ""
}

func parse(fset *token.FileSet, root fs.FS, name string) (*ast.File, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	return parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
}
