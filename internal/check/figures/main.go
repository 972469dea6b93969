// SPDX-License-Identifier: Apache-2.0

// Command figures measures a Go module as it is written: how long files and
// functions are, how much is documented, commented and tested, and which package
// imports which. So a change of the whole tree can be judged by its figures before
// and after, and other projects by the same ones.
//
// Only hand-written Go counts, and that of nested modules counts, too. There are
// three tables: the groups of packages, the packages, and the arrows between the
// groups. An arrow is one package that imports another of the module; what only
// tests import is left out. Each format has the same figures; JSON has the arrow of
// each package as well.
//
//	go run ./internal/check/figures
//	go run ./internal/check/figures --format markdown /path/to/another/module
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: figures [--format text|markdown|json] [DIR]")
		flags.PrintDefaults()
	}
	format := flags.String("format", "text", "`format` of the output: text, markdown or json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	write, err := writerOf(*format)
	if err != nil {
		return err
	}
	dir, err := directory(flags.Args())
	if err != nil {
		return err
	}
	report, err := measure(os.DirFS(dir))
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return write(stdout, report)
}

// directory returns the directory to measure: the argument, or the root of the
// module that the working directory is in.
func directory(args []string) (string, error) {
	switch len(args) {
	case 0:
		here, err := os.Getwd()
		if err != nil {
			return "", err
		}
		return moduleRoot(here)
	case 1:
		return args[0], nil
	default:
		return "", fmt.Errorf("want one directory, got %q", args)
	}
}

// moduleRoot returns the nearest directory at or above dir that has a go.mod.
func moduleRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside a Go module: name the directory to measure", dir)
		}
	}
}
