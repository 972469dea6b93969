// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Ethernet addresses.
const (
	uplinkMAC              = "02:00:00:00:01:03"
	redMAC, blueMAC        = "02:00:00:00:02:00", "02:00:00:00:02:01"
	macA, macB             = "02:00:00:00:00:20", "02:00:00:00:00:21"
	mac0, mac1, mac2       = "02:00:00:00:00:10", "02:00:00:00:00:11", "02:00:00:00:00:12"
	hypervisor, outside    = "hypervisor", "outside"
	space0, space1, space2 = "guest0", "guest1", "guest2"
)

// world is a hypervisor with guests, and what is outside.
type world struct {
	*plan
	prefix string
	spaces map[string]*netns.NS
	// ends are where frames come out, by device.
	ends map[string]wire.End
}

func newWorld(name string, p *plan) (w *world, err error) {
	w = &world{plan: p, prefix: fmt.Sprintf("%s-%d-", name, os.Getpid()), spaces: map[string]*netns.NS{}, ends: map[string]wire.End{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making the hypervisor: %w", err), w.close())
		}
	}()
	for _, s := range []string{hypervisor, outside, space0, space1, space2} {
		ns, err := netns.Create(w.prefix + s)
		if err != nil {
			return w, err
		}
		w.spaces[s] = ns
		w.sysctl(s, p.settings...)
	}
	for _, s := range slices.Concat(steps, p.translations) {
		if err := w.run(s.space, s.command); err != nil {
			return w, err
		}
	}
	for device, space := range map[string]string{"o0": outside, "g0": space0, "g0b": space0, "g1": space1, "g2": space2} {
		if w.ends[device], err = wire.Open(w.spaces[space], device); err != nil {
			return w, err
		}
	}
	return w, nil
}

// run runs a command in a namespace.
func (w *world) run(space, command string) error {
	words := strings.Fields(w.words.Replace(strings.ReplaceAll(command, "PREFIX", w.prefix)))
	err := w.spaces[space].Do(func() error {
		out, err := exec.CommandContext(context.Background(), words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", space, command, err)
	}
	return nil
}

// sysctl sets what there is to be set.
func (w *world) sysctl(space string, settings ...string) {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		_ = w.spaces[space].Do(func() error { return os.WriteFile(path, []byte(value), 0) })
	}
}

func (w *world) close() error {
	var errs []error
	for _, e := range w.ends {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	for _, ns := range w.spaces {
		errs = append(errs, ns.Close(), netns.Delete(ns.Name()))
	}
	return errors.Join(errs...)
}
