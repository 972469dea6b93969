// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
)

const (
	bridgeNetwork = "dwell-verify"
	outsideName   = "outside"
	outsideAddr   = "198.51.100.2" // TEST-NET-2, RFC 5737
	hostAddr      = "198.51.100.1"
)

// scene is what dwell is to see: two containers on a bridge network,
//
//	red ── bridge ── blue
//	         │
//	       engine's NAT ── uplink ── outside
//
// and behind the engine's NAT a namespace without a container.
type scene struct {
	engine     *engine
	dir, dwell string
	out        io.Writer

	addresses, ids map[string]string // by container
}

// play sets the scene and checks what dwell makes of it.
func (s *scene) play(ctx context.Context) error {
	if err := s.set(ctx); err != nil {
		return fmt.Errorf("setting the scene: %w", err)
	}
	for _, check := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"docker compose config, each profile", s.checkProfiles},
		{"containers", s.checkContainers},
		{"capabilities", s.checkCapabilities},
		{"demo", s.checkDemo},
	} {
		start := time.Now()
		if err := check.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", check.what, err)
		}
		fmt.Fprintf(s.out, "ok  %s (%v)\n", check.what, time.Since(start).Round(time.Second))
	}
	return nil
}

func (s *scene) set(ctx context.Context) error {
	if err := s.images(ctx); err != nil {
		return err
	}
	if _, err := docker(ctx, "network", "create", "--driver", "bridge", bridgeNetwork); err != nil {
		return err
	}
	s.addresses, s.ids = map[string]string{}, map[string]string{}
	for _, name := range []string{"red", "blue"} {
		// NET_RAW to ping; answering is the kernel's.
		id, err := docker(ctx, "run", "--detach", "--name", name, "--network", bridgeNetwork,
			"--cap-drop", "ALL", "--cap-add", "NET_RAW", "dwell-verify-peer")
		if err != nil {
			return err
		}
		s.ids[name] = id
		s.addresses[name], err = docker(ctx, "inspect", "--format",
			"{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
		if err != nil {
			return err
		}
	}
	return outside()
}

// images builds dwell's image as the documentation says, and one of this program.
func (s *scene) images(ctx context.Context) error {
	_, err := docker(ctx, "build", "--quiet", "--file", filepath.Join(s.root(), "examples/docker/Dockerfile.binary"),
		"--tag", "dwelltrace/dwell:dev", s.root())
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "peer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	const dockerfile = "FROM scratch\nCOPY peer /peer\nENTRYPOINT [\"/peer\", \"" + asPeer + "\"]\n"
	err = errors.Join(copyFile(filepath.Join(dir, "peer"), "/proc/self/exe"),
		os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	if err != nil {
		return err
	}
	_, err = docker(ctx, "build", "--quiet", "--tag", "dwell-verify-peer", dir)
	return err
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// outside makes the namespace behind the engine's NAT.
func outside() error {
	ns, err := netns.Create(outsideName)
	if err != nil {
		return err
	}
	defer ns.Close()
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: "uplink"})
	pair.PeerName, pair.PeerNamespace = "eth0", netlink.NsFd(ns.FD())
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	if err := bringUp("uplink", hostAddr); err != nil {
		return err
	}
	return ns.Do(func() error { return bringUp("eth0", outsideAddr) })
}

// bringUp gives a device of this thread's namespace an address.
func bringUp(name, addr string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr + "/24")
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
}

// ping pings from a container, and fails if not all are answered.
func (s *scene) ping(ctx context.Context, from, target string, count int) error {
	_, err := docker(ctx, "exec", from, "/peer", asPeer, "ping", target, fmt.Sprint(count))
	return err
}

// logs returns what a container has said.
func logs(ctx context.Context, container string) string {
	text, err := output(ctx, "sh", "-c", "docker logs "+container+" 2>&1")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text)
}
