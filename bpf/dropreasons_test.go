// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

func TestDropReasons(t *testing.T) {
	d, err := LoadDropReasons(btf.NewCache())
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var enum *btf.Enum
	if err := kernel.TypeByName("skb_drop_reason", &enum); err != nil {
		t.Fatal(err)
	}
	known := map[string]uint32{}
	for _, v := range enum.Values {
		known[v.Name] = uint32(v.Value)
	}
	for _, name := range []string{"NOT_SPECIFIED", "NO_SOCKET", "NETFILTER_DROP"} {
		code, ok := known["SKB_DROP_REASON_"+name]
		if !ok {
			t.Errorf("kernel has no %s", name)
		} else if got := d.Name(code); got != name {
			t.Errorf("Name(%d) = %q, want %q", code, got, name)
		}
	}
}

func TestDropReasonWithoutName(t *testing.T) {
	d := &DropReasons{names: map[uint32]string{}}
	d.add(&btf.Enum{Values: []btf.EnumValue{
		{Name: "SKB_DROP_REASON_TC_INGRESS", Value: 7},
		{Name: "SKB_DROP_REASON_MAX", Value: 8},
		{Name: "OVS_DROP_METER", Value: 2<<16 | 4},
	}})
	d.addSubsystems(&btf.Enum{Values: []btf.EnumValue{
		{Name: "SKB_DROP_REASON_SUBSYS_CORE", Value: 0},
		{Name: "SKB_DROP_REASON_SUBSYS_OPENVSWITCH", Value: 2},
		{Name: "SKB_DROP_REASON_SUBSYS_NUM", Value: 3},
	}})
	for code, want := range map[uint32]string{
		0:         "reason0",
		7:         "TC_INGRESS",
		8:         "reason8",
		2<<16 | 4: "OVS_DROP_METER",
		2<<16 | 5: "OPENVSWITCH:5",
		2 << 16:   "OPENVSWITCH:0",
		3<<16 | 1: "subsys3:1",
	} {
		if got := d.Name(code); got != want {
			t.Errorf("Name(%#x) = %q, want %q", code, got, want)
		}
	}
}
