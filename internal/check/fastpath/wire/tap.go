// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// tap is the guest of a tap device.
type tap struct {
	fd  int
	buf []byte
	out []byte
}

// Features of a guest: struct virtio_net_hdr's, by the names of linux/if_tun.h.
const (
	tunCSUM = 1 << iota
	tunTSO4
	tunTSO6
	tunECN
	_
	tunUSO4
	tunUSO6
)

// NewTap makes a tap in the namespace and returns its guest. The guest takes segments to be cut and
// checksums to be filled in if offloads is set. The device is gone with [End.Close].
func NewTap(ns *netns.NS, device string, offloads bool) (End, error) {
	t := &tap{fd: -1, buf: make([]byte, maxFrame), out: make([]byte, maxFrame)}
	err := ns.Do(func() error { return t.open(device, offloads) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the tap %s: %w", device, err), t.Close())
	}
	return t, nil
}

func (t *tap) open(device string, offloads bool) (err error) {
	if t.fd, err = openTun(); err != nil {
		return err
	}
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	features := 0
	if offloads {
		features = tunCSUM | tunTSO4 | tunTSO6 | tunECN | tunUSO4 | tunUSO6
	}
	return unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, features)
}

// openTun opens /dev/net/tun, which need not be there yet: its module is loaded when it is opened.
func openTun() (fd int, err error) {
	const flags = unix.O_RDWR | unix.O_CLOEXEC | unix.O_NONBLOCK
	if fd, err = unix.Open("/dev/net/tun", flags, 0); !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	dir, err := os.MkdirTemp("", "dwell-wire")
	if err != nil {
		return -1, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tun")
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200))); err != nil {
		return -1, err
	}
	return unix.Open(path, flags, 0)
}

// Send implements [End].
func (t *tap) Send(f Frame) error {
	err := write(t.fd, t.out, f)
	if errors.Is(err, unix.EINVAL) {
		return nil // the device does not take it, such as a frame that is too short
	}
	return err
}

// Read implements [End].
func (t *tap) Read(timeout time.Duration) (Frame, error) {
	for {
		n, err := unix.Read(t.fd, t.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if err := wait(t.fd, unix.POLLIN, timeout); err != nil {
				return Frame{}, err
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return Frame{}, fmt.Errorf("reading a frame: %w", err)
		case n < offloadLen:
			return Frame{}, fmt.Errorf("reading a frame: only %d bytes", n)
		}
		f := Frame{Offload: readOffload(t.buf), At: time.Now()}
		f.Bytes = append(f.Bytes, t.buf[offloadLen:n]...)
		return f, nil
	}
}

// Lost implements [End]. What a tap has no room for is in the statistics of the device, which its
// queue's length bounds; the caller has to read in time.
func (t *tap) Lost() (int, error) { return 0, nil }

// Close implements [End].
func (t *tap) Close() error {
	if t.fd < 0 {
		return nil
	}
	return unix.Close(t.fd)
}
