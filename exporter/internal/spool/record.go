// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/exporter"
)

// version is that of the format of all files.
const version = 1

const (
	recordMagic      = "DWRC"
	recordHeader     = 48
	segmentMagic     = "dwellspl"
	segmentHeader    = 16
	recordHeaderSum  = 44
	segmentHeaderSum = 12
)

// sum returns a CRC-32C.
func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// header precedes a payload.
type header struct {
	length uint32
	number uint64
	count  exporter.Count
	before exporter.Count
	sum    uint32
}

// end returns the counts of all records up to and with this one.
func (h *header) end() exporter.Count { return h.before.Plus(h.count) }

// size returns the length of the record.
func (h *header) size() int64 { return recordHeader + int64(h.length) }

// same reports whether both are of the same batch.
func (h *header) same(as *header) bool {
	return h.length == as.length && h.sum == as.sum && h.count == as.count
}

// append appends the encoded header.
func (h *header) append(b []byte) []byte {
	start := len(b)
	b = append(b, recordMagic...)
	b = binary.LittleEndian.AppendUint32(b, h.length)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.count.Traces))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.count.Spans))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.before.Traces))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.before.Spans))
	b = binary.LittleEndian.AppendUint32(b, h.sum)
	return binary.LittleEndian.AppendUint32(b, sum(b[start:]))
}

// writeAt writes a record: with one system call, unless the disk takes only a part.
func (h *header) writeAt(f *os.File, at int64, payload []byte) error {
	head := h.append(make([]byte, 0, recordHeader))
	n, err := unix.Pwritev(int(f.Fd()), [][]byte{head, payload}, at)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("pwritev", err)
	}
	for rest := max(n, 0); rest < recordHeader+len(payload); {
		part := head[min(rest, recordHeader):]
		if len(part) == 0 {
			part = payload[rest-recordHeader:]
		}
		m, err := f.WriteAt(part, at+int64(rest))
		if err != nil {
			return err
		}
		rest += m
	}
	return nil
}

// parseHeader decodes a header if b begins with one.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < recordHeader || string(b[:4]) != recordMagic {
		return h, false
	}
	le := binary.LittleEndian
	if le.Uint32(b[recordHeaderSum:]) != sum(b[:recordHeaderSum]) {
		return h, false
	}
	return header{
		length: le.Uint32(b[4:]),
		number: le.Uint64(b[8:]),
		count:  exporter.Count{Traces: int64(le.Uint32(b[16:])), Spans: int64(le.Uint32(b[20:]))},
		before: exporter.Count{Traces: int64(le.Uint64(b[24:])), Spans: int64(le.Uint64(b[32:]))},
		sum:    le.Uint32(b[40:]),
	}, true
}

// segmentStart returns the header of a segment.
func segmentStart() []byte {
	b := append([]byte(nil), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	return binary.LittleEndian.AppendUint32(b, sum(b))
}

// errNewer is for a directory that we must not touch.
var errNewer = errors.New("it was written by a newer version of dwell; use that version, or another directory")

// checkVersion returns errNewer if b, the beginning of a file, is whole and of a
// version that this one does not know. A header that is damaged says nothing.
func checkVersion(b []byte, magic string, sumAt int) error {
	if len(b) < sumAt+4 || string(b[:len(magic)]) != magic {
		return nil
	}
	if binary.LittleEndian.Uint32(b[sumAt:]) == sum(b[:sumAt]) && binary.LittleEndian.Uint32(b[len(magic):]) > version {
		return errNewer
	}
	return nil
}
