// SPDX-License-Identifier: Apache-2.0

package privilege

// Use is a capability, and what an agent that has it not goes without.
type Use struct {
	Capability
	Without string
}

// Agent returns the capabilities that an agent is deployed with. The deployments in
// examples/ and docs/deployment.md name exactly these, and internal/check/docker takes away one
// after the other to see what happens.
//
// In the kernel CAP_SYS_ADMIN stands for the first three (bpf_capable, perfmon_capable and
// bpf_token_capable); they are named all the same, because CAP_SYS_ADMIN is the one that
// a deployment may want to do without.
func Agent() []Use {
	return []Use{
		{BPF, "no program can be loaded: nothing is traced"},
		{Perfmon, "no program can read packets: nothing is traced"},
		{NetAdmin, "the netfilter chains are not timed"},
		{SysAdmin, "devices in other network namespaces are called if<index>, and netfilter is timed only in the agent's own"},
		{SysPtrace, "network namespaces are found only by their names in /run/netns and the like, not the host's nor those of processes"},
	}
}

// MissingForAgent returns those of [Agent] that the set does not have and that nothing
// else in it stands for.
func (s Set) MissingForAgent() []Use {
	var missing []Use
	for _, u := range Agent() {
		implied := u.Capability == NetAdmin && s&(1<<SysAdmin) != 0
		if !s.Has(u.Capability) && !implied {
			missing = append(missing, u)
		}
	}
	return missing
}
