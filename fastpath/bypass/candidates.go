// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Candidates passes flows that may be approved, until ctx ends; then it returns nil. A flow that is not settled
// is passed again, at most 10 times a second.
func (b *Bypass) Candidates(ctx context.Context, report func(Candidate)) error {
	err := b.readRing(ctx, plainMapCandidates, func(raw []byte) error {
		c, err := decodeCandidate(raw)
		if err == nil {
			report(c)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read which flows may be approved: %w", err)
	}
	return nil
}

// Where members of struct candidate are in c/maps.h, in bytes.
const (
	candidateFamily = 0
	candidateID     = 8
	candidateBackID = 16
	candidateKey    = 24
	candidateBack   = 68
	candidateBytes  = 112
)

func decodeCandidate(raw []byte) (c Candidate, err error) {
	if len(raw) < candidateBytes {
		return c, fmt.Errorf("a request of %d bytes: it should have %d", len(raw), candidateBytes)
	}
	c.ID = binary.NativeEndian.Uint64(raw[candidateID:])
	c.BackID = binary.NativeEndian.Uint64(raw[candidateBackID:])
	c.Forth, err = decodeKey(raw[candidateFamily], raw[candidateKey:candidateBack])
	if err == nil {
		c.Back, err = decodeKey(raw[candidateFamily], raw[candidateBack:candidateBytes])
	}
	return c, err
}

func decodeKey(family uint8, raw []byte) (k flow.Key, err error) {
	switch family {
	case unix.AF_INET:
		var k4 plainKey4
		_, err = binary.Decode(raw, binary.NativeEndian, &k4)
		return flowKey(true, k4.wide()), err
	case unix.AF_INET6:
		var k6 plainKey6
		_, err = binary.Decode(raw, binary.NativeEndian, &k6)
		return flowKey(false, &k6), err
	}
	return k, fmt.Errorf("a request of address family %d", family)
}

// Look returns both directions of a candidate. ErrGone if one of them is not there any more: if it comes back, it
// is asked for again.
func (b *Bypass) Look(c Candidate) (forth, back *flow.Flow, err error) {
	if forth, err = b.lookOne(&c.Forth, c.ID); err == nil {
		back, err = b.lookOne(&c.Back, c.BackID)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look up a flow to approve: %w", err)
	}
	return forth, back, nil
}

func (b *Bypass) lookOne(k *flow.Key, id uint64) (*flow.Flow, error) {
	f, err := b.get(k)
	if err == nil && f.ID != id {
		err = ErrGone
	}
	return f, err
}
