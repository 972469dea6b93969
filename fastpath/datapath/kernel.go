// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// kernel is what the programs must be told of the running kernel. 0 is what it does not have.
type kernel struct {
	ctOptsSize   uint32 // bytes of struct bpf_ct_opts
	nfConnStatus uint32 // offset of status in struct nf_conn, in bytes
}

// readKernel asks the kernel's description of its types.
func readKernel(types *btf.Cache) (kernel, error) {
	spec, err := types.Kernel()
	if err != nil {
		return kernel{}, fmt.Errorf("%w: it has no BTF: it must be built with CONFIG_DEBUG_INFO_BTF: %w", ErrUnsupported, err)
	}
	var k kernel
	k.read(spec)
	if module := pinned.Conntrack(types); module != nil {
		k.read(module)
	}
	return k, nil
}

// read fills in what a description has.
func (k *kernel) read(spec *btf.Spec) {
	var opts, conn *btf.Struct
	if spec.TypeByName("bpf_ct_opts", &opts) == nil {
		k.ctOptsSize = opts.Size
	}
	if spec.TypeByName("nf_conn", &conn) == nil {
		k.nfConnStatus, _ = pinned.Offset(conn, "status")
	}
}

// explain turns an error of the kernel into one that says what to do.
func explain(err error) error {
	return pinned.Kinds{
		Permission: ErrPermission, Verifier: ErrVerifier, Unsupported: ErrUnsupported,
		Otherwise: "iptables decides alone", Needs: "Linux 6.1 or later",
	}.Explain(err)
}
