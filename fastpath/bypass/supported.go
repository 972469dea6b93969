// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// Supported returns nil, or an ErrUnsupported that says what the kernel does not have.
func Supported() error { return supported(btf.NewCache()) }

func supported(types *btf.Cache) error {
	spec, err := types.Kernel()
	if err != nil {
		return fmt.Errorf("%w: it has no BTF: it must be built with CONFIG_DEBUG_INFO_BTF: %w", ErrUnsupported, err)
	}
	return supports(spec)
}

// supports looks for what is needed in the kernel's description of its types.
func supports(spec *btf.Spec) error {
	var missing []string
	var kinds *btf.Enum
	if spec.TypeByName("bpf_attach_type", &kinds) != nil || !hasValue(kinds, "BPF_TCX_INGRESS") {
		missing = append(missing, "TCX (Linux 6.6)")
	}
	for _, name := range []string{"bpf_rdonly_cast", "bpf_cast_to_kern_ctx"} {
		var fn *btf.Func
		if spec.TypeByName(name, &fn) != nil {
			missing = append(missing, name+" (Linux 6.2)")
		}
	}
	if missing != nil {
		return fmt.Errorf("%w: it does not have %s; without the fast path, it forwards all packets itself",
			ErrUnsupported, strings.Join(missing, ", "))
	}
	return nil
}

func hasValue(e *btf.Enum, name string) bool {
	_, ok := valueOf(e, name)
	return ok
}

// valueOf returns the value of a constant, or reports that there is none.
func valueOf(e *btf.Enum, name string) (uint64, bool) {
	for _, v := range e.Values {
		if v.Name == name {
			return v.Value, true
		}
	}
	return 0, false
}

// explain turns an error of the kernel into one that says what to do.
func explain(err error) error {
	return pinned.Kinds{
		Permission: ErrPermission, Verifier: ErrVerifier, Unsupported: ErrUnsupported,
		Otherwise: "the kernel forwards all packets itself", Needs: "Linux 6.6 or later",
	}.Explain(err)
}
