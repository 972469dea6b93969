// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// What this program does in place of the tests if one of these is in its environment.
const (
	// incapableVariable: it logs the capabilities that it does not have.
	incapableVariable = "DWELL_TEST_INCAPABLE"
	// unwritableVariable: it says why it may not write to the path in the variable.
	unwritableVariable = "DWELL_TEST_UNWRITABLE"
)

func TestMain(m *testing.M) {
	if os.Getenv(incapableVariable) != "" {
		logCapabilities(newLogger(os.Stdout))
		return
	}
	if path := os.Getenv(unwritableVariable); path != "" {
		fmt.Fprintln(os.Stdout, writable(path))
		return
	}
	goleak.VerifyTestMain(m)
}

// inUserNamespace runs this program with one more variable and without any capability,
// and returns what it writes. As root, which would have them all, it is put into a user
// namespace of its own. A thread that gives up its privileges would not do, because it
// may be the main one, from which /proc/self says what the process may do.
func inUserNamespace(t *testing.T, variable string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe)
	child.Env = append(os.Environ(), variable)
	if os.Geteuid() == 0 {
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	}
	out, err := child.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
