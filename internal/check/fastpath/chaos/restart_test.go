// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// calm is a session without changes.
type calm struct {
	*testing.T
	session
}

func newCalm(t *testing.T) *calm {
	t.Helper()
	privilegetest.BPF(t)
	c := &calm{T: t, session: session{lease: 2 * time.Second, pin: filepath.Join(t.TempDir(), "bpf")}}
	var err error
	if c.world, err = newWorld("dwelltestcalm", plan4()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(bypass.Remove(c.pin, c.world.spaces[hypervisor]), unmount(c.pin), c.world.close())
		if err != nil {
			t.Error(err)
		}
	})
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	if c.traffic, err = c.world.traffic(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.traffic.end(); err != nil {
			t.Error(err)
		}
	})
	c.until("packets are fast", func() bool { return c.agent().counts().Fast > 2000 })
	return c
}

func (c *calm) agent() *agent { return c.agents[len(c.agents)-1] }

// until waits for something.
func (c *calm) until(what string, is func() bool) {
	c.Helper()
	const often = 5 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(deadline) {
			c.Fatalf("waited in vain until %s; the agent: %+v", what, c.agent().counts())
		}
		<-ticker.C
	}
}

// kernelFast returns how many packets were fast, as the programs count, whoever attends to them.
func (c *calm) kernelFast() (sum uint64) {
	c.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(c.pin, "fastpath", "v1", "counts"), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		c.Fatal(err)
	}
	defer m.Close()
	for slot := range uint32(8) {
		var values [][]byte
		if err := m.Lookup(slot, &values); err != nil {
			c.Fatal(err)
		}
		for _, v := range values {
			for i := range 8 {
				sum += uint64(v[i]) << (8 * i)
			}
		}
	}
	return sum
}

// An agent that is stopped and started again loses no packet and no connection.
func TestRestartLosesNothing(t *testing.T) {
	c := newCalm(t)
	for range 3 {
		if err := c.agent().end(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := c.begin(); err != nil {
			t.Fatal(err)
		}
		c.until("packets are fast again", func() bool { return c.agent().counts().Fast > 1000 })
	}
	for _, e := range c.traffic.echoes {
		sent := e.sent.Load()
		c.until("all datagrams of "+e.name+" are answered", func() bool { return e.got.Load() >= sent })
		t.Logf("%s: %d answered, %d overtaken", e.name, e.got.Load(), e.overtook.Load())
	}
	for _, s := range c.traffic.streams {
		before := s.bytes.Load()
		c.until(s.name+" goes on", func() bool { return s.bytes.Load() > before })
	}
	if err := c.agent().end(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// Three seconds after an agent was killed, all packets take the kernel's path.
func TestCrashIsSlowInTime(t *testing.T) {
	c := newCalm(t)
	if err := c.agent().end(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	// A packet that has been counted since it was last asked was fast after that, and nobody knows how much: this
	// process may not have run meanwhile.
	asked := killed
	before, fast, seen := c.kernelFast(), killed, killed
	c.until("no packet is fast any more", func() bool {
		now := time.Now()
		if n := c.kernelFast(); n != before {
			before, fast, seen = n, asked, time.Now()
		}
		asked = now
		return now.Sub(seen) > time.Second
	})
	if took := fast.Sub(killed); took > unattendedAfter+100*time.Millisecond {
		t.Errorf("packets were fast for %s after the agent was killed", took)
	}
	for _, e := range c.traffic.echoes {
		sent := e.sent.Load()
		c.until("all datagrams of "+e.name+" are answered", func() bool { return e.got.Load() >= sent })
	}
}

// What is taken down leaves no program at any device, and nothing pinned.
func TestDownLeavesNothing(t *testing.T) {
	c := newCalm(t)
	if err := c.agent().end(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hv := c.world.spaces[hypervisor]
	if c.programsAt() == 0 {
		t.Fatal("an agent that was stopped took its programs along: an upgrade would begin from nothing")
	}
	if err := bypass.Remove(c.pin, hv); err != nil {
		t.Fatal(err)
	}
	if n := c.programsAt(); n != 0 {
		t.Errorf("%d programs are still at devices", n)
	}
	left, err := filepath.Glob(filepath.Join(c.pin, "fast*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// programsAt returns how many programs, filters and queues of others' than the kernel's the hypervisor's devices have.
func (c *calm) programsAt() (n int) {
	c.Helper()
	err := c.world.spaces[hypervisor].Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			for _, attach := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				r, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: attach})
				if err != nil {
					return err
				}
				n += len(r.Programs)
			}
			queues, err := netlink.QdiscList(l)
			if err != nil {
				return err
			}
			for _, q := range queues {
				if q.Type() != "noqueue" {
					n++
				}
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	return n
}
