// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// sshVariable has this program be ssh, in place of running the tests: a list of what it does,
// see fakeSSH.
const sshVariable = "DWELL_TEST_SSH"

func TestMain(m *testing.M) {
	if what := os.Getenv(sshVariable); what != "" {
		fakeSSH(what, os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// fakeSSH forwards as ssh -L does, or fails.
func fakeSSH(what string, args []string) {
	if what == "fail" {
		fmt.Fprintln(os.Stderr, "Permission denied (publickey).")
		os.Exit(255)
	}
	var local, remote string
	for i, a := range args {
		if a == "-L" {
			local, remote, _ = strings.Cut(args[i+1], ":")
		}
	}
	if file := strings.TrimPrefix(what, "args="); file != what {
		if os.WriteFile(file, []byte(strings.Join(args, "\n")), 0o600) != nil || os.WriteFile(file+".pid", fmt.Append(nil, os.Getpid()), 0o600) != nil {
			os.Exit(1)
		}
	}
	l, err := net.Listen("unix", local)
	if err != nil {
		os.Exit(255)
	}
	fmt.Fprintln(os.Stdout, "ready")
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(255)
		}
		go forward(c, remote)
	}
}

func forward(c net.Conn, remote string) {
	defer c.Close()
	r, err := net.Dial("unix", remote)
	if err != nil {
		return
	}
	defer r.Close()
	go func() { _, _ = io.Copy(r, c) }()
	_, _ = io.Copy(c, r)
}
