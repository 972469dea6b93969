// SPDX-License-Identifier: Apache-2.0

// Package recording keeps what the correlator was given in a file, and gives it to
// a correlator again later: the same traces come out, to the byte.
//
// The correlator has no clock and queries only its resolver. So the calls of its methods
// in their order, and the resolver's answers, are all that must be kept. An answer is
// only written if it is not the one given before; it carries the number of the question,
// because names may change between two traces of one iteration.
//
// # Format
//
// A recording begins with the line "dwell recording 6\n", where 6 is the version of
// the format. Chunks follow, each on its own checksum:
//
//	length    4 bytes, little endian, of the contents
//	checksum  4 bytes, little endian: CRC-32C (RFC 3720, appendix B.4) of the contents
//	contents  a byte that says what they are, and the rest
//
// The first chunk is "H" and a [Header] in JSON. "R" chunks hold records, see
// opcode. An "E" chunk with the number of events ends a recording that was closed;
// one without it was cut off, and is valid up to its last whole chunk. Integers are
// varints as in encoding/binary, signed ones in zigzag; a string is its length and its
// bytes.
//
// An event is written as its difference to the one before in the same chunk: a mask
// of the fields that changed, the difference in time, and those fields. That is about
// a tenth of its size in memory, for less work than a general compressor would take.
//
// Version 6 knew of no thresholds. Version 5 did not know what the fast path made of a packet, nor its reasons. Version 4 knew of an action neither place nor duration, nor what rules are called. Version 3 did not know of tenants: of a namespace neither netnsShared nor netnsTenant, of a
// device neither its tenant nor whether that is known. Version 2 knew of an event neither peer, ttl, depth, tunnel2 nor action, so that the mask
// lacked these bits; flags were a byte, in which bits 1 and 5 said that there was a tunnel of
// VXLAN and that it was over IPv6; a tunnel had no type; and of a device it knew neither type
// nor lower device. What an event would be today is inferred when it is read, see
// [event.Pairs]. Version 1 knew neither containers nor opLeaveOut besides.
package recording

// opcode is the first byte of a record.
type opcode byte

// The records, with their fields.
const (
	// opEvent: mask, time, the changed fields in the order of the mask's bits.
	opEvent opcode = 1 + iota
	// opLost: from, to. A call of Lost.
	opLost
	// opAdvance: now. A call of Advance.
	opAdvance
	// opFlush: a call of Flush.
	opFlush
	// opSend: offset (signed), withheld. The traces finished since the last time were
	// moved by offset to the wall clock and sent on, but for the last withheld.
	opSend
	// opNetNS: inode, name, a byte of netnsHypervisor and so on; with netnsContainer
	// the container's ID, name, runtime, and its pod's name, namespace and UID; with
	// netnsTenant the tenant's ID. Defines the next namespace; they are numbered from 1.
	opNetNS
	// opDevice: number of its namespace or 0, index, name, bridge, type, namespace and
	// index of its lower device, its tenant's ID or "", a byte that is 1 if it is not known
	// whose it is and 0 otherwise. Defines the next device; they are numbered from 1.
	opDevice
	// opNetNSIs: question, inode, number of the namespace or 0. From this question on
	// that is the answer. Question 0 means at once.
	opNetNSIs
	// opDeviceIs: question, inode, index, number of the device or 0.
	opDeviceIs
	// opReasonIs: question, code, name.
	opReasonIs
	// opLeaveOut: number, from 0, of one of the traces finished since the last opSend.
	// It is not sent on by the next.
	opLeaveOut
	// opRuleIs: question, tenant's number, rule's number, its place in its chain; its tenant's
	// ID, chain, UUID and text.
	opRuleIs
	// opVerdictReasonIs: question, code, name.
	opVerdictReasonIs
	// opFastPathReasonIs: question, code, name.
	opFastPathReasonIs
	// opThreshold: number, as of opLeaveOut, threshold. A call of SetThreshold.
	opThreshold
	// opNamedIs: question, inode, index or 0, and 1 if the names of that place are as good as they
	// can be, 0 if better ones are on their way.
	opNamedIs
)

// The bits that say what an opNetNS holds.
const (
	netnsHypervisor = 1 << iota
	netnsContainer
	netnsShared
	netnsTenant
)
