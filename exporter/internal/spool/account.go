// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/dwelltrace/dwell/exporter"
)

const (
	accountMagic = "dwellacc"
	accountPage  = 4096
	accountCopy  = accountPage / 2
	// accountBody is where the body begins, after magic, version, length and checksum.
	accountBody = 20
	// maxCauses bounds the account to its copy; the names are short.
	maxCauses = 40
	maxCause  = 24
)

// causeOther is where the losses go of more causes than there is room for.
const causeOther exporter.Cause = "other"

// account counts where every trace went since the directory was created.
type account struct {
	writes uint64
	// next is the number of the next record, first that of the oldest that was not
	// taken out.
	next, first uint64
	// inflight is the number of the sending whose batch is in the file, or 0.
	inflight uint64
	// accepted is all that was taken over. What is neither sent nor lost is waiting.
	accepted, sent exporter.Count
	// written and taken count what went into records and out of them.
	written, taken exporter.Count
	lost           map[exporter.Cause]exporter.Count
}

// lose counts a loss.
func (a *account) lose(cause exporter.Cause, c exporter.Count) {
	if c == (exporter.Count{}) {
		return
	}
	cause = cause[:min(len(cause), maxCause)]
	if _, known := a.lost[cause]; !known && len(a.lost) >= maxCauses-1 {
		cause = causeOther
	}
	a.lost[cause] = a.lost[cause].Plus(c)
}

// settle counts a batch, of which some may be lost.
func (a *account) settle(batch exporter.Count, lost map[exporter.Cause]exporter.Count) {
	a.sent = a.sent.Plus(batch)
	for cause, c := range lost {
		a.sent = a.sent.Minus(c)
		a.lose(cause, c)
	}
}

// waiting returns what is neither sent nor lost.
func (a *account) waiting() exporter.Count {
	c := a.accepted.Minus(a.sent)
	for _, lost := range a.lost {
		c = c.Minus(lost)
	}
	return c
}

// append appends one copy.
func (a *account) append(b []byte) []byte {
	le, start := binary.LittleEndian, len(b)
	b = append(b, accountMagic...)
	b = le.AppendUint32(b, version)
	b = append(b, make([]byte, 8)...)
	for _, n := range []uint64{a.writes, a.next, a.first, a.inflight} {
		b = le.AppendUint64(b, n)
	}
	for _, c := range []exporter.Count{a.accepted, a.sent, a.written, a.taken} {
		b = appendCount(b, c)
	}
	b = le.AppendUint32(b, uint32(len(a.lost)))
	for cause, c := range a.lost {
		b = append(b, byte(len(cause)))
		b = append(b, cause...)
		b = appendCount(b, c)
	}
	body := b[start+accountBody:]
	le.PutUint32(b[start+12:], uint32(len(body)))
	le.PutUint32(b[start+16:], accountSum(b[start:], body))
	return b
}

// accountSum is that of version, length and body.
func accountSum(head, body []byte) uint32 {
	return crc32.Update(sum(head[8:16]), crc32.MakeTable(crc32.Castagnoli), body)
}

func appendCount(b []byte, c exporter.Count) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Traces))
	return binary.LittleEndian.AppendUint64(b, uint64(c.Spans))
}

// parseAccount decodes one copy. Damage is an error, as is a newer version.
func parseAccount(b []byte) (*account, error) {
	le := binary.LittleEndian
	if len(b) < accountBody || string(b[:8]) != accountMagic {
		return nil, errDamaged
	}
	length := int64(le.Uint32(b[12:]))
	if length > int64(len(b)-accountBody) || le.Uint32(b[16:]) != accountSum(b, b[accountBody:accountBody+length]) {
		return nil, errDamaged
	}
	if le.Uint32(b[8:]) != version {
		return nil, errNewer
	}
	r := reader{b: b[accountBody : accountBody+length]}
	a := &account{writes: r.uint64(), next: r.uint64(), first: r.uint64(), inflight: r.uint64()}
	a.accepted, a.sent, a.written, a.taken = r.count(), r.count(), r.count(), r.count()
	n := r.uint32()
	a.lost = make(map[exporter.Cause]exporter.Count)
	for range min(n, maxCauses) {
		cause := exporter.Cause(r.bytes(int(r.byte())))
		a.lost[cause] = r.count()
	}
	if r.short {
		return nil, errDamaged
	}
	return a, nil
}

var errDamaged = errors.New("it is damaged")

// reader decodes numbers until there are no more bytes.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.short = true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte     { return r.bytes(1)[0] }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }
func (r *reader) count() exporter.Count {
	return exporter.Count{Traces: int64(r.uint64()), Spans: int64(r.uint64())}
}

// accountFile holds the account on disk.
type accountFile struct {
	file *os.File
	page [accountPage]byte
	buf  []byte
}

// load returns the later of the two copies, nil if there is none.
func (f *accountFile) load() (*account, error) {
	n, err := f.file.ReadAt(f.page[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if foreign(f.page[:n]) {
		return nil, errForeign
	}
	var newest *account
	for at := 0; at < n; at += accountCopy {
		a, err := parseAccount(f.page[at:min(at+accountCopy, n)])
		if errors.Is(err, errNewer) {
			return nil, err
		}
		if err == nil && (newest == nil || a.writes > newest.writes) {
			newest = a
		}
	}
	return newest, nil
}

// errForeign is for a directory with files that are not ours.
var errForeign = errors.New("the file named account in it does not belong to a spool; give the spool a directory of its own")

// foreign reports whether a file has something in it and none of it is ours. A loss of
// power may leave zeros.
func foreign(page []byte) bool {
	second := page[min(accountCopy, len(page)):]
	return len(bytes.Trim(page, "\x00")) > 0 &&
		!bytes.HasPrefix(page, []byte(accountMagic)) && !bytes.HasPrefix(second, []byte(accountMagic))
}

// encode makes the page that write writes.
func (f *accountFile) encode(a *account) error {
	a.writes++
	f.buf = a.append(f.buf[:0])
	if len(f.buf) > accountCopy {
		return fmt.Errorf("an account of %d causes is too long: %v", len(a.lost), slices.Sorted(maps.Keys(a.lost)))
	}
	copy(f.page[:], f.buf)
	copy(f.page[accountCopy:], f.buf)
	return nil
}

// write writes both copies with one write within one page: a kill finds it done or not
// begun.
func (f *accountFile) write() error {
	_, err := f.file.WriteAt(f.page[:], 0)
	return err
}
