// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// CheckPrograms finds compiled programs other than those for the kernel: go build leaves one where it is
// called, from where it is easily committed. Those that git ignores by their names may be there.
func CheckPrograms(root fs.FS) ([]string, error) {
	names, err := source.Files(root, func(name string) bool {
		ext := path.Ext(name)
		return name != "dwell" && ext != ".test" && ext != ".prof"
	})
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, name := range names {
		is, err := isProgram(root, name)
		if err != nil {
			return nil, err
		}
		if is {
			broken = append(broken, name+" is a compiled program: remove it")
		}
	}
	return broken, nil
}

// isProgram reports whether a file is in the ELF format, for another machine than BPF.
func isProgram(root fs.FS, name string) (bool, error) {
	f, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [20]byte // up to e_machine
	if _, err := io.ReadFull(f, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		return false, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	return string(head[:4]) == elf.ELFMAG && elf.Machine(order.Uint16(head[18:])) != elf.EM_BPF, nil
}
