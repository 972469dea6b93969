// SPDX-License-Identifier: Apache-2.0

// Command lossdoc writes docs/losses.md from loss.Table and exporter.Causes, so that the
// page has every loss that is counted. Run it with go generate.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/loss"
)

//go:embed losses.md.tmpl
var text string

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: lossdoc FILE")
		os.Exit(2)
	}
	page, err := page()
	if err == nil {
		err = os.WriteFile(os.Args[1], []byte(page), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lossdoc:", err)
		os.Exit(1)
	}
}

func page() (string, error) {
	t, err := template.New("page").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, struct {
		Losses []loss.Loss
		Causes []exporter.KnownCause
	}{loss.Table(), exporter.Causes()})
	return b.String(), err
}
