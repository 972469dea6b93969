// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decoder fills a Config from a YAML document. The library's own decoder ends at the
// first mistake and forgets where the values stood, which is asked for again when they
// are checked against each other; so only its parser is used.
type decoder struct {
	file string
	// origins says where each setting and each element of a list was set.
	origins map[string]Origin
	errs    []error
	// tenants is the list of tenants, which is read when it is known what holds for all of
	// them, and tenancy is that.
	tenants ast.Node
	tenancy *Tenancy
	// of is what the path of each setting of the document begins with in [Fields].
	of string
}

func (d *decoder) fail(at Origin, path, format string, args ...any) {
	d.errs = append(d.errs, &Error{Origin: at, Path: path, Problem: fmt.Sprintf(format, args...)})
}

// document reads a whole file into v, a section.
func (d *decoder) document(text []byte, v reflect.Value) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors begin a file with it
	// The library counts the end of a comment's line twice if it is a Windows one.
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if line, column := tooDeep(text); line > 0 {
		d.fail(Origin{File: d.file, Line: line, Column: column}, "", "brackets are nested too deeply")
		return
	}
	file, tokens, err := parse(text)
	if err != nil {
		d.syntax(err, text)
		return
	}
	if again := afterEmpty(tokens); again != nil {
		d.fail(Origin{File: d.file, Line: again.Position.Line, Column: again.Position.Column}, "", secondDocument)
		return
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case i > 0:
			d.fail(d.at(doc.Body), "", secondDocument)
		default:
			d.fill(doc.Body, v, "")
		}
	}
}

const secondDocument = "a second YAML document; the configuration must be a single document"

// afterEmpty returns the token that ends an empty document by beginning another, or nil.
// The library drops all that follows without an error.
func afterEmpty(tokens token.Tokens) *token.Token {
	empty := false
	for _, t := range tokens {
		switch t.Type {
		case token.DocumentHeaderType:
			if empty {
				return t
			}
			empty = true
		case token.CommentType:
		default:
			empty = false
		}
	}
	return nil
}

// parse returns the syntax tree, and what it was made of. A panic of the parser must not
// end a daemon.
func parse(text []byte) (file *ast.File, tokens token.Tokens, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not valid YAML: %v", p)
		}
	}()
	tokens = lexer.Tokenize(string(text))
	file, err = parser.Parse(tokens, 0)
	return file, tokens, err
}

// maxDepth is how deep brackets may be nested: more than anything needs, those in comments
// and texts included, and less than what takes the library more than a moment. It takes
// seconds for 20,000.
const maxDepth = 256

// tooDeep returns where brackets are nested too deeply, or zero.
func tooDeep(text []byte) (line, column int) {
	depth := 0
	for i, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxDepth {
			return bytes.Count(text[:i], []byte("\n")) + 1, i - bytes.LastIndexByte(text[:i], '\n')
		}
	}
	return 0, 0
}

func (d *decoder) syntax(err error, text []byte) {
	at, problem := Origin{File: d.file}, err.Error()
	var at0 yaml.Error
	if errors.As(err, &at0) {
		problem = at0.GetMessage()
		if tok := at0.GetToken(); tok != nil && tok.Position != nil {
			at.Line, at.Column = tok.Position.Line, tok.Position.Column
		}
	}
	if indentedByTab(text, at.Line) {
		problem = "this line is indented with a tab; YAML allows only spaces"
	}
	d.fail(at, "", "%s", strings.Join(strings.Fields(problem), " "))
}

// indentedByTab reports whether there is a tab in what a line, counted from 1, begins with.
func indentedByTab(text []byte, line int) bool {
	lines := bytes.Split(text, []byte("\n"))
	if line < 1 || line > len(lines) {
		return false
	}
	before, _, found := bytes.Cut(lines[line-1], []byte("\t"))
	return found && len(bytes.TrimLeft(before, " ")) == 0
}

// at returns the position of a node.
func (d *decoder) at(n ast.Node) Origin {
	at := Origin{File: d.file, Line: 1, Column: 1}
	if values, ok := n.(*ast.MappingNode); ok && !values.IsFlowStyle && len(values.Values) > 0 {
		n = values.Values[0].Key // its own token is the colon
	}
	if value, ok := n.(*ast.MappingValueNode); ok {
		n = value.Key
	}
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		at.Line, at.Column = tok.Position.Line, tok.Position.Column
	}
	return at
}

