// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// asker writes requests into the ring as the programs do, which only a program can.
func asker(t *testing.T, b *Bypass) func(raw []byte) {
	t.Helper()
	request, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: candidateBytes, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { request.Close() })
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R1, b.maps[plainMapCandidates].FD()), asm.LoadMapValue(asm.R2, request.FD(), 0),
		asm.Mov.Imm(asm.R3, candidateBytes), asm.Mov.Imm(asm.R4, 0), asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return func(raw []byte) {
		if err := request.Put(uint32(0), raw); err != nil {
			t.Error(err)
		}
		if _, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 14)}); err != nil {
			t.Error(err)
		}
	}
}

// request returns the bytes of one.
func request(c Candidate) []byte {
	raw := make([]byte, candidateBytes)
	raw[candidateFamily] = familyOf(&c.Forth)
	binary.NativeEndian.PutUint64(raw[candidateID:], c.ID)
	binary.NativeEndian.PutUint64(raw[candidateBackID:], c.BackID)
	for at, k := range map[int]*flow.Key{candidateKey: &c.Forth, candidateBack: &c.Back} {
		if is4(k) {
			binary.Encode(raw[at:], binary.NativeEndian, key4(k))
		} else {
			binary.Encode(raw[at:], binary.NativeEndian, key6(k))
		}
	}
	return raw
}

// Each request comes once and whole, until the context ends.
func TestCandidates(t *testing.T) {
	const each = 500
	b := newLab(t, 0).open()
	ask := asker(t, b)
	var want, got []Candidate
	for i := range each {
		c := Candidate{Forth: udp(i%2 == 0, 2*i), Back: udp(i%2 == 0, 2*i+1), ID: uint64(i), BackID: uint64(i) << 40}
		want = append(want, c)
		if i < each/2 { // some are there before anybody reads
			ask(request(c))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Candidates(ctx, func(c Candidate) {
		got = append(got, c)
		switch {
		case len(got) == each:
			cancel()
		case len(got) >= each/2:
			ask(request(want[len(got)]))
		}
	})
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y Candidate) bool { return x == y })); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	ask(make([]byte, candidateBytes))
	if err := b.Candidates(t.Context(), func(Candidate) {}); err == nil {
		t.Error("a request of no family gave no error")
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := b.Candidates(ctx, func(Candidate) {}); err != nil {
		t.Errorf("a context that has ended: %v", err)
	}
}

func TestShortCandidate(t *testing.T) {
	if _, err := decodeCandidate(make([]byte, candidateBytes-1)); err == nil {
		t.Error("a short request gave no error")
	}
	raw := make([]byte, candidateBytes)
	raw[candidateFamily] = unix.AF_INET
	if _, err := decodeCandidate(raw); err != nil {
		t.Error(err)
	}
}

// Both directions of a candidate are looked up, unless they are other flows by now.
func TestLook(t *testing.T) {
	b := newLab(t, 0).open()
	c := Candidate{Forth: udp(true, 1), Back: udp(true, 2), ID: 1, BackID: 2}
	put(t, b, c.Forth, plainFlow{Id: 1})
	put(t, b, c.Back, plainFlow{Id: 2})
	forth, back, err := b.Look(c)
	if err != nil || forth.ID != 1 || back.ID != 2 || forth.Key != c.Forth || back.Key != c.Back {
		t.Errorf("%+v, %+v, %v", forth, back, err)
	}
	for _, other := range []Candidate{
		{c.Forth, c.Back, 3, 2}, {c.Forth, c.Back, 1, 3}, {udp(true, 3), c.Back, 1, 2}, {c.Forth, udp(false, 3), 1, 2},
	} {
		if _, _, err := b.Look(other); !errors.Is(err, ErrGone) {
			t.Errorf("%+v: error %v, want ErrGone", other, err)
		}
	}
}
