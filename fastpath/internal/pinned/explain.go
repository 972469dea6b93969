// SPDX-License-Identifier: Apache-2.0

package pinned

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
)

// Kinds are what errors of the kernel become, for errors.Is.
type Kinds struct {
	Permission, Verifier, Unsupported error
	// Otherwise says what is done instead, such as "iptables decides alone".
	Otherwise string
	// Needs says what kernel is needed, such as "Linux 6.1 or later".
	Needs string
}

// Explain turns an error of the kernel into one that says what to do.
func (k Kinds) Explain(err error) error {
	var verifier *ebpf.VerifierError
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &verifier):
		return fmt.Errorf("%w: %s; please report it with the kernel version: %w", k.Verifier, k.Otherwise, err)
	case errors.Is(err, os.ErrPermission) && errors.As(err, &errno):
		return fmt.Errorf("%w (%w): run as root or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; "+
			"kernel lockdown must not be at confidentiality", k.Permission, errno)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: %s: %s is needed: %w", k.Unsupported, k.Otherwise, k.Needs, err)
	}
	return err
}
