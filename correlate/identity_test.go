// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"encoding/hex"
	"testing"

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
			id, ok := Identify(v.key, v.seq, ping, 56)
			if !ok {
				t.Error("payload with a clock cannot tell echoes apart")
			}
			root := v.key.rootID(id, "")
			req := v.key.journeyID(id, "host-a", trace.KindRequest, 0)
			if id.String() != v.id || root.String() != v.root || req.String() != v.req {
				t.Errorf("trace %s root %s request %s", id, root, req)
			}
		})
	}
}

func TestDistinguishes(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		length        uint16
		want          bool
	}{
		{"iputils: struct timeval", "8fd1226900000000a2b00c0000000000", 56, true},
		{"busybox: 32-bit clock and zeros", "1a2b3c4d000000000000000000000000", 56, true},
		{"macOS: 32-bit timeval and filler", "692ad18f000cb0a208090a0b0c0d0e0f", 56, true},
		{"empty: ping -s 0", "", 0, false},
		{"too short", "8fd12269000000", 7, false},
		{"zeros", "", 56, false},
		{"one byte repeated", "ffffffffffffffffffffffffffffffff", 56, false},
		{"pattern of two bytes", "abcdabcdabcdabcdabcdabcdabcdabcd", 56, false},
		{"pattern of three bytes, cut off", "abcdefabcdefabcdefabcdefabcdefab", 56, false},
		{"pattern of eight bytes", "01020305080d152201020305080d1522", 56, false},
		{"Windows: alphabet", hex.EncodeToString([]byte("abcdefghijklmnop")), 32, false},
		{"ping -s 12: counts up", "000102030405060708090a0b", 12, false},
	} {
		if got := Distinguishes(payload(t, c.payload), c.length); got != c.want {
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
		id, _ := Identify(DefaultKey, seq, p, 56)
		q := p
		q[rapid.IntRange(0, 15).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if other, _ := Identify(DefaultKey, seq, q, 56); other == id {
			t.Fatal("another payload, the same ID")
		}
		if other, _ := Identify(DefaultKey, seq+1, p, 56); other == id {
			t.Fatal("another sequence number, the same ID")
		}
		if again, _ := Identify(DefaultKey, seq, p, 64); again != id {
			t.Fatal("the length is part of the ID")
		}
	})
}
