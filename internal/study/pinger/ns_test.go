// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"fmt"
	"os"
	"testing"

	"github.com/dwelltrace/dwell/internal/netns"
)

// NewNS makes a namespace with lo up.
func NewNS(t *testing.T, suffix string) *netns.NS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	ns, err := netns.Create(fmt.Sprintf("dwt%d-ping-%s", os.Getpid(), suffix))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(ns.Name()); err != nil {
			t.Error(err)
		}
	})
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	lo, err := nl.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := nl.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	return ns
}
