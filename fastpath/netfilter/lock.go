// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockedError says that another program has held the lock of iptables for too long. Nothing
// was changed.
type LockedError struct {
	// Holder is the program, such as "iptables-restore (process 4711)", or "" if it is not known.
	Holder string
	// Waited is how long it was waited.
	Waited time.Duration
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another program"
	}
	return fmt.Sprintf("%s has held the lock of iptables (%s) for more than %v: try again when it has finished, or stop it", holder, lockFile(), e.Waited)
}

// lockFile is the file that legacy iptables locks.
func lockFile() string {
	if path := os.Getenv("XTABLES_LOCKFILE"); path != "" {
		return path
	}
	return "/run/xtables.lock"
}

// lockHolder returns who holds the lock, or "".
func lockHolder() string {
	var st unix.Stat_t
	if unix.Stat(lockFile(), &st) != nil {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	// 1: FLOCK  ADVISORY  WRITE 17812 fe:00:9988002 0 EOF
	for l := range strings.Lines(string(locks)) {
		words := strings.Fields(l)
		if len(words) < 6 || words[1] != "FLOCK" || words[5] != file {
			continue
		}
		name, err := os.ReadFile("/proc/" + words[4] + "/comm")
		if err != nil {
			return "process " + words[4]
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), words[4])
	}
	return ""
}
