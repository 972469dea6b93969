// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
)

// A reference means devices by name, alternative name and pattern, in the namespaces that
// are asked for, and those that are there now.
func TestFindInterfaces(t *testing.T) {
	one, two := create(t, "ifone"), create(t, "iftwo")
	prefix := fmt.Sprintf("f%x", os.Getpid()) // so that nothing else on this machine matches
	name := func(suffix string) string { return prefix + suffix }
	v, c := newInventory(t, Config{})
	find := func(ref string, want []string, within ...uint32) {
		t.Helper()
		if got := v.FindInterfaces(ref, within); !slices.Equal(got, want) {
			t.Errorf("%s in %v means %v, want %v", ref, within, got, want)
		}
	}
	find(name("*"), nil)
	for _, ns := range []*netns.NS{one, two} {
		inside(t, ns, func(nl *netlink.Handle) error {
			return nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name("a")}, PeerName: name("b")})
		})
	}
	find(name("*"), nil) // nobody has looked
	v.RefreshInterfaces()
	find(name("*"), nil) // nor is it time to
	c.advance(time.Second)
	v.RefreshInterfaces()
	find(name("*"), []string{name("a"), name("b")})
	find(name("[b-z]"), []string{name("b")})
	find(name("a"), []string{name("a")}, one.Inode())
	find(name("c"), nil)

	long := name("-an-alternative-name-of-more-than-15-bytes")
	inside(t, two, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(name("b"))
		if err != nil {
			return err
		}
		return nl.LinkAddAltName(link, long)
	})
	inside(t, one, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(name("a"))
		if err != nil {
			return err
		}
		return nl.LinkDel(link)
	})
	c.advance(time.Second)
	v.RefreshInterfaces()
	find(long, []string{name("b")})
	find(name("-an-*"), []string{name("b")}, two.Inode())
	find(long, nil, one.Inode())
	find(name("*"), nil, one.Inode()) // their names are still known, for packets seen before
	find(name("*"), nil, 0)
}

func TestReferencesToInterfaces(t *testing.T) {
	for ref, kernel := range map[string]bool{
		"eth0": true, "fifteen-letters": true, "sixteen-letters-": false, "ens*": false, "ens?": false, "[a-z]": false,
	} {
		if err := CheckInterface(ref); err != nil || IsKernelName(ref) != kernel {
			t.Errorf("%q: %v, a kernel's name: %t", ref, err, IsKernelName(ref))
		}
	}
	for _, ref := range []string{"", "a/b", "ens[", strings.Repeat("a", 128)} {
		if err := CheckInterface(ref); err == nil {
			t.Errorf("%q: no error", ref)
		}
	}
}
