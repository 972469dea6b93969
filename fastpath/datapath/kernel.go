// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel is what the programs must be told of the running kernel. 0 is what it does not have.
type kernel struct {
	ctOptsSize   uint32 // bytes of struct bpf_ct_opts
	nfConnStatus uint32 // offset of status in struct nf_conn, in bytes
}

// readKernel asks the kernel's description of its types.
func readKernel() (kernel, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return kernel{}, fmt.Errorf("%w: it has no BTF: it must be built with CONFIG_DEBUG_INFO_BTF: %w", ErrUnsupported, err)
	}
	var k kernel
	k.read(spec)
	if _, err := os.Stat("/sys/module/nf_conntrack"); err != nil {
		// It is a module, or missing. The kernel loads it for whoever asks for its table, which
		// alone does not make it track anything.
		if _, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET); err != nil {
			return k, nil //nolint:nilerr // without it there are no connections, and no states
		}
	}
	if module, err := btf.LoadKernelModuleSpec("nf_conntrack"); err == nil {
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
		k.nfConnStatus = offset(conn, "status")
	}
}

// offset returns the offset of a member in bytes, or 0.
func offset(s *btf.Struct, name string) uint32 {
	for _, m := range s.Members {
		if m.Name == name {
			return m.Offset.Bytes()
		}
	}
	return 0
}

// explain turns an error of the kernel into one that says what to do.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &verifier):
		return fmt.Errorf("%w: iptables decides alone; please report it with the kernel version: %w", ErrVerifier, err)
	case errors.Is(err, os.ErrPermission) && errors.As(err, &errno):
		return fmt.Errorf("%w (%w): run as root or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; "+
			"kernel lockdown must not be at confidentiality", ErrPermission, errno)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: iptables decides alone: Linux 6.1 or later is needed: %w", ErrUnsupported, err)
	}
	return err
}
