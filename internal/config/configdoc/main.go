// SPDX-License-Identifier: Apache-2.0

// Command configdoc writes the reference page of the configuration and the example, so
// that they cannot say anything that the code does not. Run it with go generate.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dwelltrace/dwell/internal/config"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: configdoc PAGE EXAMPLE")
		os.Exit(2)
	}
	if err := errors.Join(write(os.Args[1], config.Page()), write(os.Args[2], config.Example())); err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
