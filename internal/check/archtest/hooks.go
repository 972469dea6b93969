// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// hookPackage has the table of hooks, and hookTypes are what its rows are numbered by.
const hookPackage = "correlate/event"

func hookTypes() []string { return []string{"Hook", "NetfilterHook"} }

// CheckHookOrder finds comparisons of the order of hooks, and counting with them, in
// tests as well: the numbers are in the order in which the hooks were added, so that a
// range of them means something else once there is another. The package of the table
// itself is exempt.
func CheckHookOrder(root fs.FS) ([]string, error) {
	byDir, err := packages(root)
	if err != nil {
		return nil, err
	}
	module := &moduleTypes{root: root, byDir: byDir, fset: token.NewFileSet(), checked: map[string]*types.Package{}}
	var broken []string
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		if dir == hookPackage {
			continue
		}
		for _, names := range byDir[dir].units() {
			found, err := module.hookOrder(dir, names)
			if err != nil {
				return nil, err
			}
			broken = append(broken, found...)
		}
	}
	return broken, nil
}

// goFiles are the Go files of a directory.
type goFiles struct{ source, tests, external []string }

// units returns what is compiled together: the package with its tests, and the tests
// outside of it.
func (g goFiles) units() [][]string { return [][]string{slices.Concat(g.source, g.tests), g.external} }

// packages returns all Go files by directory.
func packages(root fs.FS) (map[string]goFiles, error) {
	names, err := source.Files(root, func(name string) bool { return strings.HasSuffix(name, ".go") })
	if err != nil {
		return nil, err
	}
	byDir := map[string]goFiles{}
	for _, name := range names {
		g := byDir[path.Dir(name)]
		file, err := parse(token.NewFileSet(), root, name)
		switch {
		case err != nil:
			return nil, err
		case strings.HasSuffix(file.Name.Name, "_test"):
			g.external = append(g.external, name)
		case strings.HasSuffix(name, "_test.go"):
			g.tests = append(g.tests, name)
		default:
			g.source = append(g.source, name)
		}
		byDir[path.Dir(name)] = g
	}
	return byDir, nil
}

// moduleTypes finds out the types of expressions. It knows the packages of this module
// and no others, which know nothing of hooks.
type moduleTypes struct {
	root    fs.FS
	byDir   map[string]goFiles
	fset    *token.FileSet
	checked map[string]*types.Package
}

// Import implements [types.Importer].
func (m *moduleTypes) Import(name string) (*types.Package, error) {
	dir, ours := strings.CutPrefix(name, Module)
	if !ours {
		return nil, errors.New("only this module is followed")
	}
	if pkg := m.checked[dir]; pkg != nil {
		return pkg, nil
	}
	pkg, _, err := m.check(dir, m.byDir[dir].source, nil)
	m.checked[dir] = pkg
	return pkg, err
}

// check type-checks files. The errors that follow from unknown imports are of no interest.
func (m *moduleTypes) check(dir string, names []string, info *types.Info) (*types.Package, []*ast.File, error) {
	var parsed []*ast.File
	for _, name := range names {
		file, err := parse(m.fset, m.root, name)
		if err != nil {
			return nil, nil, err
		}
		parsed = append(parsed, file)
	}
	config := types.Config{Importer: m, FakeImportC: true, Error: func(error) {}}
	pkg, _ := config.Check(Module+dir, m.fset, parsed, info)
	return pkg, parsed, nil
}

// hookOrder finds what breaks the rule in one unit.
func (m *moduleTypes) hookOrder(dir string, names []string) ([]string, error) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	_, parsed, err := m.check(dir, names, info)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			if how := ordersHooks(n, info.Types); how != "" {
				at := m.fset.Position(n.Pos())
				broken = append(broken, fmt.Sprintf("%s:%d %s hooks: their numbers have no order, use the table (event.Hooks)", at.Filename, at.Line, how))
			}
			return true
		})
	}
	return broken, nil
}

// ordersHooks says what a piece of code does with the order of hooks, or "".
func ordersHooks(n ast.Node, of map[ast.Expr]types.TypeAndValue) string {
	const compares, counts = "compares the order of", "counts with"
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if !isHook(n.X, of) && !isHook(n.Y, of) {
			return ""
		}
		switch n.Op {
		case token.LSS, token.LEQ, token.GTR, token.GEQ:
			return compares
		case token.ADD, token.SUB:
			return counts
		}
	case *ast.AssignStmt:
		if (n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN) && isHook(n.Lhs[0], of) {
			return counts
		}
	case *ast.CallExpr:
		if ordering(n.Fun) && slices.ContainsFunc(n.Args, func(arg ast.Expr) bool { return isHook(arg, of) }) {
			return compares
		}
	case *ast.IncDecStmt:
		if isHook(n.X, of) {
			return counts
		}
	case *ast.RangeStmt:
		if isHook(n.X, of) {
			return counts
		}
	}
	return ""
}

// ordering reports whether a function compares the order of its arguments: those of
// package cmp, and the built-in ones.
func ordering(fun ast.Expr) bool {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name == "min" || fun.Name == "max"
	case *ast.SelectorExpr:
		pkg, isName := fun.X.(*ast.Ident)
		return isName && pkg.Name == "cmp" && (fun.Sel.Name == "Compare" || fun.Sel.Name == "Less")
	}
	return false
}

// isHook reports whether an expression is a hook, or one that is converted to a number.
func isHook(expr ast.Expr, of map[ast.Expr]types.TypeAndValue) bool {
	expr = ast.Unparen(expr)
	if call, isCall := expr.(*ast.CallExpr); isCall && len(call.Args) == 1 && of[call.Fun].IsType() {
		return isHook(call.Args[0], of) || hookType(of[expr].Type)
	}
	return hookType(of[expr].Type)
}

func hookType(t types.Type) bool { return ofEvent(t, hookTypes()) }
