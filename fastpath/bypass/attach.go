// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// hook is a place at a device where a program is.
type hook struct {
	program string
	at      ebpf.AttachType
	prefix  string // of the names of pinned links; the device's index follows
}

// hooks are the places.
func hooks() []hook {
	return []hook{
		// What leaves is compared with what was noted when it arrived, so this is first.
		{program: plainProgEgress, at: ebpf.AttachTCXEgress, prefix: "link_egress_"},
		{program: plainProgIngress, at: ebpf.AttachTCXIngress, prefix: "link_ingress_"},
	}
}

// linkPrefix is what the names of all pinned links begin with.
const linkPrefix = "link_"

func (h *hook) linkName(index int) string { return h.prefix + strconv.Itoa(index) }

// parseLink returns which hook and device a pinned link is for.
func parseLink(name string) (hook, int, bool) {
	for _, h := range hooks() {
		if number, ok := strings.CutPrefix(name, h.prefix); ok {
			index, err := strconv.Atoi(number)
			return h, index, err == nil
		}
	}
	return hook{}, 0, false
}

// present returns what is attached to a device of this namespace, first to last. It is nothing if there is
// no such device.
func present(h hook, index int) ([]link.AttachedProgram, error) {
	found, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: h.at})
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found.Programs, nil
}

// has reports whether a link is among those.
func has(all []link.AttachedProgram, id link.ID) bool {
	return slices.ContainsFunc(all, func(p link.AttachedProgram) bool {
		at, ok := p.LinkID()
		return ok && at == id
	})
}

// pinnedLink returns the link that is pinned for a device, and its ID, or nil.
func (b *Bypass) pinnedLink(h hook, index int) (link.Link, link.ID, error) {
	l, err := loadLink(b.path(h.linkName(index)))
	if err != nil || l == nil {
		return nil, 0, err
	}
	info, err := l.Info()
	if err != nil {
		return nil, 0, errors.Join(err, l.Close())
	}
	return l, info.ID, nil
}

// attached returns the ID of the pinned link that is at the device, or 0. One that is not, because the
// device is gone, is another's or has gone to another namespace, is removed.
func (b *Bypass) attached(h hook, index int) (link.ID, error) {
	l, id, err := b.pinnedLink(h, index)
	if err != nil || l == nil {
		return 0, err
	}
	defer l.Close()
	all, err := present(h, index)
	if err != nil {
		return 0, err
	}
	if has(all, id) {
		return id, nil
	}
	// Whoever still has it open would keep it where it is.
	return 0, errors.Join(detach(l), pinned.Remove(b.path(h.linkName(index))))
}

// detach takes a link from where it is, if it is anywhere.
func detach(l link.Link) error {
	if err := l.Detach(); err != nil && !errors.Is(err, unix.ENOLINK) {
		return err
	}
	return nil
}

// attach puts a program before all others at a device, so that a packet is compared as it arrives. It reports
// whether it was not there yet. Then no other link of the fast path is there.
func (b *Bypass) attach(h hook, index int) (anew bool, err error) {
	id, err := b.attached(h, index)
	if err != nil {
		return false, err
	}
	if id == 0 {
		if id, err = b.attachAnew(h, index); err != nil {
			return false, err
		}
		anew = true
	}
	all, err := present(h, index)
	if err != nil {
		return anew, err
	}
	return anew, removeStrays(h, all, id)
}

// detachOne takes a program from a place at a device, where it need not be.
func (b *Bypass) detachOne(h hook, index int) error {
	all, err := present(h, index)
	if err != nil {
		return err
	}
	return errors.Join(removeLink(b.path(h.linkName(index))), removeStrays(h, all, 0))
}

// How long a link that is being freed may take, and how often it is asked for meanwhile.
const (
	freeing   = 5 * time.Second
	freeingAt = time.Millisecond
)

// attachAnew attaches a program to a device where no link of it is pinned. The kernel refuses that if the same program
// is there already: by a link that is pinned nowhere but open somewhere, which becomes ours, or one that is being freed.
func (b *Bypass) attachAnew(h hook, index int) (link.ID, error) {
	ticks := time.NewTicker(freeingAt)
	defer ticks.Stop()
	for deadline := time.Now().Add(freeing); ; <-ticks.C {
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: b.programs[h.program], Attach: h.at, Anchor: link.Head()})
		if errors.Is(err, fs.ErrExist) {
			l, err = b.find(h, index)
			if errors.Is(err, fs.ErrNotExist) && time.Now().Before(deadline) {
				continue
			}
		}
		if err != nil {
			return 0, err
		}
		return b.keep(h, index, l)
	}
}

// find returns the link of this very program at a device.
func (b *Bypass) find(h hook, index int) (link.Link, error) {
	info, err := b.programs[h.program].Info()
	if err != nil {
		return nil, err
	}
	program, _ := info.ID()
	all, err := present(h, index)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if id, ok := p.LinkID(); ok && p.ID == program {
			return link.NewFromID(id)
		}
	}
	return nil, fs.ErrNotExist
}

// keep pins a link, closes it and returns its ID.
func (b *Bypass) keep(h hook, index int, l link.Link) (link.ID, error) {
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return 0, err
	}
	return info.ID, l.Pin(b.path(h.linkName(index)))
}

// removeStrays detaches links of the fast path but the one: those whose pins are out of reach, such as in another
// mount of bpffs, or another version's. Two would each send a packet.
func removeStrays(h hook, all []link.AttachedProgram, but link.ID) error {
	var errs []error
	for _, p := range all {
		id, ok := p.LinkID()
		if !ok || id == but || !isOurs(h, p.ID) {
			continue
		}
		l, err := link.NewFromID(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(detach(l), l.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("detach another program of the fast path: %w", err))
		}
	}
	return errors.Join(errs...)
}

// isOurs reports whether a program is the fast path's, of whatever version: by its name and its maps'.
func isOurs(h hook, id ebpf.ProgramID) bool {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return false
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil || info.Name != h.program {
		return false
	}
	maps, _ := info.MapIDs()
	names := map[string]bool{}
	for _, id := range maps {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue
		}
		if info, err := m.Info(); err == nil {
			names[info.Name] = true
		}
		m.Close()
	}
	return names[plainMapFlows4] && names[plainMapFlows6] && names[plainMapDevices]
}

// links returns the names of pinned links.
func (b *Bypass) links() ([]string, error) {
	all, err := os.ReadDir(b.dir())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range all {
		if strings.HasPrefix(f.Name(), linkPrefix) {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// renewLinks lets what is attached already run the programs of this version, and removes links of
// devices that are gone.
func (b *Bypass) renewLinks() error {
	names, err := b.links()
	if err != nil {
		return err
	}
	for _, name := range names {
		h, index, ok := parseLink(name)
		if !ok {
			continue
		}
		id, err := b.attached(h, index)
		if err != nil {
			return err
		}
		if id == 0 {
			continue
		}
		l, _, err := b.pinnedLink(h, index)
		if err != nil || l == nil {
			return err
		}
		if err := errors.Join(l.Update(b.programs[h.program]), l.Close()); err != nil {
			return fmt.Errorf("renew the program at device %d: %w", index, err)
		}
	}
	return nil
}
