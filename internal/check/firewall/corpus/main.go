// SPDX-License-Identifier: Apache-2.0

// Command corpus checks package fastpath/iptables with rules that others wrote.
//
// It takes a directory with two sorts of files: the *.t of the iptables project's extensions, of
// which each line is a rule, and files that iptables-save or ip6tables-save wrote. Each rule is put into the installed
// iptables twice, in a network namespace made for it: as it stands, and as the package prints it after having read it.
// What iptables lists must be the same. A rule that the package does not understand must come back word for word, so the same
// holds for it.
//
//	git clone https://git.netfilter.org/iptables /tmp/iptables
//	git clone https://github.com/diekmann/net-network /tmp/net-network
//	go run ./internal/check/firewall/corpus -dir /tmp/iptables/extensions -dir /tmp/net-network
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	dirs    []string
	verbose bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cfg config
	flags := flag.NewFlagSet("corpus", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("dir", "`directory` with files to check; may be given several times", func(s string) error {
		cfg.dirs = append(cfg.dirs, s)
		return nil
	})
	flags.BoolVar(&cfg.verbose, "v", false, "also print the rules that iptables takes and the package does not")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(cfg.dirs) == 0 {
		return errors.New("give a directory of rules with -dir, such as extensions of the iptables project")
	}
	files, err := readFiles(cfg.dirs)
	if err != nil {
		return err
	}
	var all report
	for _, backend := range []string{"legacy", "nft"} {
		r, err := check(ctx, backend, files, cfg.verbose, stdout)
		if err != nil {
			return err
		}
		r.print(stdout, backend)
		all.add(r)
	}
	if all.different > 0 {
		return fmt.Errorf("%d rules came out differently", all.different)
	}
	return nil
}
