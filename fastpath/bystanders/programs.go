// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readPrograms notes programs of others at TCX.
func (d *device) readPrograms(ours map[ebpf.ProgramID]string) error {
	for at, where := range map[ebpf.AttachType]string{ebpf.AttachTCXIngress: "ingress", ebpf.AttachTCXEgress: "egress"} {
		got, err := link.QueryPrograms(link.QueryOptions{Target: d.index, Attach: at})
		switch {
		case errors.Is(err, unix.ENODEV): // gone
			return nil
		case errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL): // a kernel without TCX
			return nil
		case err != nil:
			return err
		}
		for _, p := range got.Programs {
			name := programName(p.ID)
			if own, ok := ours[p.ID]; ok && own == name {
				continue
			}
			d.foreign = append(d.foreign, fmt.Sprintf("the program %q (number %d) at TC %s", name, p.ID, where))
		}
	}
	return nil
}

// programName returns a program's name, or "" if it is gone or cannot be asked.
func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// filters returns where a device has filters of TC for all that arrives or leaves. The kind is that of
// its queueing discipline that has them: ingress knows only one direction.
func filters(index int, kind string) (found []string, err error) {
	parents := map[uint32]string{netlink.MakeHandle(0xffff, 0): "ingress"}
	if kind == "clsact" {
		parents = map[uint32]string{netlink.HANDLE_MIN_INGRESS: "ingress", netlink.HANDLE_MIN_EGRESS: "egress"}
	}
	for parent, where := range parents {
		req := nl.NewNetlinkRequest(unix.RTM_GETTFILTER, unix.NLM_F_DUMP)
		req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(index), Parent: parent})
		got, err := again(func() ([][]byte, error) { return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER) })
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) {
			continue // no such queueing discipline, or device
		}
		if err != nil {
			return nil, err
		}
		if len(got) > 0 {
			found = append(found, fmt.Sprintf("filters at TC %s (tc filter show)", where))
		}
	}
	slices.Sort(found)
	return found, nil
}

// Pinned returns the programs, and those of links, that are pinned at paths that match one of the
// patterns of [filepath.Glob], by ID with their names. What is gone meanwhile, or is neither, is left out.
func Pinned(patterns ...string) (map[ebpf.ProgramID]string, error) {
	found := map[ebpf.ProgramID]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("looking for pinned programs at %s: %w", pattern, err)
		}
		for _, path := range paths {
			if at, err := os.Lstat(path); err == nil && at.IsDir() {
				continue // which the kernel would not permit to be opened as a program
			}
			id, err := pinnedID(path)
			if errors.Is(err, fs.ErrPermission) {
				return nil, fmt.Errorf("opening the pinned program %s: %w", path, err)
			}
			if err == nil {
				found[id] = programName(id)
			}
		}
	}
	return found, nil
}

// pinnedID returns the ID of the program, or of the link's program, that is pinned at a path.
func pinnedID(path string) (ebpf.ProgramID, error) {
	if p, err := ebpf.LoadPinnedProgram(path, nil); err == nil {
		defer p.Close()
		info, err := p.Info()
		if err != nil {
			return 0, err
		}
		id, ok := info.ID()
		if !ok {
			return 0, errors.New("the kernel does not tell the program's number")
		}
		return id, nil
	}
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return 0, err
	}
	return info.Program, nil
}
