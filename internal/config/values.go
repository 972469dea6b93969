// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Duration is a time with its unit: 200ms, 2s, 1m30s.
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		if _, isNumber := strconv.ParseFloat(string(text), 64); isNumber == nil {
			return fmt.Errorf("%q has no unit; use %[1]ss or %[1]sms", text)
		}
		return fmt.Errorf("%q is not a valid duration; use for example 200ms, 2s or 1m30s", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements [encoding.TextMarshaler]: 1m0s becomes 1m.
func (d Duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
		if hours, ok := strings.CutSuffix(s, "h0m"); ok {
			s = hours + "h"
		}
	}
	return []byte(s), nil
}

// Size is a number of bytes: 65536, 64MiB (powers of 1024), 64MB (powers of 1000).
type Size int64

// units in the order in which Size.MarshalText tries them.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/factor:
		return fmt.Errorf("%q is too large", text)
	case err != nil || n < 0:
		return fmt.Errorf("%q is not a valid size; use bytes or for example 512KiB, 64MiB or 1GiB", text)
	}
	*s = Size(n * factor)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range units[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return []byte(strconv.FormatInt(int64(s)/u.bytes, 10) + u.name), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10)), nil
}

// Prefix is a range of addresses, or an address as the range that holds only it.
type Prefix struct{ netip.Prefix }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Prefix) UnmarshalText(text []byte) error {
	if a, err := netip.ParseAddr(string(text)); err == nil && a.Zone() == "" {
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a prefix like 192.0.2.0/24", text)
	}
	p.Prefix = v.Masked()
	return nil
}

// Ref means network namespaces: a name in /run/netns, a container's name, a glob on
// names, a path, a PID or "host".
type Ref string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Ref) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the name is empty; use a namespace's name, a glob like tenant-*, a path or host")
	}
	if _, err := path.Match(string(text), ""); err != nil {
		return fmt.Errorf("%q is not a valid glob: a [ is not closed, or it ends with a backslash", text)
	}
	*r = Ref(text)
	return nil
}

// Interface is the name or alternative name of a network device, or a pattern of them.
type Interface string

// maxInterface is the kernel's ALTIFNAMSIZ without the terminating zero.
const maxInterface = 127

// UnmarshalText implements [encoding.TextUnmarshaler]; the kernel's rule is
// dev_valid_name.
func (i *Interface) UnmarshalText(text []byte) error {
	name := string(text)
	bad := func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) }
	if name == "" || name == "." || name == ".." || len(name) > maxInterface || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q is not a valid interface name: use at most %d characters, without spaces, slashes or colons", text, maxInterface)
	}
	if _, err := path.Match(name, ""); err != nil {
		return fmt.Errorf("%q is not a valid glob: a [ is not closed, or it ends with a backslash", text)
	}
	*i = Interface(name)
	return nil
}

// Pattern is a name or a pattern of names.
type Pattern string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Pattern) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the name is empty; use a name or a glob like red-*")
	}
	if _, err := path.Match(string(text), ""); err != nil {
		return fmt.Errorf("%q is not a valid glob: a [ is not closed, or it ends with a backslash", text)
	}
	*p = Pattern(text)
	return nil
}

// UserID is the number of a user or of a group.
type UserID uint32

// unmappedID is what the kernel shows for users and groups without a number in the agent's user
// namespace (/proc/sys/kernel/overflowuid).
const unmappedID UserID = 65534

// UnmarshalText implements [encoding.TextUnmarshaler]. The largest number means "no user"
// to the kernel.
func (u *UserID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || n == math.MaxUint32 {
		return fmt.Errorf("%q is not a valid user or group ID; use the number that id(1) prints", text)
	}
	if UserID(n) == unmappedID {
		return fmt.Errorf("%d stands for everyone whom the kernel cannot name; use a user or group of your own", n)
	}
	*u = UserID(n)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (u UserID) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(u), 10), nil }

// Port is a UDP port.
type Port uint16

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Port) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is not a valid port; it must be between 1 and 65535", text)
	}
	*p = Port(n)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (p Port) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(p), 10), nil }

// Level is how much is logged.
type Level slog.Level

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *Level) UnmarshalText(text []byte) error {
	for _, v := range levels {
		if strings.EqualFold(v.String(), string(text)) {
			*l = Level(v)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of debug, info, warn, error", text)
}

var levels = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

// MarshalText implements [encoding.TextMarshaler].
func (l Level) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(slog.Level(l).String())), nil
}
