// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Flags and types of struct virtio_net_hdr in linux/virtio_net.h.
const (
	NeedsSum  = 1
	SumIsGood = 2

	GSONone    = 0
	GSOTCPv4   = 1
	GSOTCPv6   = 4
	GSOUDP     = 5 // datagrams of UDP, each with a header
	GSOWithECN = 0x80
)

// Offload is what a device is told of a frame: struct virtio_net_hdr.
type Offload struct {
	Flags, GSO uint8
	// HeaderLen is how much of the frame are headers, in bytes. What is read may have any.
	HeaderLen, Size     uint16
	SumStart, SumOffset uint16
}

const offloadLen = 10

// String returns what the kernel has to keep of it; "" if nothing is left to the device.
func (o Offload) String() string {
	var text string
	if o.GSO != GSONone {
		text = fmt.Sprintf(" gso %d of %d", o.GSO, o.Size)
	}
	if o.Flags&NeedsSum != 0 {
		text += fmt.Sprintf(" sum from %d at %d", o.SumStart, o.SumOffset)
	}
	return text
}

func (o Offload) put(b []byte) {
	b[0], b[1] = o.Flags, o.GSO
	for i, v := range []uint16{o.HeaderLen, o.Size, o.SumStart, o.SumOffset} {
		binary.NativeEndian.PutUint16(b[2+2*i:], v)
	}
}

func readOffload(b []byte) Offload {
	u := binary.NativeEndian.Uint16
	return Offload{Flags: b[0], GSO: b[1], HeaderLen: u(b[2:]), Size: u(b[4:]), SumStart: u(b[6:]), SumOffset: u(b[8:])}
}

// Frame is what is sent or read.
type Frame struct {
	Bytes   []byte
	Offload Offload
	// VLAN is the tag that the device has taken off, with bit 12 set if there was one.
	VLAN uint16
	// At is when it came, by the kernel's clock; zero if it is not known.
	At time.Time
}

// HasVLAN is set in [Frame.VLAN] if there was a tag.
const HasVLAN = 1 << 12

// End is the far end of a wire.
type End interface {
	// Send sends a frame. The kernel may still be busy with it when Send returns.
	Send(f Frame) error
	// Read waits for a frame. Its bytes are the caller's. It returns [ErrTimeout] if none comes in
	// time.
	Read(timeout time.Duration) (Frame, error)
	// Lost returns how many frames were lost since it was last called because nobody read them.
	Lost() (int, error)
	// Close closes it.
	Close() error
}

// ErrTimeout says that no frame came.
var ErrTimeout = errors.New("no frame came in time")

// maxFrame is the length of the longest frame, with what is before it, in bytes.
const maxFrame = 1<<16 + 256
