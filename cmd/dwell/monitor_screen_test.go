// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminalOf is a terminal on which dwell runs.
type terminalOf struct {
	t        *testing.T
	pty, tty *os.File
	before   unix.Termios

	mu     sync.Mutex
	screen *vt.Emulator
	alt    bool // the alternate screen is shown
	all    strings.Builder
	more   chan struct{}
	done   sync.WaitGroup
}

func newTerminal(t *testing.T, width, height int) *terminalOf {
	t.Helper()
	p, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	m := &terminalOf{t: t, pty: p, tty: tty, screen: vt.NewEmulator(width, height), more: make(chan struct{}, 1)}
	m.screen.SetCallbacks(vt.Callbacks{AltScreen: func(on bool) { m.alt = on }}) // called by draw
	m.before = m.modes()
	m.resize(width, height)
	m.done.Go(m.draw)
	m.done.Go(func() { _, _ = io.Copy(p, m.screen) }) // what a terminal answers
	t.Cleanup(func() {
		tty.Close()
		p.Close()
		if answers, ok := m.screen.InputPipe().(io.Closer); ok { // Emulator.Close races with Read
			answers.Close()
		}
		m.done.Wait()
	})
	return m
}

// modes returns the settings of the terminal.
func (m *terminalOf) modes() unix.Termios {
	m.t.Helper()
	modes, err := unix.IoctlGetTermios(int(m.tty.Fd()), unix.TCGETS)
	if err != nil {
		m.t.Fatal(err)
	}
	return *modes
}

func (m *terminalOf) resize(width, height int) {
	m.t.Helper()
	m.mu.Lock()
	m.screen.Resize(width, height)
	m.mu.Unlock()
	if err := pty.Setsize(m.pty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		m.t.Fatal(err)
	}
}

// draw takes in what is written, until the terminal is closed.
func (m *terminalOf) draw() {
	for b := make([]byte, 32<<10); ; {
		n, err := m.pty.Read(b)
		m.mu.Lock()
		_, _ = m.screen.Write(b[:n])
		m.all.Write(b[:n])
		m.mu.Unlock()
		select {
		case m.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (m *terminalOf) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.screen.String()
}

// await waits until the screen has all these texts.
func (m *terminalOf) await(texts ...string) {
	m.t.Helper()
	for _, text := range texts {
		m.awaitThat(text, func() bool { return strings.Contains(m.screen.String(), text) })
	}
}

// awaitThat waits until something holds.
func (m *terminalOf) awaitThat(what string, holds func() bool) {
	m.t.Helper()
	for deadline := time.After(patience); ; {
		m.mu.Lock()
		ok := holds()
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-m.more:
		case <-deadline:
			m.t.Fatalf("no %q on the screen:\n%s", what, m.text())
		}
	}
}

func (m *terminalOf) press(keys string) {
	m.t.Helper()
	if _, err := m.pty.WriteString(keys); err != nil {
		m.t.Fatal(err)
	}
}

// run starts dwell on the terminal.
func (m *terminalOf) run(args ...string) *process {
	m.t.Helper()
	p := dwell(m.t, args...)
	p.Env = append(p.Env, "TERM=xterm-256color", "LANG=C.UTF-8")
	p.Stdin, p.Stdout, p.Stderr = m.tty, m.tty, m.tty
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.Start(); err != nil {
		m.t.Fatal(err)
	}
	return p
}

// ended fails unless the process ends well and the terminal is as it was found.
func (m *terminalOf) ended(p *process) {
	m.t.Helper()
	if err := p.Wait(); err != nil {
		m.mu.Lock()
		m.t.Errorf("%v, after it wrote\n%s", err, ansi.Strip(m.all.String()))
		m.mu.Unlock()
	}
	if after := m.modes(); after != m.before {
		m.t.Errorf("the terminal's modes were %+v and are %+v", m.before, after)
	}
	m.awaitThat("end of the alternate screen", func() bool { return !m.alt })
	m.awaitThat("cursor", func() bool { return !m.screen.CursorHidden() })
}

// The view fills the terminal, follows its size, survives its agent, and leaves the
// terminal as it was.
func TestMonitorScreen(t *testing.T) {
	b := startAPI(t, everything())
	b.ping(5)
	m := newTerminal(t, 80, 24)
	p := m.run("monitor", "--backend", b.url(), "--tenant", "red")
	m.await("tenant red", "live", "5 pings", "LAST PINGS", "hypervisor", "q quit")
	b.ping(1)
	m.await("6 pings")
	m.resize(120, 60)
	m.await("SLOWEST PING OF THE LAST MINUTE", "└─ echo reply")
	m.press("\r")
	m.await("Esc back")
	m.press("\x1b")
	m.await("LAST PINGS")
	m.resize(40, 10)
	m.await("6 pings")
	m.resize(100, 30)
	m.await("LAST PINGS")

	b.shut()
	m.await("agent gone", "hypervisor", "6 pings")
	b.ping(60) // more than the agent is asked for again
	b.serve(everything())
	m.await("live", "66 pings", "10 missed: agent gone")

	m.press("\x03")
	m.ended(p)
}

// SIGTERM ends the view like a key, with the terminal as it was.
func TestMonitorTerminated(t *testing.T) {
	b := startAPI(t, everything())
	m := newTerminal(t, 80, 24)
	p := m.run("monitor", "--backend", b.url(), "--tenant", "red", "--output", "screen")
	m.await("No ping of tenant red has been seen yet")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.ended(p)
}

// Without colours there are none, and without UTF-8 only ASCII is drawn.
func TestMonitorPlain(t *testing.T) {
	b := startAPI(t, everything())
	b.ping(5)
	m := newTerminal(t, 120, 60)
	p := dwell(t, "monitor", "--backend", b.url(), "--count", "6")
	p.Env = append(p.Env, "TERM=xterm-256color", "LC_ALL=C", "NO_COLOR=1")
	p.Stdin, p.Stdout, p.Stderr = m.tty, m.tty, m.tty
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	m.await("all pings (operator)", "`- echo reply", "* live")
	for _, r := range m.text() {
		if r > '~' {
			t.Errorf("%q is not ASCII", r)
		}
	}
	b.ping(1) // the last one that was asked for
	m.ended(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	if sgr := regexp.MustCompile(`\x1b\[[0-9;]*m`).FindAllString(m.all.String(), -1); len(sgr) > 0 && strings.Trim(strings.Join(sgr, ""), "\x1b[0m") != "" {
		t.Errorf("styles: %q", sgr)
	}
}
