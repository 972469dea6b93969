// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// event is a line of what test2json prints (go doc test2json).
type event struct {
	Action, Package, Test, Key string
}

// ending is how the tests of a package ended.
type ending struct {
	action  string          // "pass", "fail", "skip", or "" for not yet
	tooOld  map[string]bool // tests that said that the kernel is too old for them
	skipped []string        // tests
}

// results are those of all machines.
type results struct {
	mu       sync.Mutex
	out      io.Writer
	packages map[string]*ending
}

// read takes the results of a machine, and passes them on, until it ends. It tells the
// machine when it may.
func (r *results) read(from io.Reader, to io.Writer) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if string(bytes.TrimSpace(lines.Bytes())) == endMark {
			if _, err := to.Write([]byte{'\n'}); err != nil {
				return err
			}
		}
		if err := r.line(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// line takes one result. What is not JSON was written by somebody else, such as the
// emulator's firmware.
func (r *results) line(line []byte) error {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(e)
	_, err := fmt.Fprintf(r.out, "%s\n", line)
	return err
}

func (r *results) note(e event) {
	p := r.of(e.Package)
	switch {
	case e.Action == "attr" && e.Key == privilegetest.TooOld:
		p.tooOld[e.Test] = true
	case e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
		p.action = e.Action
	case e.Action == "skip":
		p.skipped = append(p.skipped, e.Test)
	}
}

func (r *results) of(name string) *ending {
	if r.packages == nil {
		r.packages = map[string]*ending{}
	}
	if r.packages[name] == nil {
		r.packages[name] = &ending{tooOld: map[string]bool{}}
	}
	return r.packages[name]
}

// complete says whether each package of the job has ended.
func (r *results) complete(j job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range j.Tests {
		if r.of(t.Package).action == "" {
			return false
		}
	}
	return true
}

// judge returns what is wrong with the results of a job.
func (r *results) judge(j job) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, t := range j.Tests {
		p := r.of(t.Package)
		switch p.action {
		case "pass":
		case "":
			errs = append(errs, fmt.Errorf("%s: not run to its end", t.Package))
		default:
			errs = append(errs, fmt.Errorf("%s: %s", t.Package, p.action))
		}
		for _, test := range p.skipped {
			if !p.tooOld[test] {
				errs = append(errs, fmt.Errorf("%s: %s skipped for another reason than that the kernel is too old", t.Package, test))
			}
		}
	}
	return errors.Join(errs...)
}
