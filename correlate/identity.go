// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Key is the secret of the keyed hash from which all IDs are derived. All hosts
// whose spans are to meet in one trace need the same key.
type Key [16]byte

// DefaultKey is the key unless configured: the ASCII bytes of "dwell trace id 1".
var DefaultKey = Key([]byte("dwell trace id 1"))

// Domain bytes keep the different uses of one key apart.
const (
	domainRoot    = 'R'
	domainJourney = 'J'
	domainSpan    = 'S'
)

// Identify derives the trace ID of an echo from what no device on its way
// changes. It is SipHash-2-4 with 128 bits of output (Aumasson and Bernstein 2012,
// and its reference implementation) over 18 bytes: the sequence number, big
// endian, and the first 16 bytes of the payload, zero-padded. The ID is the hash
// as two 64-bit words in little-endian order.
//
// Addresses are left out because NAT rewrites them, and so is the identifier;
// TTL and checksums change at every router. Two hosts that see the same packet
// compute the same ID. It is only that of one ping if the payload carries the time
// at which it was sent, see [Dated].
func Identify(key Key, seq uint16, payload [event.PayloadPrefix]byte) trace.ID {
	var msg [2 + event.PayloadPrefix]byte
	binary.BigEndian.PutUint16(msg[:], seq)
	copy(msg[2:], payload[:])
	return key.hash128(msg[:])
}

// localID derives a trace ID for an echo whose payload does not distinguish it, from what
// distinguishes it on this host: addresses, identifier, and the time and place of the first
// event.
func (k Key) localID(first *event.Event, wall int64) trace.ID {
	var msg [2*(2+16+8) + 8]byte
	b := binary.BigEndian.AppendUint16(msg[:0], first.Seq)
	b = binary.BigEndian.AppendUint16(b, first.ID)
	b = append(b, first.Src[:]...)
	b = append(b, first.Dst[:]...)
	b = binary.BigEndian.AppendUint64(b, first.Time+uint64(wall))
	b = binary.BigEndian.AppendUint32(b, first.NetNS)
	b = binary.BigEndian.AppendUint32(b, first.IfIndex)
	return k.hash128(b)
}

// idMessage is the length in bytes of most messages of which span IDs are made: of those with a
// host's ID that is no longer than a UUID.
const idMessage = 64

// rootID derives the span ID of the root. That of the host that sends the ping is made
// of the trace ID alone, so that any host can compute it. A host that the ping only
// passes has a root of its own, made of its ID, too: its first and last events are not
// the ping's, and one span ID must not be used for two intervals.
func (k Key) rootID(t trace.ID, passedHost string) trace.SpanID {
	var msg [idMessage]byte
	b := append(msg[:0], domainRoot)
	b = append(b, t[:]...)
	return k.hash64(append(b, passedHost...))
}

// journeyID derives the span ID of a journey. The host is part of it, because a journey
// is a packet's way through one host and a ping may pass several; n distinguishes the
// first reply from its duplicates.
func (k Key) journeyID(t trace.ID, host string, kind trace.Kind, n int) trace.SpanID {
	var msg [idMessage]byte
	b := append(msg[:0], domainJourney, byte(kind), byte(n))
	b = append(b, t[:]...)
	return k.hash64(append(b, host...))
}

// turnID derives the span ID of what is between request and reply. On the host that sends the
// ping, any host can compute it, as the root's.
func (k Key) turnID(root trace.SpanID) trace.SpanID { return k.childID(root, 0) }

// childID derives the span ID of the nth span below parent.
func (k Key) childID(parent trace.SpanID, n int) trace.SpanID {
	var msg [1 + 8 + 4]byte
	msg[0] = domainSpan
	copy(msg[1:], parent[:])
	binary.BigEndian.PutUint32(msg[9:], uint32(n))
	return k.hash64(msg[:])
}

func (k Key) hash128(msg []byte) (id trace.ID) {
	k0, k1 := k.words()
	lo, hi := siphash.Hash128(k0, k1, msg)
	binary.LittleEndian.PutUint64(id[:8], lo)
	binary.LittleEndian.PutUint64(id[8:], hi)
	return id
}

func (k Key) hash64(msg []byte) (id trace.SpanID) {
	k0, k1 := k.words()
	binary.LittleEndian.PutUint64(id[:], siphash.Hash(k0, k1, msg))
	return id
}

func (k Key) words() (uint64, uint64) {
	return binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
}
