// SPDX-License-Identifier: Apache-2.0

// Package privilege says what this process may do.
//
// It asks for capabilities and never for user ID 0: an agent that was given
// CAP_BPF and its like runs as any user, and root in a container may hold
// nothing at all.
package privilege

import (
	"bufio"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is a Linux capability's number (capabilities(7)).
type Capability uint8

// The capabilities that some part of dwell needs.
const (
	NetAdmin  Capability = unix.CAP_NET_ADMIN
	NetRaw    Capability = unix.CAP_NET_RAW
	SysPtrace Capability = unix.CAP_SYS_PTRACE
	SysAdmin  Capability = unix.CAP_SYS_ADMIN
	// Perfmon and BPF were split off from CAP_SYS_ADMIN in Linux 5.8.
	Perfmon Capability = unix.CAP_PERFMON
	BPF     Capability = unix.CAP_BPF
)

// String returns the name as in capabilities(7).
func (c Capability) String() string {
	switch c {
	case NetAdmin:
		return "CAP_NET_ADMIN"
	case NetRaw:
		return "CAP_NET_RAW"
	case SysPtrace:
		return "CAP_SYS_PTRACE"
	case SysAdmin:
		return "CAP_SYS_ADMIN"
	case Perfmon:
		return "CAP_PERFMON"
	case BPF:
		return "CAP_BPF"
	}
	return fmt.Sprintf("CAP_%d", uint8(c))
}

// Set is a set of capabilities, bit n standing for capability n.
type Set uint64

// Has reports whether c is in the set. CAP_SYS_ADMIN stands for CAP_BPF and
// CAP_PERFMON, too, as it does in the kernel (bpf_capable, perfmon_capable).
func (s Set) Has(c Capability) bool {
	if s&(1<<c) != 0 {
		return true
	}
	return (c == BPF || c == Perfmon) && s&(1<<SysAdmin) != 0
}

// Missing returns those of want that the set does not have.
func (s Set) Missing(want ...Capability) []Capability {
	var missing []Capability
	for _, c := range want {
		if !s.Has(c) {
			missing = append(missing, c)
		}
	}
	return missing
}

// Len returns the number of capabilities in the set.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// Effective returns the effective capabilities of this thread: the process's first one, of
// which /proc/self tells, may be one that has given some away. The error is that of reading
// /proc.
func Effective() (Set, error) {
	f, err := os.Open("/proc/thread-self/status")
	if err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	defer f.Close()
	return ParseStatus(f)
}

// ParseStatus finds the effective capabilities in the text of a
// /proc/<pid>/status (proc_pid_status(5), CapEff: 16 hexadecimal digits).
func ParseStatus(r io.Reader) (Set, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		digits, found := strings.CutPrefix(lines.Text(), "CapEff:")
		if !found {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
		if err != nil {
			return 0, fmt.Errorf("capabilities in /proc/<pid>/status: %w", err)
		}
		return Set(set), nil
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read /proc/<pid>/status: %w", err)
	}
	return 0, fmt.Errorf("no CapEff line in /proc/<pid>/status")
}
