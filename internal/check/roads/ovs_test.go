// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"
)

// openVSwitch makes a datapath of Open vSwitch with the internal port name and two devices,
// and the flows that send each one's frames to the other. It needs no user-space part of
// Open vSwitch (include/uapi/linux/openvswitch.h).
func (w *world) openVSwitch(role, name, one, other string) {
	const (
		dpNew, vportNew, flowNew = 1, 1, 1
		dpName, dpUpcall         = 1, 2
		vportNumber, vportType   = 1, 2
		vportName, vportUpcall   = 3, 5
		vportNetdev              = 1
		flowKey, flowActions     = 1, 2
		flowMask                 = 7
		keyInPort, keyEthernet   = 3, 4
		actionOutput             = 1
	)
	header := func(index int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(index)) }
	w.generic(role, "ovs_datapath", dpNew, header(0), nl.NewRtAttr(dpName, nl.ZeroTerminated(name)), u32(dpUpcall, 0))
	w.up(role, name)
	dp := w.index(role, name)
	for i, dev := range []string{one, other} {
		w.generic(role, "ovs_vport", vportNew, header(dp),
			u32(vportNumber, uint32(i+1)), u32(vportType, vportNetdev),
			nl.NewRtAttr(vportName, nl.ZeroTerminated(dev)), u32(vportUpcall, 0))
	}
	for in, out := range map[uint32]uint32{1: 2, 2: 1} {
		key := []*nl.RtAttr{u32(keyInPort, in), nl.NewRtAttr(keyEthernet, make([]byte, 12))}
		mask := []*nl.RtAttr{u32(keyInPort, 0xffffffff), nl.NewRtAttr(keyEthernet, make([]byte, 12))}
		w.generic(role, "ovs_flow", flowNew, header(dp),
			nested(flowKey, key...), nested(flowMask, mask...), nested(flowActions, u32(actionOutput, out)))
	}
}
