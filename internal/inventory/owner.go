// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/container"
)

// claims find out which namespace belongs to which container.
//
// A process of a container may be in any namespace: one that nsenter(1) or ip-netns(8) has
// put there from within a container does not make that namespace the container's. The
// container's own is that of its oldest process, which is the one that the runtime started.
//
// Several containers may have one namespace: those of a pod, and with docker
// run --network container:NAME. Then it belongs to the one whose process is the oldest,
// which stays so until it ends. The sandbox of a pod is older than all, but is not a
// container that a user started: it only counts while there is no other.
type claims struct{ oldest map[containerKey]claim }

// containerKey tells containers apart. IDs do, names only those of one runtime.
type containerKey struct{ id, namedBy string }

func keyOf(c trace.Container) containerKey {
	if c.Name == "" {
		return containerKey{id: c.ID}
	}
	return containerKey{c.ID, c.Runtime}
}

// claim is a container's process and its namespace.
type claim struct {
	container.Process
	inode, pid uint32
}

func newClaims() *claims { return &claims{oldest: map[containerKey]claim{}} }

// note enters a process.
func (c *claims) note(p container.Process, inode, pid uint32) {
	key, now := keyOf(p.Container), claim{p, inode, pid}
	if before, ok := c.oldest[key]; !ok || now.older(before) {
		c.oldest[key] = now
	}
}

// owners returns the containers to which namespaces belong, by inode number. The host's
// belongs to none.
func (c *claims) owners(host uint32) map[uint32]trace.Container {
	best := map[uint32]claim{}
	for _, now := range c.oldest {
		if before, ok := best[now.inode]; !ok || now.better(before) {
			best[now.inode] = now
		}
	}
	delete(best, host)
	owners := make(map[uint32]trace.Container, len(best))
	for inode, claim := range best {
		owners[inode] = claim.Container
	}
	return owners
}

func (c claim) older(than claim) bool {
	if c.Started != than.Started {
		return c.Started < than.Started
	}
	return c.pid < than.pid
}

func (c claim) better(than claim) bool {
	if c.Sandbox != than.Sandbox {
		return than.Sandbox
	}
	return c.older(than)
}
