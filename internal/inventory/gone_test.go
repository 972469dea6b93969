// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"testing"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Whoever opens a namespace that was deleted since it was found is told that it is gone, by
// which he knows that it is not worth a word: the next may have its number.
func TestOpenOfAGoneNamespace(t *testing.T) {
	v, _ := newInventory(t, Config{})
	for range 20 { // as long as somebody else's has the number at once
		inode := createAndDelete(t, v)
		again, err := v.Open(inode)
		if err == nil {
			again.Close()
			continue
		}
		if !errors.Is(err, ErrGone) {
			t.Errorf("error %v, want %v", err, ErrGone)
		}
		return
	}
	t.Error("every number is in use again at once")
}

// createAndDelete returns the number of a namespace that the inventory has found.
func createAndDelete(t *testing.T, v *Inventory) uint32 {
	t.Helper()
	ns := create(t, "gone")
	v.Refresh(Names)
	again, err := v.Open(ns.Inode())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	ns.Close()
	if err := netns.Delete(ns.Name()); err != nil {
		t.Fatal(err)
	}
	return ns.Inode()
}
