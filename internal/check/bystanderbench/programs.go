// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/check/progtime"
)

// nameLength is how much of a program's name the kernel keeps. The library may know all of it.
const nameLength = 15

// hooks are the tracepoints that packets pass, in their order.
func hooks() []event.HookInfo { return event.All().Of(event.Tracepoint) }

// programs are by the name of the tracepoint that each is for.
type programs map[string]*ebpf.Program

func (all programs) ran() (map[string]progtime.Ran, error) {
	done := map[string]progtime.Ran{}
	for name, p := range all {
		s, err := p.Stats()
		if err != nil {
			return nil, err
		}
		done[name] = progtime.Ran{Runs: s.RunCount, Took: s.Runtime}
	}
	return done, nil
}

// empties are programs that do nothing.
type empties struct {
	programs programs
	links    []link.Link
}

func attachEmpties() (e *empties, err error) {
	e = &empties{programs: programs{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, hook := range hooks() {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "empty", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: hook.Name, License: "Apache-2.0",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err != nil {
			return e, fmt.Errorf("empty program for %s: %w", hook, err)
		}
		e.programs[hook.Name] = p
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return e, fmt.Errorf("empty program for %s: %w", hook, err)
		}
		e.links = append(e.links, l)
	}
	return e, nil
}

// Close takes the programs out of the kernel.
func (e *empties) Close() error {
	var errs []error
	for _, l := range e.links {
		errs = append(errs, l.Close())
	}
	for _, p := range e.programs {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// held finds the programs that this process has loaded: the tracer's.
func held() (programs, error) {
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		return nil, err
	}
	found := programs{}
	for _, file := range files {
		id, ok := programID(file)
		if !ok {
			continue
		}
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return found, err
		}
		name, err := hookOf(p)
		if err != nil || name == "" || found[name] != nil {
			err = errors.Join(err, p.Close())
		} else {
			found[name] = p
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// programID returns what is said of an open file, if that is a program.
func programID(fdinfo string) (id ebpf.ProgramID, ok bool) {
	f, err := os.Open(fdinfo)
	if err != nil {
		return 0, false // closed meanwhile
	}
	defer f.Close()
	is := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "prog_type:") {
			is = true
		}
		if _, err := fmt.Sscanf(lines.Text(), "prog_id: %d", &id); err == nil {
			ok = true
		}
	}
	return id, is && ok
}

// hookOf returns the tracepoint that a program of dwell is for, or nothing.
func hookOf(p *ebpf.Program) (string, error) {
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	for _, hook := range hooks() {
		short := hook.Name[:min(len(hook.Name), nameLength)]
		if info.Type == ebpf.Tracing && (info.Name == hook.Name || info.Name == short) {
			return hook.Name, nil
		}
	}
	return "", nil
}
