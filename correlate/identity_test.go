// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

func payload(t *testing.T, digits string) (p [event.PayloadPrefix]byte) {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	copy(p[:], b)
	return p
}

// The first entry of the 128-bit vectors of SipHash's reference implementation.
func TestHashIsSipHash128(t *testing.T) {
	var key Key
	for i := range key {
		key[i] = byte(i)
	}
	if got, want := key.hash128(nil).String(), "a3817f04ba25a8e66df67214c7550293"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// These vectors were computed by another implementation as well; whoever computes the
// same IDs elsewhere can test against them.
func TestIdentifyVectors(t *testing.T) {
	ping := payload(t, "8fd1226900000000a2b00c0000000000") // a struct timeval
	for _, v := range []struct {
		name          string
		key           Key
		seq           uint16
		id, root, req string
	}{
		{"default key", DefaultKey, 1, "6e1edfb4ce8d6136c18b6adc8f5735e6", "d3a53bc5f7415c89", "fa2a266bad92ef9e"},
		{"next sequence number", DefaultKey, 2, "b5dd377a8017d8f11a6f52f1ee32d29e", "ccb288a7b92838ce", "56d9553d724f0e2d"},
		{"another key", Key([]byte("sixteen byte key")), 1, "4de22d37c06c6f54c4701d085388d20b", "445392015ce3f465", "7853b1ee61db3d4e"},
	} {
		t.Run(v.name, func(t *testing.T) {
			id := Identify(v.key, v.seq, ping)
			root := v.key.rootID(id, "")
			req := v.key.journeyID(id, "host-a", trace.KindRequest, 0)
			if id.String() != v.id || root.String() != v.root || req.String() != v.req {
				t.Errorf("trace %s root %s request %s", id, root, req)
			}
		})
	}
}

func TestDated(t *testing.T) {
	at := time.Unix(0x6922d18f, 831_000_000)
	for _, c := range []struct {
		name, payload string
		length        uint16
		want          bool
	}{
		{"iputils: struct timeval", "8fd1226900000000a2b00c0000000000", 56, true},
		{"iputils, cut off", "8fd1226900000000a2b00c00000000", 15, true}, // as one of 32 bits
		{"32-bit timeval", "8fd12269a2b00c0008090a0b0c0d0e0f", 56, true},
		{"macOS: 32-bit timeval, big endian", "6922d18f000cb0a208090a0b0c0d0e0f", 56, true},
		{"nanoseconds, big endian", hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))), 24, true},
		{"nanoseconds, little endian", hex.EncodeToString(binary.LittleEndian.AppendUint64(nil, uint64(at.UnixNano()))), 24, true},
		{"two days ago", "8f2e206900000000a2b00c0000000000", 56, false},
		{"more than a million microseconds", "8fd12269ffffff7fa2b00cff00000000", 56, false},
		{"too short", "8fd12269a2b00c", 7, false},
		{"blackbox_exporter", hex.EncodeToString([]byte("Prometheus Black")), 28, false},
		{"busybox: microseconds since boot", "1a2b3c4d000000000000000000000000", 56, false},
		{"Windows: alphabet", hex.EncodeToString([]byte("abcdefghijklmnop")), 32, false},
		{"zeros", "", 56, false},
	} {
		if got := Dated(payload(t, c.payload), c.length, at); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Whatever else is in a packet, its ID depends on sequence number and payload only,
// and on all of both.
func TestIdentifyUsesAllOfIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p [event.PayloadPrefix]byte
		copy(p[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "payload"))
		seq := rapid.Uint16().Draw(t, "seq")
		id := Identify(DefaultKey, seq, p)
		q := p
		q[rapid.IntRange(0, 15).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if Identify(DefaultKey, seq, q) == id {
			t.Fatal("another payload, the same ID")
		}
		if Identify(DefaultKey, seq+1, p) == id {
			t.Fatal("another sequence number, the same ID")
		}
	})
}
