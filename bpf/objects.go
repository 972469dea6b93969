// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"

	"github.com/cilium/ebpf"
)

// objects are what every kernel has to take: all of the object file but the
// programs of netfilterPrograms. bpf2go's own kernelObjects would load all.
type objects struct {
	tracepointPrograms
	kernelMaps
	kernelVariables

	// Where the variables are.
	Bss    *ebpf.Map `ebpf:".bss"`
	Rodata *ebpf.Map `ebpf:".rodata"`
}

type tracepointPrograms struct {
	KfreeSkb             *ebpf.Program `ebpf:"kfree_skb"`
	NapiGroReceiveEntry  *ebpf.Program `ebpf:"napi_gro_receive_entry"`
	NetDevQueue          *ebpf.Program `ebpf:"net_dev_queue"`
	NetDevStartXmit      *ebpf.Program `ebpf:"net_dev_start_xmit"`
	NetDevXmit           *ebpf.Program `ebpf:"net_dev_xmit"`
	NetifReceiveSkb      *ebpf.Program `ebpf:"netif_receive_skb"`
	NetifRx              *ebpf.Program `ebpf:"netif_rx"`
	SkbCopyDatagramIovec *ebpf.Program `ebpf:"skb_copy_datagram_iovec"`
}

// shared are the maps that programs loaded later use too.
func (o *objects) shared() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		kernelMapAddressFilter:   o.AddressFilter,
		kernelMapAdmitted:        o.Admitted,
		kernelMapEvents:          o.Events,
		kernelMapInterfaceFilter: o.InterfaceFilter,
		kernelMapNetnsFilter:     o.NetnsFilter,
		kernelMapStats:           o.Stats,
		".bss":                   o.Bss,
		".rodata":                o.Rodata,
	}
}

// attachOrder: the end of a driver call is watched before its beginning, so that
// no beginning is left without its end.
func (o *objects) attachOrder() []*ebpf.Program {
	return []*ebpf.Program{
		o.NetDevXmit,
		o.NetDevStartXmit,
		o.NetDevQueue,
		o.NetifRx,
		o.NapiGroReceiveEntry,
		o.NetifReceiveSkb,
		o.KfreeSkb,
		o.SkbCopyDatagramIovec,
	}
}

// Close takes out of the kernel what is loaded.
func (o *objects) Close() error {
	errs := []error{o.kernelMaps.Close(), o.Bss.Close(), o.Rodata.Close()}
	for _, p := range o.attachOrder() {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// netfilterPrograms need a newer kernel and more privileges than objects.
type netfilterPrograms struct {
	NetfilterFirst  *ebpf.Program `ebpf:"netfilter_first"`
	NetfilterLast   *ebpf.Program `ebpf:"netfilter_last"`
	CountReferences *ebpf.Program `ebpf:"count_references"`
}

// Close takes out of the kernel what is loaded.
func (p *netfilterPrograms) Close() error {
	return errors.Join(p.NetfilterFirst.Close(), p.NetfilterLast.Close(), p.CountReferences.Close())
}
