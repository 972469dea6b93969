// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// magic and the version of the format make up the first line.
const magic = "dwell recording "

// What a chunk holds.
const (
	headerChunk  = 'H'
	recordsChunk = 'R'
	endChunk     = 'E'
)

const (
	// frame is the size of what precedes the contents: length and checksum.
	frame = 8
	// chunkSize is at how many bytes a chunk is written.
	chunkSize = 64 << 10
	// maxChunk bounds what a reader believes.
	maxChunk = 1 << 20
	// maxVersion is the length of the longest version that a reader believes.
	maxVersion = 8
)

func firstLine() []byte { return []byte(magic + strconv.Itoa(Format) + "\n") }

// beginChunk returns an empty chunk of a kind in the memory of b.
func beginChunk(b []byte, kind byte) []byte {
	return append(append(b[:0], make([]byte, frame)...), kind)
}

// sealChunk fills in the frame.
func sealChunk(b []byte) {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frame))
	binary.LittleEndian.PutUint32(b[4:], checksum(b[frame:]))
}

func checksum(contents []byte) uint32 {
	return crc32.Checksum(contents, crc32.MakeTable(crc32.Castagnoli)) // the table is made once
}

// Is reports whether a file that begins with prefix is a recording. It needs 16 bytes.
func Is(prefix []byte) bool { return strings.HasPrefix(string(prefix), magic) }

var (
	// ErrCutOff is returned for a recording without an end: the program that wrote it
	// was killed, or the disk was full. What comes before was replayed.
	ErrCutOff = errors.New("the recording is truncated")
	// ErrDamaged is returned for a recording that was changed after it was written.
	// What comes before the damage was replayed.
	ErrDamaged = errors.New("the recording is damaged")
	// ErrNotRecording is returned for something else.
	ErrNotRecording = errors.New("not a recording of dwell trace --record")
)

// chunks reads the chunks of a recording.
type chunks struct {
	r   *bufio.Reader
	buf []byte
	// offset is how many bytes of whole chunks were read.
	offset int64
	// version is that of the format.
	version int
}

// readFirstLine checks what the file is and in which version.
func (c *chunks) readFirstLine() error {
	head, err := c.r.Peek(len(magic) + maxVersion)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !Is(head) {
		return ErrNotRecording
	}
	version, _, whole := strings.Cut(string(head[len(magic):]), "\n")
	if !whole {
		return ErrCutOff
	}
	if c.version, err = strconv.Atoi(version); err != nil || c.version < 1 || c.version > Format {
		return fmt.Errorf("its format is version %q and this dwell reads versions 1 to %d: use the dwell that recorded it, or a later one",
			version, Format)
	}
	n, err := c.r.Discard(len(magic) + len(version) + 1)
	c.offset += int64(n)
	return err
}

// next returns the kind and the contents of the next chunk, good until the next call.
// At the end of the file it returns ErrCutOff: the recording's own end comes before.
func (c *chunks) next() (byte, []byte, error) {
	var head [frame]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, cutOff(err)
	}
	size, sum := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if size == 0 && sum == 0 {
		return 0, nil, ErrCutOff // a file system may leave zeros after a crash
	}
	if size == 0 || size > maxChunk {
		return 0, nil, c.damaged(fmt.Sprintf("a chunk of %d bytes", size))
	}
	if cap(c.buf) < int(size) {
		c.buf = make([]byte, size)
	}
	c.buf = c.buf[:size]
	if _, err := io.ReadFull(c.r, c.buf); err != nil {
		return 0, nil, cutOff(err)
	}
	if checksum(c.buf) != sum {
		if _, err := c.r.Peek(1); err != nil {
			return 0, nil, cutOff(err) // the last chunk, not all of which reached the disk
		}
		return 0, nil, c.damaged("a wrong checksum")
	}
	c.offset += int64(frame + size)
	return c.buf[0], c.buf[1:], nil
}

// damaged says where and how the recording is damaged.
func (c *chunks) damaged(what string) error {
	return fmt.Errorf("%w: %s after byte %d", ErrDamaged, what, c.offset)
}

// cutOff distinguishes the end of the file from a failed read.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCutOff
	}
	return err
}
