// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of linux/ethtool.h.
const (
	ethtoolSetTxSum  = 0x17
	ethtoolSetTSO    = 0x1f
	ethtoolSetGSO    = 0x24
	ethtoolSetGRO    = 0x2c
	ethtoolSetGather = 0x19
)

// offloads says whether a device of the thread's namespace cuts segments and fills in checksums.
func offloads(device string, on bool) error {
	var errs []error
	for _, command := range []uint32{ethtoolSetTSO, ethtoolSetGSO, ethtoolSetTxSum, ethtoolSetGather} {
		err := setOffload(device, command, on)
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = nil // a tap has its features from the guest
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func setOffload(device string, command uint32, on bool) (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	value := struct{ command, data uint32 }{command, 0}
	if on {
		value.data = 1
	}
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:unix.IFNAMSIZ-1], device)
	req.data = unsafe.Pointer(&value)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return fmt.Errorf("ethtool %#x on %s: %w", command, device, errno)
	}
	return nil
}
