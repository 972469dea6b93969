// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// Markdown writes the tables as GitHub-flavoured Markdown.
func Markdown(w io.Writer, r *bench.Result) error {
	var b bytes.Buffer
	b.WriteString("# dwell bench\n\n")
	for _, f := range facts(r) {
		fmt.Fprintf(&b, "- %s: %s\n", f.Name, escapeMarkdown(f.Value))
	}
	for _, trouble := range r.Troubles() {
		fmt.Fprintf(&b, "\n**Trouble:** %s\n", escapeMarkdown(trouble))
	}
	for _, t := range Tables(r) {
		writeMarkdown(&b, t)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeMarkdown(b *bytes.Buffer, t Table) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", escapeMarkdown(t.Title), escapeMarkdown(t.Note))
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	var heads, rules []string
	for _, h := range t.Heads {
		heads = append(heads, escapeMarkdown(h.Text))
		if h.Figure {
			rules = append(rules, "--:")
		} else {
			rules = append(rules, "---")
		}
	}
	line(heads)
	line(rules)
	at := spanColumn(t.Heads)
	for _, row := range t.Rows {
		var cells []string
		for i, c := range row.Cells {
			c = escapeMarkdown(c)
			if i == at {
				c = strings.Repeat("&emsp;", row.Depth) + c
			}
			if (row.Sum || row.Strong) && c != "" {
				c = "**" + c + "**"
			}
			cells = append(cells, c)
		}
		line(cells)
	}
}

// escapeMarkdown has a text stand for itself in a line of a list or a cell of a table.
func escapeMarkdown(s string) string {
	return strings.NewReplacer(
		`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "~", `\~`, "&", "&amp;", "<", "&lt;", "\r", " ", "\n", " ",
	).Replace(s)
}
