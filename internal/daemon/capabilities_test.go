// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// incapableVariable has this program be a process without capabilities.
const incapableVariable = "DWELL_TEST_INCAPABLE"

// TestIncapable is that process, and no test.
func TestIncapable(t *testing.T) {
	if os.Getenv(incapableVariable) == "" {
		t.Skip("is run by TestCapabilities")
	}
	log := &logBuffer{}
	logCapabilities(newLogger(log))
	if _, err := os.Stdout.WriteString(log.String()); err != nil {
		t.Error(err)
	}
}

// TestCapabilities: each capability that is missing is a line, with what goes without.
// Those that are there are not mentioned.
func TestCapabilities(t *testing.T) {
	log := &logBuffer{}
	logCapabilities(newLogger(log))
	have, err := privilege.Effective()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "level=WARN"); got != len(have.MissingForAgent()) {
		t.Errorf("%d are logged:\n%s", got, log)
	}

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe, "-test.run=^TestIncapable$")
	child.Env = append(os.Environ(), incapableVariable+"=1")
	if os.Geteuid() == 0 { // in a user namespace in which it is nobody
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	}
	out, err := child.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, use := range privilege.Agent() {
		says(t, string(out), "level=WARN", "capability="+use.String(), use.Without)
	}
}
