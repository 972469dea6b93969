// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
)

// Upgrade makes the account of a directory one of a later version.
func Upgrade(dir string) error {
	name := filepath.Join(dir, "account")
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for _, c := range [][]byte{b[:accountCopy], b[accountCopy:]} {
		length := binary.LittleEndian.Uint32(c[12:])
		binary.LittleEndian.PutUint32(c[8:], version+1)
		binary.LittleEndian.PutUint32(c[16:], accountSum(c, c[accountBody:accountBody+length]))
	}
	return os.WriteFile(name, b, fileMode)
}

// Stall makes the disk stall when the account of s is written next, until release is
// called. s must not be in use yet.
func Stall(s *Spool) (release func()) {
	gate := make(chan struct{})
	write := s.writer.write
	s.writer.write = func() uint64 {
		<-gate
		return write()
	}
	return func() { close(gate) }
}
