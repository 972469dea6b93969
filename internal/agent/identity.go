// SPDX-License-Identifier: Apache-2.0

package agent

import "strings"

// clones are files that differ between machines that were cloned and share a machine ID: the
// kernel's random number of this boot (random(4)), the same in all containers; and the
// number that the hypervisor gives to a virtual machine (SMBIOS 3.1.1, System Information),
// which only root may read. Machines that were resumed from one snapshot of a running
// machine have the same of the former, those whose disk was copied of neither.
var clones = [...]string{"/proc/sys/kernel/random/boot_id", "/sys/class/dmi/id/product_uuid"}

// spanHost returns what makes span IDs unique among hosts: hostID, which cloned machines may
// share, and what distinguishes them. It is the same for all agents on a host until that is
// started again, which no ping survives.
func spanHost(hostID string, read func(string) ([]byte, error)) string {
	parts := []string{hostID}
	for _, file := range clones {
		if text, err := read(file); err == nil {
			parts = append(parts, strings.TrimSpace(string(text)))
		}
	}
	return strings.Join(parts, "\n")
}
