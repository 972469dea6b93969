// SPDX-License-Identifier: Apache-2.0

//go:build amd64

package guesttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/check/machine"
)

// kernels are those that .ci/install unpacks for the guest, on Debian or on Ubuntu.
func kernels() []string { return []string{"6.12", "generic"} }

// script is the guest's first process. It does what it is told, and says when it is done.
// What it says begins with mark, unlike what the kernel says.
const (
	mark   = "guest: "
	script = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for m in /modules/*; do insmod "$m"; done
ip link set lo up
ip link set eth0 up
ip addr add ` + guestAddr + `/24 dev eth0
ip route add default via ` + routerAddr + `
stty -echo
echo "` + mark + `ready"
while read -r line; do
	eval "$line"
	echo "` + mark + `status $?"
done
`
)

// guest is a running virtual machine.
type guest struct {
	console io.Writer
	lines   <-chan string // what it says; closed when it ends
	// all is everything from its console, to be shown if it does not do as it is told.
	mu  sync.Mutex
	all strings.Builder
}

// boot starts a guest whose network card is the tap. It runs until the test ends.
func boot(t *testing.T, tap *os.File) *guest {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	k, err := find(root)
	if err != nil {
		t.Fatal(err)
	}
	// One thread for all that it emulates is enough for one CPU.
	cmd := exec.CommandContext(t.Context(), "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256M",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-netdev", "tap,id=net,fd=3", "-device", "virtio-net-pci,netdev=net,romfile=,mac="+guestMAC,
		"-kernel", k.Image, "-initrd", initramfs(t, k),
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr nowatchdog ipv6.disable=1 random.trust_cpu=on")
	cmd.ExtraFiles = []*os.File{tap}
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{console: input}
	cmd.Stderr = lockedWriter{g}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run .ci/install test as root", err)
	}
	said := make(chan string, 100)
	g.lines = said
	t.Cleanup(func() { // the test's context is done by now
		for range said {
			// until it ends
		}
		_ = cmd.Wait()
	})
	go g.listen(output, said)
	return g
}

func find(root string) (machine.Kernel, error) {
	var errs []error
	for _, version := range kernels() {
		k, err := machine.Find(root, version)
		if err == nil {
			return k, nil
		}
		errs = append(errs, err)
	}
	return machine.Kernel{}, errors.Join(errs...)
}

// initramfs writes the guest's file system: busybox, the script, and the modules of its
// network card.
func initramfs(t *testing.T, k machine.Kernel) string {
	t.Helper()
	var ar machine.Archive
	ar.Directory("bin", "dev", "proc")
	ar.File("init", []byte(script))
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v: run .ci/install test as root", err)
	}
	ar.File("bin/busybox", busybox)
	if err := k.AddModules(&ar, "modules", "virtio_pci", "virtio_net"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "initramfs")
	if err := os.WriteFile(name, ar.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// listen passes on what the guest says, until it ends.
func (g *guest) listen(output io.Reader, said chan<- string) {
	defer close(said)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		_, _ = lockedWriter{g}.Write([]byte(line + "\n"))
		if _, what, ok := strings.Cut(line, mark); ok {
			said <- what
		}
	}
}

type lockedWriter struct{ g *guest }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	return w.g.all.Write(b)
}

// wait waits until the guest says something, and returns an error if that is not what is
// wanted.
func (g *guest) wait(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got string
	select {
	case got = <-g.lines: // "" if it ended
	case <-ctx.Done():
		got = ctx.Err().Error()
	}
	if got == want {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("the guest: %q, want %q; its console:\n%s", got, want, g.all.String())
}

// patience is how long a test waits for what is going to come: an emulated machine is slow,
// and slower if others run as well.
const patience = 2 * time.Minute

// run has the guest run a command.
func (g *guest) run(ctx context.Context, command string) error {
	if _, err := io.WriteString(g.console, command+"\n"); err != nil {
		return errors.Join(err, g.wait(ctx, "ready"))
	}
	return g.wait(ctx, "status 0")
}
