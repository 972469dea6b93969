// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of /dev/ppp (include/uapi/linux/ppp-ioctl.h).
const (
	pppIOCNewUnit = 0xc004743e
	pppIOCConnect = 0x4004743a
	pppIOCAttChan = 0x40047438
	pppIOCGChan   = 0x80047437
	pppIOCSNPMode = 0x4008744b
	pppIP         = 0x21
)

// pppoe joins a and b, on one veth pair, by a PPPoE session (RFC 2516) with the number 7,
// without the negotiation that a daemon would do.
func (w *world) pppoe() {
	w.pair()
	for _, x := range []struct{ role, dev, far, farDev, addr string }{
		{"a", "a0", "b", "b0", "198.18.8.1/24"}, {"b", "b0", "a", "a0", "198.18.8.2/24"},
	} {
		mac := w.mac(x.far, x.farDev)
		w.must(w.at(x.role).Do(func() error { return w.pppoeEnd(x.dev, mac) }), "PPPoE")
		w.up(x.role, "ppp0")
		w.addr(x.role, "ppp0", x.addr)
	}
}

// pppoeEnd makes the device ppp0 in the namespace of the calling thread.
func (w *world) pppoeEnd(device string, mac []byte) error {
	const afPPPoX, protoPPPoE = 24, 0
	session, err := unix.Socket(afPPPoX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protoPPPoE)
	if err != nil {
		return err
	}
	w.cleanups = append(w.cleanups, func() { unix.Close(session) })
	var addr bytes.Buffer // struct sockaddr_pppox
	addr.Write(binary.NativeEndian.AppendUint16(nil, afPPPoX))
	addr.Write(binary.NativeEndian.AppendUint32(nil, protoPPPoE))
	addr.Write(binary.BigEndian.AppendUint16(nil, 7))
	addr.Write(mac)
	addr.Write(append([]byte(device), make([]byte, unix.IFNAMSIZ-len(device))...))
	b := addr.Bytes()
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(session), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))); errno != 0 {
		return errno
	}
	var channel, unit int32 = 0, 0
	if err := ioctl(session, pppIOCGChan, unsafe.Pointer(&channel)); err != nil {
		return err
	}
	var files [2]int
	for i := range files {
		if files[i], err = openDevice("/dev/ppp", unix.Mkdev(108, 0)); err != nil {
			return err
		}
		w.cleanups = append(w.cleanups, func() { unix.Close(files[i]) })
	}
	if err := ioctl(files[0], pppIOCNewUnit, unsafe.Pointer(&unit)); err != nil {
		return err
	}
	mode := [2]int32{pppIP, 0} // NPMODE_PASS
	if err := ioctl(files[0], pppIOCSNPMode, unsafe.Pointer(&mode)); err != nil {
		return err
	}
	if err := ioctl(files[1], pppIOCAttChan, unsafe.Pointer(&channel)); err != nil {
		return err
	}
	return ioctl(files[1], pppIOCConnect, unsafe.Pointer(&unit))
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
