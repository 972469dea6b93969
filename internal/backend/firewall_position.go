// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"errors"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Position returns the word that an error of a [Firewall] is about, nil if it is not about
// one. The command, the text of the rules or that of the packet is what the firewall was
// given.
func Position(err error, command []string, text string) *api.Position {
	var syntax *iptables.SyntaxError
	var packet *header.WordError
	switch {
	case errors.As(err, &syntax) && syntax.Line > 0:
		return inFile(syntax, text)
	case errors.As(err, &syntax):
		return inWords(command, syntax.Word, Spell)
	case errors.As(err, &packet):
		return inWords(strings.Fields(text), packet.Index, func(words []string) string { return strings.Join(words, " ") })
	}
	return nil
}

// inFile finds a word in a line.
func inFile(e *iptables.SyntaxError, text string) *api.Position {
	lines := strings.Split(text, "\n")
	if e.Line > len(lines) {
		return nil
	}
	line := strings.TrimSuffix(lines[e.Line-1], "\r")
	column := min(max(e.Column, 0), len(line))
	return &api.Position{Line: e.Line, Text: line, Column: column, Length: min(len(e.Text), len(line)-column)}
}

// inWords finds a word, or the end if the index is beyond, in words joined by spell.
func inWords(words []string, index int, spell func([]string) string) *api.Position {
	if index < 0 {
		return nil
	}
	index = min(index, len(words))
	at := &api.Position{Text: spell(words), Column: len(spell(words[:index]))}
	if index > 0 {
		at.Column++ // the blank
	}
	if index < len(words) {
		at.Length = len(spell(words[index : index+1]))
	}
	return at
}

// Spell joins the words of a command as they can be typed in a shell, so that nobody takes
// one for two.
func Spell(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if out[i] = w; w == "" || strings.ContainsFunc(w, special) {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

// special reports whether a shell would take a character for something else, except that
// the ! of iptables is left as it is.
func special(r rune) bool { return r <= ' ' || strings.ContainsRune("\"'\\$`&|;<>()*?[]#~{}", r) }
