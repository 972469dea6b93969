// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readPeers reads the other ends of the tenants' ports.
func (s *snapshot) readPeers(ctx context.Context, h *netlink.Handle, o Options) error {
	wanted := map[int]bool{}
	for i := range o.Host.Tenants {
		for _, p := range o.Host.Tenants[i].Ports {
			d := s.devices[p.Index]
			if d == nil || d.kind != kindVeth || d.peer == 0 || d.peerNS == here {
				continue
			}
			d.peerProgram = atPeer(d)
			wanted[d.peerNS] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	found, err := namespaces(ctx, h, wanted)
	if err != nil {
		return err
	}
	for _, d := range s.devices {
		if d.peerNS != here {
			d.peerInode = found[d.peerNS]
		}
	}
	return nil
}

// atPeer says what program is at XDP at the other end of a pair, or that this is not known.
func atPeer(d *device) string {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(d.peer)
	req.AddData(msg)
	number := make([]byte, 4)
	binary.NativeEndian.PutUint32(number, uint32(int32(d.peerNS)))
	req.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, number))
	got, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(got) != 1 || len(got[0]) < unix.SizeofIfInfomsg {
		return fmt.Sprintf("the other end of %s cannot be read", d.name)
	}
	at := parse(got[0][unix.SizeofIfInfomsg:])
	xdp := parse(at[unix.IFLA_XDP])
	if mode, ok := xdp[unix.IFLA_XDP_ATTACHED]; !ok || len(mode) == 1 && mode[0] == 0 {
		return ""
	}
	return fmt.Sprintf("the other end of %s has a program at XDP, which would be passed over", d.name)
}

// namespaces returns the inodes of namespaces by the numbers that this one has for them. The
// kernel only answers which number an open namespace has, so all are asked for that a process is in
// or that have a name. One that cannot be found is left out.
func namespaces(ctx context.Context, h *netlink.Handle, wanted map[int]bool) (map[int]uint32, error) {
	found, asked := map[int]uint32{}, map[uint64]bool{}
	for _, pattern := range []string{"/run/netns/*", "/run/docker/netns/*", "/proc/[0-9]*/ns/net"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if len(found) == len(wanted) {
				return found, nil
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			var st unix.Stat_t
			if unix.Stat(path, &st) != nil || asked[st.Ino] {
				continue
			}
			asked[st.Ino] = true
			if id, ok := numberOf(h, path); ok && wanted[id] {
				found[id] = uint32(st.Ino)
			}
		}
	}
	return found, nil
}

// numberOf returns the number that the handle's namespace has for another one.
func numberOf(h *netlink.Handle, path string) (int, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	id, err := h.GetNetNsIdByFd(int(f.Fd()))
	return id, err == nil && id >= 0
}
