// SPDX-License-Identifier: Apache-2.0

package iptables

import "strings"

// word is one word of a command, and the byte of the line at which it begins.
type word struct {
	text   string
	column int
}

// join numbers the columns of words as if they were typed with one blank between them.
func join(words []string) []word {
	all := make([]word, len(words))
	column := 0
	for i, w := range words {
		all[i] = word{w, column}
		column += len(Quote(w)) + 1
	}
	return all
}

// Quote returns a word so that [ParseLine], iptables-restore and a shell read it as that word.
func Quote(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\n\r\"'\\$`;|&<>()#*?[]{}~") {
		return w
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "$", `\$`, "`", "\\`").Replace(w) + `"`
}

// quoted returns a text in double quotes, as iptables-save prints it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, `'`, `\'`).Replace(s) + `"`
}

// saved returns a text as iptables-save prints what a person chose, such as comments: in quotes
// unless it only has letters, digits, "_" and "-".
func saved(s string) string {
	plain := func(r rune) bool {
		return r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return quoted(s)
}

// splitSave cuts a line into words as iptables-restore does: only double quotes keep words
// together, a backslash is only special between them, and the second of them ends the word.
func splitSave(line string) ([]word, error) {
	s := splitter{line: line}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case s.quote != 0 && c == '\\' && i+1 < len(line):
			i++
			s.add(i, line[i])
		case s.quote != 0 && c == '"':
			s.quote = 0
			s.end()
		case s.quote != 0:
			s.add(i, c)
		case c == '"':
			s.open(i, c)
		case c == ' ' || c == '\t' || c == '\r':
			s.end()
		default:
			s.add(i, c)
		}
	}
	return s.finish()
}

// splitShell cuts a line into words as a shell does.
func splitShell(line string) ([]word, error) {
	s := splitter{line: line}
	for i := 0; i < len(line); i++ {
		c := line[i]
		escapes := c == '\\' && i+1 < len(line) &&
			(s.quote == 0 || s.quote == '"' && strings.IndexByte("\"\\$`'", line[i+1]) >= 0)
		switch {
		case escapes:
			i++
			s.add(i-1, line[i])
		case s.quote != 0 && c == s.quote:
			s.quote = 0
		case s.quote == '\'':
			s.add(i, c)
		case c == '$' || c == '`' || s.quote == 0 && strings.IndexByte(";|&<>()\n", c) >= 0:
			return nil, &SyntaxError{
				Word: len(s.words), Column: i, Text: string(c),
				Reason: "this is not a shell, so " + string(c) + " is not expanded",
				Hint:   "write what it stands for, or put it between '…'",
			}
		case s.quote != 0:
			s.add(i, c)
		case c == '"' || c == '\'':
			s.open(i, c)
		case c == ' ' || c == '\t' || c == '\r':
			s.end()
		default:
			s.add(i, c)
		}
	}
	return s.finish()
}

// splitter collects words.
type splitter struct {
	line  string
	words []word
	text  strings.Builder
	// within says that a word has begun, at byte start.
	within bool
	start  int
	// quote is the quote that is open, at byte opened, or 0.
	quote  byte
	opened int
}

func (s *splitter) begin(at int) {
	if !s.within {
		s.within, s.start = true, at
	}
}

func (s *splitter) add(at int, c byte) {
	s.begin(at)
	s.text.WriteByte(c)
}

func (s *splitter) open(at int, c byte) {
	s.begin(at)
	s.quote, s.opened = c, at
}

func (s *splitter) end() {
	if s.within {
		s.words = append(s.words, word{s.text.String(), s.start})
		s.text.Reset()
		s.within = false
	}
}

func (s *splitter) finish() ([]word, error) {
	if s.quote != 0 {
		return nil, &SyntaxError{
			Word: len(s.words), Column: s.opened, Text: s.line[s.opened:],
			Reason: "the quote " + string(s.quote) + " is not closed", Hint: "close it",
		}
	}
	s.end()
	return s.words, nil
}
