// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is where the study was run. Figures of two machines do not compare.
type Machine struct {
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	// Virtual is set on a virtual machine, whose CPUs another may take away.
	Virtual     bool   `json:"virtual"`
	MemoryBytes uint64 `json:"memory_bytes"`
	Clocksource string `json:"clocksource"`
	// Load is the one-minute load average before the study began.
	Load string `json:"load"`
}

// ThisMachine describes the machine that it runs on. What the kernel does not report is
// left empty; the error is about the kernel's release, which it always reports.
func ThisMachine() (Machine, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Machine{}, fmt.Errorf("uname: %w", err)
	}
	m := Machine{Kernel: unix.ByteSliceToString(name.Release[:]), Arch: unix.ByteSliceToString(name.Machine[:]), Cores: runtime.NumCPU()}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.MemoryBytes = info.Totalram * uint64(info.Unit)
	}
	cpu := readText("/proc/cpuinfo")
	m.CPU = cpuField(cpu, "model name")
	m.Virtual = strings.Contains(" "+cpuField(cpu, "flags")+" ", " hypervisor ")
	m.Clocksource = readText("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	m.Load, _, _ = strings.Cut(readText("/proc/loadavg"), " ")
	return m, nil
}

func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// cpuField returns a field of the first CPU in the text of /proc/cpuinfo.
func cpuField(text, field string) string {
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
