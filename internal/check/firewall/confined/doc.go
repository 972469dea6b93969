// SPDX-License-Identifier: Apache-2.0

// Package confined asks the kernel whether one tenant's firewall leaves others alone.
//
// A hypervisor has two tenants, red and blue, which have some addresses in common, and rules of the
// operator's. Before and after each of red's commands, blue, the outside and the host send each other the
// same packets. What comes out of each device must stay as it was, and so must what the operator's
// rules have counted. Of the rules that are then in iptables, package isolation must say that
// they affect nobody else.
package confined
