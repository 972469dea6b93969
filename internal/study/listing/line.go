// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Type says what packet a line is about.
type Type uint8

// The types of line. An echo inside a tunnel packet is of type Tunnel, with the
// tunnel's addresses, whatever is inside.
const (
	Request Type = 1 + iota
	Reply
	Tunnel
)

var typeNames = [...]string{Request: "request", Reply: "reply", Tunnel: "tunnel"}

// String returns the name that stands in a line.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "unknown"
}

// Line is one tracepoint hit, with everything that a listing says about it.
type Line struct {
	// NetNS is the inode number of the network namespace.
	NetNS uint32
	// Name is the namespace's name, or "" as in the paper's listings.
	Name string
	// Interface is the device's name, or "" if the packet was seen away from any.
	Interface string
	Type      Type
	// Src and Dst are the echo's addresses, or those of the outermost tunnel that has any.
	Src, Dst netip.Addr
	// Hook is the row of the tracepoint or program, by whose name it is written.
	Hook event.HookInfo
	// Time is in nanoseconds of the kernel's monotonic clock.
	Time uint64
	// Reason is the kernel's name of the drop reason, the name of the netfilter hook at
	// the two functions that have one, or "".
	Reason string
}

// noInterface stands in a line where there is no device.
const noInterface = "-"

// arrow stands between the addresses.
const arrow = "->"

// Parse reads one line as [Line.Append] or the paper's script wrote it: columns
// separated by blanks or tabs, the inode number in brackets with or without blanks. The
// hook must be in the table.
func Parse(s string, hooks *event.Hooks) (Line, error) {
	var l Line
	inode, rest, closed := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "["), "]")
	if !closed {
		return l, fmt.Errorf("no ] after the namespace")
	}
	n, err := strconv.ParseUint(strings.TrimSpace(inode), 10, 32)
	if err != nil {
		return l, fmt.Errorf("namespace %q is not an inode number", strings.TrimSpace(inode))
	}
	l.NetNS = uint32(n)
	return l, l.parse(strings.Fields(rest), hooks)
}

// parse reads the columns after the inode number:
//
//	[name] interface type source -> destination function timestamp [reason]
func (l *Line) parse(f []string, hooks *event.Hooks) (err error) {
	if len(f) > 4 && f[4] == arrow {
		if l.Name, err = unquote(f[0]); err != nil {
			return err
		}
		f = f[1:]
	}
	if len(f) < 7 || len(f) > 8 || f[3] != arrow {
		return fmt.Errorf("want: [netns] interface type source -> destination function timestamp")
	}
	if f[0] != noInterface {
		if l.Interface, err = unquote(f[0]); err != nil {
			return err
		}
	}
	if l.Type, err = parseType(f[1]); err != nil {
		return err
	}
	if l.Src, err = netip.ParseAddr(f[2]); err != nil {
		return fmt.Errorf("source %q is not an address", f[2])
	}
	if l.Dst, err = netip.ParseAddr(f[4]); err != nil {
		return fmt.Errorf("destination %q is not an address", f[4])
	}
	if l.Hook, err = parseHook(f[5], hooks); err != nil {
		return err
	}
	if l.Time, err = strconv.ParseUint(f[6], 10, 64); err != nil {
		return fmt.Errorf("timestamp %q is not a number of nanoseconds", f[6])
	}
	if len(f) == 8 {
		l.Reason, err = unquote(f[7])
	}
	return err
}

func parseType(s string) (Type, error) {
	for t := Request; int(t) < len(typeNames); t++ {
		if typeNames[t] == s {
			return t, nil
		}
	}
	return 0, fmt.Errorf("type %q: want request, reply or tunnel", s)
}

func parseHook(s string, hooks *event.Hooks) (event.HookInfo, error) {
	if hook, known := hooks.ByName(s); known {
		return hook, nil
	}
	return event.HookInfo{}, fmt.Errorf("function %q is not one of the tracepoints that dwell knows", s)
}

// Append appends the line, with its newline, to b.
func (l Line) Append(b []byte) []byte {
	b = append(b, '[')
	b = padLeft(b, strconv.AppendUint(nil, uint64(l.NetNS), 10), 11)
	b = append(b, "] "...)
	at := len(b)
	if l.Name != "" {
		b = append(appendQuoted(b, l.Name), ' ')
		b = pad(b, at, 26)
	}
	at = len(b)
	if l.Interface == "" {
		b = append(b, noInterface...)
	} else {
		b = appendQuoted(b, l.Interface)
	}
	b = pad(append(b, ' '), at, 16)
	at = len(b)
	b = pad(append(append(b, l.Type.String()...), ' '), at, 8)
	at = len(b)
	b = append(l.Src.AppendTo(b), " -> "...)
	b = pad(append(l.Dst.AppendTo(b), ' '), at, 32)
	at = len(b)
	b = pad(append(append(b, l.Hook.String()...), ' '), at, 24)
	b = strconv.AppendUint(b, l.Time, 10)
	if l.Reason != "" {
		b = appendQuoted(append(b, ' '), l.Reason)
	}
	return append(b, '\n')
}

// String returns the line without its newline.
func (l Line) String() string { return strings.TrimSuffix(string(l.Append(nil)), "\n") }

// pad fills what was appended since index at with blanks up to width.
func pad(b []byte, at, width int) []byte {
	for len(b) < at+width {
		b = append(b, ' ')
	}
	return b
}

func padLeft(b, text []byte, width int) []byte {
	for n := len(text); n < width; n++ {
		b = append(b, ' ')
	}
	return append(b, text...)
}
