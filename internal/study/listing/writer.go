// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"io"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Format is how a [Writer] writes an event. It appends one line, with its newline.
type Format func(b []byte, ev *event.Event, names correlate.Resolver) []byte

// Text returns the format of the paper's listing; see [Line].
func Text(hooks *event.Hooks) Format {
	return func(b []byte, ev *event.Event, names correlate.Resolver) []byte {
		return LineOf(ev, hooks.Info(ev.Hook), names).Append(b)
	}
}

// LineOf describes an event as a listing does. hook is the row of its hook.
func LineOf(ev *event.Event, hook event.HookInfo, names correlate.Resolver) Line {
	l := Line{
		NetNS: ev.NetNS, Name: names.NetNS(ev.NetNS).Name, Type: Request,
		Src: ev.Src.Addr(), Dst: ev.Dst.Addr(), Hook: hook, Time: ev.Time,
	}
	if ev.IfIndex != 0 {
		l.Interface = names.Device(ev.NetNS, ev.IfIndex).Name
	}
	if ev.Type == event.EchoReply || ev.Type == event.ReplyError {
		l.Type = Reply
	}
	if ev.Encapsulated() {
		l.Type = Tunnel
	}
	for _, t := range ev.Tunnels[:min(int(ev.Depth), event.MaxTunnels)] {
		if t.Src != (event.Address{}) { // else it has none
			l.Src, l.Dst = t.Src.Addr(), t.Dst.Addr()
			break
		}
	}
	l.Reason = reasonOf(ev, hook, names)
	return l
}

// reasonOf names the event's code, or returns "" if it has none that has a name.
func reasonOf(ev *event.Event, hook event.HookInfo, names correlate.Resolver) string {
	switch hook.Code {
	case event.CodeDropReason:
		return names.DropReason(ev.Code)
	case event.CodeNetfilterHook:
		return event.NetfilterHook(ev.Code).String()
	}
	return ""
}

// codeOf returns the code of an event that is named so, given those of drop reasons.
func codeOf(l Line, dropReason func(string) uint32) uint32 {
	if l.Hook.Code != event.CodeNetfilterHook {
		return dropReason(l.Reason)
	}
	for _, h := range event.NetfilterHooks() {
		if h.String() == l.Reason {
			return uint32(h)
		}
	}
	return 0
}

// Writer writes events as lines, each in one call of Write. It is not safe for
// concurrent use.
type Writer struct {
	w      io.Writer
	names  correlate.Resolver
	format Format
	buf    []byte
}

// NewWriter returns a Writer that takes the names of namespaces and devices from
// names. It writes no [Header].
func NewWriter(w io.Writer, names correlate.Resolver, format Format) *Writer {
	return &Writer{w: w, names: names, format: format}
}

// Write writes one event.
func (w *Writer) Write(ev *event.Event) error {
	w.buf = w.format(w.buf[:0], ev, w.names)
	_, err := w.w.Write(w.buf)
	return err
}
