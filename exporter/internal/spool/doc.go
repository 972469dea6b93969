// SPDX-License-Identifier: Apache-2.0

// Package spool keeps encoded batches on disk until they can be sent, and an account
// of every trace that outlives the process.
//
// # What survives what
//
// A process that is killed, even with SIGKILL, loses what was in its memory and
// nothing else: what was written is in the kernel's page cache. So that the loss is
// known afterwards, the account is written at each step: when traces are taken over,
// before a batch is sent, and when the answer is there. What was taken over and is
// neither settled nor on disk at the next start has died with the process and is
// counted as [exporter.CauseKilled].
//
// Callers of Export wait for that at most a second, once for each time that the disk
// stalls (see accountWriter). Only if a process is killed in a longer stall is what it
// took over meanwhile in no account.
//
// A batch is on disk before it is sent. One whose answer never came is sent again with
// the same span IDs, so that a receiver may get it twice but its loss is never claimed.
//
// Nothing is synced: a loss of power may take what the kernel had not yet written,
// some 30 s by default (vm.dirty_expire_centisecs). What it took is noticed by the
// checksums and the running counts and is counted as [exporter.CauseSpoolCorrupt], or,
// if the account itself is of an earlier moment, sent a second time. To sync every
// batch would cost more than the agent's other work; the traces of a host that lost
// power are not worth it.
//
// # Files
//
// All numbers are little-endian, all checksums CRC-32C (Castagnoli, RFC 3720).
//
//	lock              held with flock(2) by the process that uses the directory
//	account           4,096 bytes: the account twice, at 0 and at 2,048
//	inflight          one record: the batch that is being sent
//	NNNNNNNNNNNNNNNN.seg   segments, numbered in hexadecimal: a header, then records
//
// A segment's header has 16 bytes:
//
//	 0  8  "dwellspl"
//	 8  4  format version, 1
//	12  4  checksum of the bytes before
//
// A record has a header of 48 bytes, then the payload, an ExportTraceServiceRequest:
//
//	 0  4  "DWRC"
//	 4  4  length of the payload
//	 8  8  number of the record, without gaps; in inflight the number of the sending
//	16  4  traces in the payload
//	20  4  spans in the payload
//	24  8  traces in all records before
//	32  8  spans in all records before
//	40  4  checksum of the payload
//	44  4  checksum of the bytes before
//
// The running counts say how much was in records that cannot be read any more. A record
// is written with one write and read only up to what is whole; the rest of a write that a
// kill has torn is cut off.
//
// The account is written twice with one write, so that one flipped bit or one sector
// that was not written does not lose it:
//
//	 0  8  "dwellacc"
//	 8  4  format version, 1
//	12  4  length of all that follows the checksum
//	16  4  checksum of version and length, and of all that follows
//	20  8  how often the account was written; the higher one is valid
//	28  8  number of the next record
//	36  8  number of the oldest record that was not taken out
//	44  8  number of the sending in inflight, 0 if none
//	52  …  traces and spans (8 bytes each): taken over; sent; in all records ever
//	       written; in all records ever taken out
//	…   4  number of causes, and for each: 1 length, the name, 8 traces, 8 spans lost
//
// # Upgrades
//
// A version of dwell reads the format of all versions before it, and never touches a
// directory whose version it does not know: it says so and goes without. A change
// that an older reader would misread gets a new version number. Magic, version, length
// and checksum of the account, and the header of a segment, stay where they are in all
// versions.
package spool
