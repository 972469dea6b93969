// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/check/machine"
)

// hung stands in for the emulator: it writes to the console and the results, then hangs.
const hung = `#!/bin/sh
for arg; do case $arg in file:*) echo "BUG: soft lockup" > "${arg#file:}";; esac; done
echo '{"Action":"start","Package":"p"}'
exec sleep 3600
`

// writer calls a function when it is written to.
type writer func()

func (w writer) Write(b []byte) (int, error) { w(); return len(b), nil }

func TestHungMachineIsStopped(t *testing.T) {
	dir := t.TempDir()
	qemu := filepath.Join(dir, "qemu")
	for name, text := range map[string]string{qemu: hung, filepath.Join(dir, "init"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m, j := vm{version: "6.1", kernel: machine.Kernel{Modules: dir}}, job{Tests: []command{{Package: "p"}}}
	out := &results{out: writer(cancel)}
	err := m.boot(ctx, qemu, dir, j, out)
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) || !strings.Contains(err.Error(), "soft lockup") {
		t.Errorf("got %v, want the console", err)
	}
	if err := out.judge(j); err == nil {
		t.Error("what did not end is a success")
	}
}
