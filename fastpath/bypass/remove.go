// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Remove detaches and unpins everything of the fast path that is pinned below pin, of any version, and
// what is attached to devices of the namespace without being pinned there. It is no error if there is
// nothing.
func Remove(pin string, ns *netns.NS) error {
	err := removeLayouts(pin)
	if strays := removeAllStrays(ns); err != nil || strays != nil {
		return fmt.Errorf("remove the fast path's programs: %w", explain(errors.Join(err, strays)))
	}
	return nil
}

func removeLayouts(pin string) error {
	all, err := os.ReadDir(versions(pin))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range all {
		errs = append(errs, removeLayout(filepath.Join(versions(pin), dir.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.Remove(versions(pin))
}

// removeLayout removes what one version has pinned. Links go first: what a crash leaves can be removed again.
func removeLayout(dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range all {
		if strings.HasPrefix(f.Name(), linkPrefix) {
			errs = append(errs, removeLink(filepath.Join(dir, f.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// loadLink opens a pinned link, or returns nil if there is none.
func loadLink(path string) (link.Link, error) {
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return l, err
}

// removeAllStrays detaches the fast path's programs from all devices of a namespace.
func removeAllStrays(ns *netns.NS) error {
	if supported := Supported() == nil; !supported {
		return nil // and so there are none
	}
	return netns.In(ns, func() error {
		devices, err := net.Interfaces()
		if err != nil {
			return err
		}
		var errs []error
		for _, dev := range devices {
			for _, h := range hooks() {
				all, err := present(h, dev.Index)
				errs = append(errs, err, removeStrays(h, all, 0))
			}
		}
		return errors.Join(errs...)
	})
}
