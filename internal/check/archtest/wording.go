// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// wording is a phrase at which a native reader stumbles.
type wording struct {
	phrase *regexp.Regexp
	// unless, if set, finds good English in the text before the phrase and the phrase.
	unless *regexp.Regexp
	cure   string
}

// gap matches what may stand between two words: a line may end there, in a comment, too.
const gap = `[\s#]+`

// phrase compiles a pattern in which each space stands for a [gap].
func phrase(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(pattern, " ", gap) + `)\b`)
}

// wordings returns the phrases to avoid. Words alone set each apart from good English, so
// that nobody has to argue with the rule.
func wordings() []wording {
	return []wording{
		{
			phrase: phrase(`(?:is|are|was|were) no [a-z]+`),
			unless: phrase(`there(?: \w+)? (?:is|are|was|were) no [a-z]+|` +
				`(?:is|are|was|were) no (?:longer|more|less|fewer|better|worse|different|larger|smaller|shorter|slower|faster|higher|lower|older|newer|earlier|later|sooner|easier|harder|one)`),
			cure: `"is not a" or "there is no"`,
		},
		{phrase: phrase(`(?:is|are|was|were|be|been|being) waited for`), cure: `"wait for", in the active voice`},
		{phrase: phrase(`(?:is|are|was|were|be|been|being)(?: not)? looked (?:at|into)`), cure: `"traced", "read" or "inspected"`},
		{phrase: phrase(`(?:is|are) (?:told|warned) of`), cure: `"reported" or "causes a warning"`},
		{phrase: phrase(`mean(?:s|t)? nothing`), cure: `"matches nothing" or "has no meaning"`},
		{
			phrase: phrase(`since (?:nothing|nobody|no one|too many|too much|(?:it|they|that|this|these|those|there) (?:is|are|has|have|can|cannot|may|must|does|do|will|would|could))`),
			cure:   `"because"`,
		},
	}
}

// CheckWording finds phrases in what users read that are not plain English: in the
// strings of Go sources, and in documents and configuration.
func CheckWording(root fs.FS) ([]string, error) {
	sourcesByDir, err := sources(root)
	if err != nil {
		return nil, err
	}
	names, err := source.Files(root, prose)
	if err != nil {
		return nil, err
	}
	for _, inDir := range sourcesByDir {
		names = append(names, inDir...)
	}
	slices.Sort(names)
	avoid := wordings()
	var broken []string
	for _, name := range names {
		passages, err := readable(root, name)
		if err != nil {
			return nil, err
		}
		for _, p := range passages {
			broken = append(broken, p.check(name, avoid)...)
		}
	}
	return broken, nil
}

// prose reports whether a file that is not Go is written for readers.
func prose(name string) bool {
	base := path.Base(name)
	return slices.Contains([]string{".md", ".tmpl", ".yml", ".yaml", ".service"}, path.Ext(name)) ||
		base == "Makefile" || strings.HasPrefix(base, "Dockerfile")
}

// passage is a text and the line of its file on which it begins.
type passage struct {
	text string
	line int
}

// check returns what the passage says that is to be avoided.
func (p passage) check(name string, avoid []wording) []string {
	var broken []string
	for _, w := range avoid {
		for _, at := range w.phrase.FindAllStringIndex(p.text, -1) {
			if w.allows(p.text, at) {
				continue
			}
			said := strings.Join(strings.Fields(strings.ReplaceAll(p.text[at[0]:at[1]], "#", " ")), " ")
			line := p.line + strings.Count(p.text[:at[0]], "\n")
			broken = append(broken, fmt.Sprintf("%s:%d says %q: write %s", name, line, said, w.cure))
		}
	}
	return broken
}

// before is how much text in front of a phrase decides whether it is good English.
const before = 32

// allows reports whether the phrase at some place in a text is part of good English.
func (w wording) allows(text string, at []int) bool {
	if w.unless == nil {
		return false
	}
	from := max(at[0]-before, 0)
	for _, good := range w.unless.FindAllStringIndex(text[from:at[1]], -1) {
		if from+good[1] == at[1] {
			return true
		}
	}
	return false
}

// readable returns what a reader sees of a file: all of a document, the strings of a Go
// source.
func readable(root fs.FS, name string) ([]passage, error) {
	if path.Ext(name) != ".go" {
		text, err := fs.ReadFile(root, name)
		return []passage{{text: string(bytes.ToValidUTF8(text, nil)), line: 1}}, err
	}
	fset := token.NewFileSet()
	file, err := parse(fset, root, name)
	if err != nil {
		return nil, err
	}
	return stringsIn(fset, file), nil
}

// stringsIn returns the strings below a node, those that are added up as one.
func stringsIn(fset *token.FileSet, n ast.Node) []passage {
	var found []passage
	ast.Inspect(n, func(n ast.Node) bool {
		expr, isExpr := n.(ast.Expr)
		if !isExpr || !mayBeText(expr) {
			return true
		}
		text := sum(expr, func(operand ast.Expr) {
			found = append(found, stringsIn(fset, operand)...)
		})
		found = append(found, passage{text, fset.Position(expr.Pos()).Line})
		return false
	})
	return found
}

func mayBeText(expr ast.Expr) bool {
	switch e := expr.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return e.Op == token.ADD
	}
	return false
}

// sum returns the text of an expression that [mayBeText]. What is only known when the
// program runs is a question mark in it, and other is called with it.
func sum(expr ast.Expr, other func(operand ast.Expr)) string {
	switch e := expr.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return sum(e.X, other) + sum(e.Y, other)
		}
	}
	other(expr)
	return "?"
}
