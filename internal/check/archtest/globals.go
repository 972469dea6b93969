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
	"slices"
)

// CheckGlobals finds package-level variables that are written to, whose address is
// taken, or that exist to be changed (sync, sync/atomic). Tables that are only
// read are fine. Tests are not checked.
func CheckGlobals(root fs.FS) ([]string, error) {
	byDir, err := sources(root)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		found, err := mutableGlobals(root, dir, byDir[dir])
		if err != nil {
			return nil, err
		}
		broken = append(broken, found...)
	}
	return broken, nil
}

// globals looks for writes to the variables of one package.
type globals struct {
	fset   *token.FileSet
	uses   map[*ast.Ident]types.Object
	scope  *types.Scope
	broken []string
}

func mutableGlobals(root fs.FS, dir string, names []string) ([]string, error) {
	g := globals{fset: token.NewFileSet(), uses: map[*ast.Ident]types.Object{}}
	var parsed []*ast.File
	for _, name := range names {
		file, err := parse(g.fset, root, name)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
	}
	// What a name refers to is all that is wanted of the type checker. Imports stay
	// unresolved, and the errors that follow from it are of no interest.
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	pkg, _ := config.Check(dir, g.fset, parsed, &types.Info{Uses: g.uses})
	g.scope = pkg.Scope()
	for _, file := range parsed {
		ast.Inspect(file, g.visit)
		for _, decl := range file.Decls {
			g.synchronised(decl)
		}
	}
	return g.broken, nil
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) {
	return nil, errors.New("imports are not followed")
}

func (g *globals) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			g.written(left, "is assigned to")
		}
	case *ast.IncDecStmt:
		g.written(n.X, "is assigned to")
	case *ast.RangeStmt:
		g.written(n.Key, "is assigned to")
		g.written(n.Value, "is assigned to")
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			g.written(n.X, "has its address taken")
		}
	case *ast.CallExpr:
		if name, isIdent := n.Fun.(*ast.Ident); isIdent && len(n.Args) > 0 && changesArgument(name.Name) {
			g.written(n.Args[0], "is changed by "+name.Name)
		}
	}
	return true
}

func changesArgument(builtin string) bool {
	return slices.Contains([]string{"clear", "copy", "delete"}, builtin)
}

// written reports the package-level variable that an expression is part of.
func (g *globals) written(expr ast.Expr, how string) {
	id := base(expr)
	if id == nil {
		return
	}
	if v, isVar := g.uses[id].(*types.Var); isVar && v.Parent() == g.scope {
		g.report(id, how)
	}
}

// synchronised reports the package-level variables of a type from sync or
// sync/atomic.
func (g *globals) synchronised(decl ast.Decl) {
	gen, isGen := decl.(*ast.GenDecl)
	if !isGen || gen.Tok != token.VAR {
		return
	}
	for _, spec := range gen.Specs {
		v := spec.(*ast.ValueSpec)
		ast.Inspect(v, func(n ast.Node) bool {
			if sel, isSelector := n.(*ast.SelectorExpr); isSelector {
				if pkg := base(sel.X); pkg != nil && (pkg.Name == "sync" || pkg.Name == "atomic") {
					g.report(v.Names[0], "is of package "+pkg.Name)
				}
			}
			_, isFunc := n.(*ast.FuncLit)
			return !isFunc
		})
	}
}

func (g *globals) report(id *ast.Ident, how string) {
	at := g.fset.Position(id.Pos())
	g.broken = append(g.broken, fmt.Sprintf("%s:%d package variable %s %s: no global mutable state",
		at.Filename, at.Line, id.Name, how))
}

// base returns the leftmost name of a.b[c].d, or nil if there is none.
func base(expr ast.Expr) *ast.Ident {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			return e
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.SliceExpr:
			expr = e.X
		default:
			return nil
		}
	}
}
