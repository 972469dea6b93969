// SPDX-License-Identifier: Apache-2.0

// Roadsdoc writes docs/roads.md from the committed results of the tests of roads.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/dwelltrace/dwell/internal/check/roads"
)

func main() {
	page := flag.String("page", "", "`file` to write")
	dir := flag.String("results", "", "`directory` of the results")
	flag.Parse()
	if err := write(*page, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "roadsdoc:", err)
		os.Exit(1)
	}
}

func write(page, dir string) error {
	all, err := roads.Load(os.DirFS(dir), ".")
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(roads.Page(all)), 0o644)
}
