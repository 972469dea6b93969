// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Mounts reports when something is mounted or unmounted in the process's mount namespace:
// the moment in which a namespace gets or loses its name, be it by ip-netns(8), by docker
// or by a Kubernetes runtime. The kernel signals it through poll(2) on
// /proc/PID/mountinfo, see proc_pid_mounts(5); inotify would report the file before
// anything is mounted on it, and nothing afterwards.
type Mounts struct {
	mountinfo int    // no os.File, whose descriptor the Go runtime would poll as well: whoever polls first takes the news
	stop      [2]int // a pipe, closed to end the waiting
	c         chan struct{}
}

// WatchMounts begins to watch. The caller must call Close.
func WatchMounts() (*Mounts, error) {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("watch for network namespaces: /proc/self/mountinfo: %w", err)
	}
	m := &Mounts{mountinfo: fd, c: make(chan struct{}, 1)}
	if err := unix.Pipe2(m.stop[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("watch for network namespaces: %w", errors.Join(err, unix.Close(fd)))
	}
	go m.run()
	return m, nil
}

// Changed receives after a change. Changes before it is received from are one. It is closed
// by Close.
func (m *Mounts) Changed() <-chan struct{} { return m.c }

// Close ends the watching.
func (m *Mounts) Close() error {
	err := unix.Close(m.stop[1])
	for range m.c { // until the goroutine has ended
	}
	return errors.Join(err, unix.Close(m.stop[0]), unix.Close(m.mountinfo))
}

// run waits for changes until the pipe is closed.
func (m *Mounts) run() {
	defer close(m.c)
	fds := []unix.PollFd{
		{Fd: int32(m.mountinfo), Events: unix.POLLPRI},
		{Fd: int32(m.stop[0]), Events: unix.POLLIN},
	}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents == 0 {
			continue
		}
		select {
		case m.c <- struct{}{}:
		default:
		}
	}
}
