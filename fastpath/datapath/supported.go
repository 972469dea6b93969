// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Supported loads the programs, and takes them away again: nothing is attached or pinned. It returns nil,
// or why the kernel does not take them, as [Open] does; then iptables decides alone.
func Supported() error {
	if err := load(); err != nil {
		return fmt.Errorf("load the firewall's programs: %w", explain(err))
	}
	return nil
}

func load() error {
	types := btf.NewCache()
	k, err := readKernel(types)
	if err != nil {
		return err
	}
	spec, err := (&Datapath{kernel: k}).spec(loadPlain)
	if err != nil {
		return err
	}
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: types})
	if err != nil {
		return err
	}
	loaded.Close()
	return nil
}
