// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// It is said of a packet what the kernel did otherwise, and nothing else.
func TestDecodeDoubt(t *testing.T) {
	k := udp(true, 5)
	base := plainDoubt{Key: key6(&k), Family: unix.AF_INET, Direction: uint8(flow.ToTenant), Slot: 3, Other: 4, Epoch: 7, Ns: 8, Len: 60, ToldLen: 60}
	base.Is.NextFamily, base.Is.NextHop = unix.AF_INET, [4]uint32{words4(k.Src)}
	base.Told = base.Is
	for _, c := range []struct {
		name   string
		change func(*plainDoubt)
		want   []string
	}{
		{"nothing", func(*plainDoubt) {}, nil},
		{"next hop", func(d *plainDoubt) { d.Is.NextHop[0] = words4(k.Dst) }, []string{"next hop " + k.Dst.String() + " instead of " + k.Src.String()}},
		{"no neighbour", func(d *plainDoubt) { d.Is.NextFamily = 0 }, []string{"next hop invalid IP instead of " + k.Src.String()}},
		{"mark and priority", func(d *plainDoubt) { d.Is.Mark, d.Told.Priority = 5, 6 }, []string{"mark 5 instead of 0", "priority 0 instead of 6"}},
		{"frame", func(d *plainDoubt) { d.Is.MacsOut[0], d.Told.MacsOut[11] = 2, 4 }, []string{
			"Ethernet destination 02:00:00:00:00:00 instead of 00:00:00:00:00:00", "Ethernet source 00:00:00:00:00:00 instead of 00:00:00:00:00:04",
		}},
		{"length", func(d *plainDoubt) { d.Len = 40 }, []string{"length 40 instead of 60"}},
		{"checksum", func(d *plainDoubt) { d.ToldSummed = 1 }, []string{"checksum left to a device false instead of true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := base
			c.change(&e)
			raw, err := binary.Append(nil, binary.NativeEndian, e)
			if err != nil {
				t.Fatal(err)
			}
			d, err := decodeDoubt(raw)
			if err != nil || d.Key != k || d.Direction != flow.ToTenant || d.Slot != 3 || d.Other != 4 || d.Epoch != 7 || d.Ns != 8 {
				t.Errorf("%+v, %v", d, err)
			}
			if !slices.Equal(d.Differs, c.want) {
				t.Errorf("differs %q, want %q", d.Differs, c.want)
			}
			if _, err := decodeDoubt(raw[:len(raw)-1]); err == nil {
				t.Error("a record that is cut off gave no error")
			}
		})
	}
	e := base
	e.Front.V4.Ip.Ttl = 7
	if got := e.differs(); len(got) != 1 || got[0][:len("headers, from byte 22 of the frame on, 07")] != "headers, from byte 22 of the frame on, 07" {
		t.Errorf("differs %q", got)
	}
}
