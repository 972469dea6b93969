// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// archive is a cpio archive in the "newc" format that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	buf   bytes.Buffer
	inode int
}

const (
	modeDirectory  = 0o040755
	modeExecutable = 0o100755
)

func (a *archive) directory(names ...string) {
	for _, n := range names {
		a.entry(n, modeDirectory, nil)
	}
}

func (a *archive) file(name string, data []byte) { a.entry(name, modeExecutable, data) }

// entry writes the 13 fields of eight hexadecimal digits, the name, the data.
func (a *archive) entry(name string, mode int, data []byte) {
	a.inode++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() { a.buf.Write(make([]byte, -a.buf.Len()&3)) }

// bytes ends the archive.
func (a *archive) bytes() []byte {
	a.entry("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
