// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
)

func testSpace(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-ch-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	return ns
}

func addLinks(t *testing.T, ns *netns.NS, prefix string, many int) {
	t.Helper()
	err := ns.Do(func() error {
		for n := range many {
			link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("%s%d", prefix, n)}}
			if err := netlink.LinkAdd(link); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
