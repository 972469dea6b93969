// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"fmt"
	"slices"
	"strings"
)

// sentences is how many changes of those that came together are told in words.
const sentences = 3

// news adds up what messages say until it is reported.
type news struct {
	kind    Kind
	devices map[int]bool
	what    []string
	more    int
}

func newNews() *news { return &news{devices: map[int]bool{}} }

// add notes a change. Devices that are 0 are left out.
func (n *news) add(kind Kind, devices []int, format string, args ...any) {
	n.kind |= kind
	for _, d := range devices {
		if d > 0 {
			n.devices[d] = true
		}
	}
	if len(n.what) >= sentences {
		n.more++
		return
	}
	what := fmt.Sprintf(format, args...)
	if slices.Contains(n.what, what) {
		return
	}
	n.what = append(n.what, what)
}

// take returns what was noted, if anything was, and forgets it.
func (n *news) take() (Change, bool) {
	if n.kind == 0 {
		return Change{}, false
	}
	c := Change{Kind: n.kind, What: strings.Join(n.what, "; ")}
	if n.more > 0 {
		c.What += fmt.Sprintf("; and %d more", n.more)
	}
	for d := range n.devices {
		c.Devices = append(c.Devices, d)
	}
	slices.Sort(c.Devices)
	n.kind, n.what, n.more = 0, nil, 0
	clear(n.devices)
	return c, true
}
