// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"fmt"
)

// Archive is a cpio archive in the "newc" format that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type Archive struct {
	buf   bytes.Buffer
	inode int
}

const (
	modeDirectory  = 0o040755
	modeExecutable = 0o100755
)

// Directory adds directories, by their paths without the first slash.
func (a *Archive) Directory(names ...string) {
	for _, n := range names {
		a.entry(n, modeDirectory, nil)
	}
}

// File adds a file that may be executed.
func (a *Archive) File(name string, data []byte) { a.entry(name, modeExecutable, data) }

// entry writes the 13 fields of eight hexadecimal digits, the name, the data.
func (a *Archive) entry(name string, mode int, data []byte) {
	a.inode++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *Archive) pad() { a.buf.Write(make([]byte, -a.buf.Len()&3)) }

// Bytes ends the archive.
func (a *Archive) Bytes() []byte {
	a.entry("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
