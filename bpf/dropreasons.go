// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
)

// DropReasons are the running kernel's names for the codes of event.KfreeSKB.
// They differ between kernels: codes are inserted, not only appended.
type DropReasons struct {
	names map[uint32]string
}

const (
	dropReasonPrefix = "SKB_DROP_REASON_"
	subsystemPrefix  = "SKB_DROP_REASON_SUBSYS_"
	// Above this bit of a code is the subsystem that it belongs to
	// (SKB_DROP_REASON_SUBSYS_SHIFT in include/net/dropreason.h).
	subsystemShift = 16
)

// subsystemEnums are the reasons that the kernel's subsystems define of their own,
// by the module that has them in its BTF if vmlinux has not.
var subsystemEnums = []struct{ enum, module string }{
	{"ovs_drop_reason", "openvswitch"},
}

// LoadDropReasons reads the names from the running kernel's BTF, which may be shared: see
// [Options]. The error is ErrNoBTF or ErrPermission if the BTF cannot be had, and an
// *UnsupportedError if the kernel has no drop reasons.
func LoadDropReasons(types *btf.Cache) (*DropReasons, error) {
	kernel, err := kernelBTF(types)
	if err != nil {
		return nil, fmt.Errorf("drop reasons: %w", err)
	}
	var core *btf.Enum
	if err := kernel.TypeByName("skb_drop_reason", &core); errors.Is(err, btf.ErrNotFound) {
		return nil, &UnsupportedError{Feature: "drop reasons", Minimum: event.KfreeSKB.Info().Since}
	} else if err != nil {
		return nil, fmt.Errorf("drop reasons: %w", err)
	}
	d := &DropReasons{names: map[uint32]string{}}
	d.add(core)
	var subsystems *btf.Enum
	if err := kernel.TypeByName("skb_drop_reason_subsys", &subsystems); err == nil {
		d.addSubsystems(subsystems)
	}
	for _, s := range subsystemEnums {
		if err := d.addEnum(kernel, types, s.enum, s.module); err != nil {
			return nil, fmt.Errorf("drop reasons: %w", err)
		}
	}
	return d, nil
}

// addEnum adds the reasons of a subsystem. A kernel without it is not an error.
func (d *DropReasons) addEnum(kernel *btf.Spec, types *btf.Cache, name, module string) error {
	var enum *btf.Enum
	err := kernel.TypeByName(name, &enum)
	if errors.Is(err, btf.ErrNotFound) {
		spec, merr := types.Module(module)
		if errors.Is(merr, os.ErrNotExist) {
			return nil
		}
		if merr != nil {
			return merr
		}
		err = spec.TypeByName(name, &enum)
	}
	if errors.Is(err, btf.ErrNotFound) {
		return nil
	}
	if err == nil {
		d.add(enum)
	}
	return err
}

func (d *DropReasons) add(enum *btf.Enum) {
	for _, v := range enum.Values {
		// MAX and SUBSYS_MASK are bounds, not reasons.
		if v.Name == dropReasonPrefix+"MAX" || v.Name == dropReasonPrefix+"SUBSYS_MASK" {
			continue
		}
		name := strings.TrimPrefix(v.Name, dropReasonPrefix)
		d.names[uint32(v.Value)] = strings.TrimPrefix(name, "SKB_")
	}
}

// addSubsystems names the subsystems under the codes that have no reason.
func (d *DropReasons) addSubsystems(enum *btf.Enum) {
	for _, v := range enum.Values {
		name, ok := strings.CutPrefix(v.Name, subsystemPrefix)
		if ok && v.Value != 0 && name != "NUM" {
			d.names[uint32(v.Value)<<subsystemShift] = name
		}
	}
}

// Name returns the reason without the prefix that all have: "NETFILTER_DROP". For a code
// of a subsystem whose reasons the kernel does not expose it is "<SUBSYSTEM>:<code>" or
// "subsys<N>:<code>"; otherwise "reason<code>".
func (d *DropReasons) Name(code uint32) string {
	subsystem, reason := code>>subsystemShift, code&(1<<subsystemShift-1)
	if name, ok := d.names[code]; ok && (subsystem == 0 || reason != 0) {
		return name
	}
	if subsystem == 0 {
		return fmt.Sprintf("reason%d", reason)
	}
	if name, ok := d.names[subsystem<<subsystemShift]; ok {
		return fmt.Sprintf("%s:%d", name, reason)
	}
	return fmt.Sprintf("subsys%d:%d", subsystem, reason)
}
