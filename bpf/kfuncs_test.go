// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
)

// A kernel without the functions that came with Linux 6.2 is not asked for them, and takes the programs.
func TestMissingKfuncs(t *testing.T) {
	privileged(t)
	spec, err := Options{RingBytes: 1}.spec()
	if err != nil {
		t.Fatal(err)
	}
	if mentioned(spec) == 0 {
		t.Fatal("the programs call none, and nothing is tested")
	}
	objs, err := loadObjects(spec, kernelTypes, noFunctions(t), attachOrder(event.All()))
	if err != nil {
		t.Fatal(err)
	}
	if err := objs.Close(); err != nil {
		t.Error(err)
	}
	if n := mentioned(spec); n != 0 {
		t.Errorf("%d kernel functions are still called", n)
	}
}

// A kernel that has them keeps them.
func TestKfuncsThatAreThere(t *testing.T) {
	spec, err := Options{RingBytes: 1}.spec()
	if err != nil {
		t.Fatal(err)
	}
	before := mentioned(spec)
	if err := dropMissingKfuncs(spec, spec.Types); err != nil { // which describe all that is called
		t.Fatal(err)
	}
	if n := mentioned(spec); n != before || n == 0 {
		t.Errorf("%d calls of kernel functions of %d are left", n, before)
	}
}

// mentioned counts the calls of kernel functions.
func mentioned(spec *ebpf.CollectionSpec) (n int) {
	for _, p := range spec.Programs {
		for _, ins := range p.Instructions {
			if ins.IsKfuncCall() {
				n++
			}
		}
	}
	return n
}

// noFunctions returns the types of a kernel that has no functions.
func noFunctions(t *testing.T) *btf.Spec {
	t.Helper()
	b, err := btf.NewBuilder([]btf.Type{&btf.Int{Name: "int", Size: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
