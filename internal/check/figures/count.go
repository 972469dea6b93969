// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// countFile counts one Go file. The error is that of the parser.
func countFile(name string, text []byte) (counts, error) {
	lines := bytes.Count(text, []byte("\n"))
	if strings.HasSuffix(name, "_test.go") {
		return counts{testLines: lines}, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return counts{}, err
	}
	c := counts{files: []int{lines}}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // The parser has checked it.
		c.imports = append(c.imports, imported)
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			c.comments += ownLines(fset, text, comment)
		}
	}
	for _, decl := range file.Decls {
		c.countDecl(fset, decl)
	}
	return c, nil
}

// ownLines returns how many lines a comment takes up, 0 if it stands behind code.
func ownLines(fset *token.FileSet, text []byte, comment *ast.Comment) int {
	start, end := fset.Position(comment.Pos()), fset.Position(comment.End())
	before := text[start.Offset-(start.Column-1) : start.Offset]
	if len(bytes.TrimSpace(before)) > 0 {
		return 0
	}
	return end.Line - start.Line + 1
}

func (c *counts) countDecl(fset *token.FileSet, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Body != nil {
			c.functions = append(c.functions, fset.Position(d.End()).Line-fset.Position(d.Pos()).Line+1)
		}
		if ast.IsExported(receiver(d)) || d.Recv == nil {
			c.countName(d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			c.countSpec(spec, d.Doc)
		}
	}
}

// countSpec counts the names of one line in a declaration whose documentation is
// that of all its lines.
func (c *counts) countSpec(spec ast.Spec, group *ast.CommentGroup) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		c.countName(s.Name, s.Doc, s.Comment, group)
	case *ast.ValueSpec:
		for _, name := range s.Names {
			c.countName(name, s.Doc, s.Comment, group)
		}
	}
}

// countName counts a name if it is exported, and whether any of the comments says
// something about it.
func (c *counts) countName(name *ast.Ident, comments ...*ast.CommentGroup) {
	if !name.IsExported() {
		return
	}
	c.exported++
	for _, comment := range comments {
		if comment.Text() != "" { // Directives are no text.
			c.documented++
			return
		}
	}
}

// receiver returns the name of the type that a method belongs to, or "".
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	for expr := f.Recv.List[0].Type; ; {
		switch t := expr.(type) {
		case *ast.StarExpr:
			expr = t.X
		case *ast.IndexExpr: // Of a generic type.
			expr = t.X
		case *ast.IndexListExpr:
			expr = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}
