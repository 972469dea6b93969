// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dwelltrace/dwell/correlate/event"
)

// PaperHost is the inode number of the host's own network namespace in the paper's
// listings, and on every Linux of its time: the first that the kernel gave away.
const PaperHost uint32 = 4026531957

// Header is the line above a listing.
const Header = "NETWORK NS    NAME                      INTERFACE       TYPE    ADDRESSES                       FUNCTION NAME           TIMESTAMP\n"

// maxLine bounds the length in bytes of a line that is read.
const maxLine = 64 << 10

// Options say how a listing is to be understood.
type Options struct {
	// Hypervisors are the inode numbers of the namespaces that are hypervisors.
	// Default: PaperHost.
	Hypervisors []uint32
	// Hooks are those that may stand in a line. Default: event.All().
	Hooks *event.Hooks
}

// Listing is what was read. It is the [correlate.Resolver] of its own events.
type Listing struct {
	// Events are in the order of their lines.
	Events []event.Event
	// Pings is how many pings the events were found to be of.
	Pings int
	names
}

// ErrNoEvents is returned for a text in which no line is a tracepoint hit.
var ErrNoEvents = errors.New("no line looks like [netns] interface type source -> destination function timestamp")

// Read reads a whole listing. The errors name the file, which is called name, and the
// line.
func Read(name string, r io.Reader, opts Options) (*Listing, error) {
	if opts.Hooks == nil {
		opts.Hooks = event.All()
	}
	lines, err := readLines(name, r, opts.Hooks)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNoEvents)
	}
	l := &Listing{names: newNames(lines, opts)}
	if l.Events, l.Pings, err = l.events(lines); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

func readLines(name string, r io.Reader, hooks *event.Hooks) ([]Line, error) {
	var lines []Line
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine)
	n := 1
	for ; scanner.Scan(); n++ {
		text := strings.TrimSpace(scanner.Text())
		if ignored(text) {
			continue
		}
		if !strings.HasPrefix(text, "[") {
			return nil, fmt.Errorf("%s:%d: not a line of a listing, which begins with a namespace in brackets", name, n)
		}
		l, err := Parse(text, hooks)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		lines = append(lines, l)
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: longer than %d bytes: not a listing", name, n, maxLine)
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return lines, nil
}

// ignored reports whether a line is not about a packet: it is empty, a header, or a
// figure that the authors' script printed as a Python tuple.
func ignored(text string) bool {
	if text == "" || strings.HasPrefix(text, "('") && strings.HasSuffix(text, ")") {
		return true
	}
	f := strings.Fields(text)
	return len(f) > 1 && f[0] == "NETWORK" && f[1] == "NS"
}
