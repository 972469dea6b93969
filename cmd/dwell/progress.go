// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	progressWidth = 30
	progressEvery = 100 * time.Millisecond
)

// progress draws a bar on a terminal while something takes long; elsewhere it draws
// nothing.
type progress struct {
	w       io.Writer
	what    string
	total   int
	n       int
	drawn   time.Time
	visible bool
}

func newProgress(w io.Writer, what string, total int) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, what: what, total: total, visible: ok && term.IsTerminal(int(f.Fd()))}
}

// step counts one and draws the bar, if it was not drawn just now.
func (p *progress) step() {
	p.n++
	if !p.visible || time.Since(p.drawn) < progressEvery {
		return
	}
	p.drawn = time.Now()
	filled := min(progressWidth*p.n/max(p.total, 1), progressWidth)
	fmt.Fprintf(p.w, "\r%s %s%s %d/%d", p.what, strings.Repeat("#", filled),
		strings.Repeat(".", progressWidth-filled), p.n, p.total)
}

// done wipes the bar away.
func (p *progress) done() {
	if p.visible {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
