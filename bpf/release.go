// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
)

// ReleaseNetfilter detaches from the namespaces that are no longer in use otherwise, so
// that the kernel can destroy them, and returns how many those were. The kernel does not
// notify of this: users of AttachNetfilter should call it from time to time. It costs one
// system call per namespace.
//
// In use means by processes in the namespace, mounts of it such as those of ip-netns(8),
// its user sockets and its open descriptors (this process's too). Another Tracer that is
// attached there, in this process or another, does not count, and neither does any other
// BPF link to a netfilter hook: all would wait for each other.
func (t *Tracer) ReleaseNetfilter() (int, error) {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	var errs []error
	released := 0
	for _, inode := range slices.Sorted(maps.Keys(t.netfilter.spaces)) { // so that the same errors are the same text
		s := t.netfilter.spaces[inode]
		refs, err := t.netfilter.references(s.net)
		if err != nil {
			errs = append(errs, fmt.Errorf("release network namespace %d: %w", inode, err))
			continue
		}
		if refs.Count == 0 || refs.Count > refs.Links {
			continue
		}
		released++
		errs = append(errs, t.netfilter.detach(inode))
	}
	return released, errors.Join(errs...)
}

// references counts who holds on to a namespace, and how many of them are netfilter links,
// by the address of its struct net or, with 0, to that of this thread.
func (n *netfilter) references(net uint64) (kernelNetnsReferences, error) {
	args := kernelNetnsReferences{Net: net}
	if _, err := n.programs.CountReferences.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return args, fmt.Errorf("count the references to a network namespace: %w", explain(err))
	}
	return args, nil
}