// fill gives v, at path, the value of a node. No value at all leaves the default.
func (d *decoder) fill(n ast.Node, v reflect.Value, path string) {
	if n == nil || n.Type() == ast.NullType {
		return
	}
	d.origins[path] = d.at(n)
	switch {
	case isSection(v.Type()):
		d.section(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	case v.Kind() == reflect.Map:
		d.pairs(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) section(n ast.Node, v reflect.Value, path string) {
	for name, entry := range d.entries(n, path, "settings, like "+key(v.Type(), 0)+":") {
		if i := slices.Index(keys(v.Type()), name); i >= 0 {
			if v.Field(i).Type() == reflect.TypeFor[[]Tenant]() {
				d.tenants = entry.Value
				continue
			}
			d.fill(entry.Value, v.Field(i), join(path, name))
			continue
		}
		d.fail(d.at(entry.Key), join(path, name), "there is no such setting%s", d.hint(path, name, v.Type()))
	}
}

// entries yields the names and values of a mapping.
func (d *decoder) entries(n ast.Node, path, wanted string) func(yield func(string, *ast.MappingValueNode) bool) {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		values := []*ast.MappingValueNode{}
		switch n := n.(type) {
		case *ast.MappingNode:
			values = n.Values
		case *ast.MappingValueNode:
			values = append(values, n)
		default:
			d.fail(d.at(n), path, "this is %s; it should be %s", kind(n), wanted)
		}
		for _, entry := range values {
			name, ok := plain(entry.Key)
			if !ok {
				d.fail(d.at(entry.Key), path, "this is %s; it should be a name", kind(entry.Key))
			} else if !yield(name, entry) {
				return
			}
		}
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		like := "[a, b]"
		if isList(v.Type()) {
			like = "- " + key(v.Type().Elem(), 0) + ": ..."
		}
		d.fail(d.at(n), path, "this is %s; it should be a list, like %s", kind(n), like)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, element := range sequence.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.origins[at] = d.at(element)
		if isList(v.Type()) {
			d.element(element, list.Index(i), at)
		} else {
			d.scalar(element, list.Index(i), at)
		}
	}
	v.Set(list)
}

// element gives v, a section in a list, its defaults and what a node says of it.
func (d *decoder) element(n ast.Node, v reflect.Value, path string) {
	switch section := v.Addr().Interface().(type) {
	case *OTLP:
		*section = defaultOTLP()
	case *Probe:
		*section = defaultProbe()
	case *Tenant:
		*section = d.tenancy.defaults()
	}
	if n == nil || n.Type() == ast.NullType {
		d.fail(d.at(n), path, "this is empty; it should be settings, like %s:", key(v.Type(), 0))
		return
	}
	d.fill(n, v, path)
}

func (d *decoder) pairs(n ast.Node, v reflect.Value, path string) {
	pairs := reflect.MakeMap(v.Type())
	for name, entry := range d.entries(n, path, "pairs, like name: value") {
		value := reflect.New(v.Type().Elem()).Elem()
		d.origins[join(path, name)] = d.at(entry.Value)
		d.scalar(entry.Value, value, join(path, name))
		pairs.SetMapIndex(reflect.ValueOf(name), value)
	}
	v.Set(pairs)
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	text, ok := plain(n)
	if !ok {
		d.fail(d.at(n), path, "this is %s; it should be a single value%s", kind(n), quoteIt(n))
	} else if err := setText(v, text); err != nil {
		d.fail(d.at(n), path, "%v", err)
	}
}

// plain returns the text of a single value as it was written: 1e3 may be the name of a
// namespace.
func plain(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// quoteIt says what to do about a value that YAML takes for a name and a value, as it does
// with an IPv6 address within braces: {prefixes: [2001:db8::/32]}.
func quoteIt(n ast.Node) string {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 1 {
		n = m.Values[0]
	}
	if m, ok := n.(*ast.MappingValueNode); ok && strings.Contains(m.Key.GetToken().Value+m.Value.String(), ":") {
		return ", so put it in quotes: YAML would take its colons apart"
	}
	return ""
}

// kind says what a node is in words.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a block of names and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "empty"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		return "an anchor, an alias or a tag, which are not supported"
	}
	return "a single value"
}
