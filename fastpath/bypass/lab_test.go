// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf/features"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a namespace with devices: d0, d1 and so on, each of which has the other end of a veth there.
type lab struct {
	t   testing.TB
	ns  *netns.NS
	pin string
}

var labs atomic.Uint32

// newLab makes one with so many devices.
func newLab(t testing.TB, devices int) *lab {
	t.Helper()
	needKernel(t)
	l := &lab{t: t, ns: newNS(t), pin: newPin(t)}
	for i := range devices {
		l.ip("link add name d%d type veth peer name e%d", i, i)
		l.ip("link set d%d up", i)
		l.ip("link set e%d up", i)
	}
	return l
}

func newNS(t testing.TB) *netns.NS {
	t.Helper()
	ns, err := netns.Create(fmt.Sprintf("dwell-by-%d-%d", os.Getpid(), labs.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ns.Close(), netns.Delete(ns.Name())); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// newPin returns a directory of bpffs of the test's own.
func newPin(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pin")
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
	return dir
}

// tooOld is what a test needs that the kernel does not have.
type tooOld struct{ error }

func (tooOld) NeedsNewer(string) bool { return true }

// needKernel ends the test on a kernel that is too old, whose refusal is what TestSupported is about.
func needKernel(t testing.TB) {
	t.Helper()
	privilegetest.BPF(t)
	if version, err := features.LinuxVersionCode(); err == nil && version < 6<<16|6<<8 {
		privilegetest.Kernel(t, tooOld{Supported()})
	}
	if err := Supported(); err != nil {
		t.Fatal(err)
	}
}

// ip runs a command of ip in the namespace.
func (l *lab) ip(format string, args ...any) {
	l.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	l.in(func() error {
		if out, err := exec.CommandContext(l.t.Context(), "ip", words...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w\n%s", strings.Join(words, " "), err, out)
		}
		return nil
	})
}

func (l *lab) in(fn func() error) {
	l.t.Helper()
	if err := l.ns.Do(fn); err != nil {
		l.t.Fatal(err)
	}
}

// index returns that of a device.
func (l *lab) index(name string) (index int) {
	l.t.Helper()
	l.in(func() error {
		dev, err := net.InterfaceByName(name)
		if err == nil {
			index = dev.Index
		}
		return err
	})
	return index
}

// open opens the programs, which are removed when the test ends.
func (l *lab) open() *Bypass {
	l.t.Helper()
	b, err := Open(Options{Pin: l.pin, NetNS: l.ns, Flows: 4096})
	if err != nil {
		l.t.Fatalf("%+v", err)
	}
	l.t.Cleanup(func() {
		if err := errors.Join(b.Close(), Remove(l.pin, l.ns)); err != nil {
			l.t.Error(err)
		}
	})
	return b
}

// port returns a tenant's port.
func (l *lab) port(name string, slot uint16) Device {
	return Device{Index: l.index(name), Name: name, Port: true, Slot: slot}
}

func (l *lab) nic(name string) Device { return Device{Index: l.index(name), Name: name} }

// set sets the devices.
func (l *lab) set(b *Bypass, devices ...Device) {
	l.t.Helper()
	if err := b.SetDevices(devices); err != nil {
		l.t.Fatal(err)
	}
}

// eventually waits until there is nothing that keeps something from being so.
func eventually(t testing.TB, what string, but func() []string) {
	t.Helper()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	const patience = 2 * time.Minute
	deadline := time.Now().Add(patience)
	for left := but(); left != nil; left = but() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v, %s but for %q", patience, what, left)
		}
		<-ticks.C
	}
}
