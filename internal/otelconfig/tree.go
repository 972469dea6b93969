// SPDX-License-Identifier: Apache-2.0

package otelconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// node is a value of the file, with references to variables replaced.
type node struct {
	line, column int
	// text is that of a scalar, "" if there is none.
	text    string
	entries []entry
	items   []*node
	// used is set when somebody has asked for it.
	used bool
}

type entry struct {
	key   string
	value *node
}

// get returns a value, nil if n is nil or has none of these names. Names after the first are
// those of other versions of the format.
func (n *node) get(names ...string) *node {
	if n == nil {
		return nil
	}
	n.used = true
	for _, name := range names {
		for _, e := range n.entries {
			if e.key == name {
				e.value.used = true
				return e.value
			}
		}
	}
	return nil
}

// str returns the text of a value, or "".
func (n *node) str(names ...string) string {
	if v := n.get(names...); v != nil {
		return v.text
	}
	return ""
}

// list returns the elements of a value.
func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

// anyUsed reports whether somebody has asked for the value or for something in it.
func (n *node) anyUsed() bool {
	if len(n.entries) == 0 && len(n.items) == 0 {
		return n.used
	}
	return slices.ContainsFunc(n.entries, func(e entry) bool { return e.value.anyUsed() }) ||
		slices.ContainsFunc(n.items, (*node).anyUsed)
}

// at returns where the value stands.
func (n *node) at(file string) string { return fmt.Sprintf("%s:%d:%d", file, n.line, n.column) }

// builder makes nodes of a syntax tree.
type builder struct {
	file    string
	getenv  func(string) string
	anchors map[string]*node
	errs    []error
}

func parse(file string, text []byte, getenv func(string) string) (root *node, err error) {
	defer func() {
		if p := recover(); p != nil { // of the library
			err = fmt.Errorf("%s: not valid YAML: %v", file, p)
		}
	}()
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, syntax(file, err)
	}
	b := &builder{file: file, getenv: getenv, anchors: map[string]*node{}}
	root = &node{line: 1, column: 1}
	if len(tree.Docs) > 0 && tree.Docs[0].Body != nil {
		root = b.node(tree.Docs[0].Body)
	}
	if len(b.errs) > 0 {
		return nil, joined(b.errs)
	}
	return root, nil
}

func syntax(file string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		p := at.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", file, p.Line, p.Column, at.GetMessage())
	}
	return fmt.Errorf("%s: %s", file, strings.Join(strings.Fields(err.Error()), " "))
}

func joined(errs []error) error { return errors.Join(errs...) }

func (b *builder) node(from ast.Node) *node {
	n := &node{line: 1, column: 1}
	if tok := beginning(from).GetToken(); tok != nil && tok.Position != nil {
		n.line, n.column = tok.Position.Line, tok.Position.Column
	}
	switch v := from.(type) {
	case *ast.MappingNode:
		for _, pair := range v.Values {
			n.entries = append(n.entries, b.entry(pair))
		}
	case *ast.MappingValueNode:
		n.entries = []entry{b.entry(v)}
	case *ast.SequenceNode:
		for _, item := range v.Values {
			n.items = append(n.items, b.node(item))
		}
	case *ast.AnchorNode:
		named := b.node(v.Value)
		b.anchors[v.Name.String()] = named
		return named
	case *ast.AliasNode:
		if named := b.anchors[v.Value.String()]; named != nil {
			return named
		}
		b.errs = append(b.errs, fmt.Errorf("%s: no anchor before this is called %q", n.at(b.file), v.Value))
	case *ast.TagNode:
		return b.node(v.Value)
	case *ast.NullNode, *ast.CommentNode, *ast.CommentGroupNode:
	default:
		n.text = b.scalar(n, from)
	}
	return n
}

// beginning returns what a value begins with; the token of a pair is its colon.
func beginning(n ast.Node) ast.Node {
	switch v := n.(type) {
	case *ast.MappingNode:
		if len(v.Values) > 0 {
			return v.Values[0].Key
		}
	case *ast.MappingValueNode:
		return v.Key
	}
	return n
}

func (b *builder) entry(pair *ast.MappingValueNode) entry {
	value := b.node(pair.Value)
	key := pair.Key.GetToken()
	value.line, value.column = key.Position.Line, key.Position.Column // where people look
	return entry{key.Value, value}
}

// scalar returns the text of a value, which is not cut by what a variable has in it: a
// reference is replaced in a value, and never makes more of it.
func (b *builder) scalar(n *node, from ast.Node) string {
	text := from.GetToken().Value
	if block, ok := from.(*ast.LiteralNode); ok {
		text = block.Value.Value
	}
	out, err := substitute(text, b.getenv)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", n.at(b.file), err))
	}
	return strings.TrimSpace(out)
}
