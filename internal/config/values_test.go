// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

// What a text means, for each type of value.
func TestValues(t *testing.T) {
	prefix := func(s string) config.Prefix { return config.Prefix{Prefix: netip.MustParsePrefix(s)} }
	for _, tt := range []struct {
		path, text string
		want       any
	}{
		{"trace.timeout", "1m30s", config.Duration(90 * time.Second)},
		{"trace.timeout", "1.5us", config.Duration(1500)},
		{"trace.timeout", "'1h'", config.Duration(time.Hour)},
		{"export.spool.max_bytes", "1048577", config.Size(1<<20 + 1)},
		{"export.spool.max_bytes", "1048577B", config.Size(1<<20 + 1)},
		{"export.spool.max_bytes", "2048KiB", config.Size(2 << 20)},
		{"export.spool.max_bytes", "3 GiB", config.Size(3 << 30)},
		{"export.spool.max_bytes", "2TiB", config.Size(2 << 40)},
		{"export.spool.max_bytes", "5000kB", config.Size(5e6)},
		{"export.spool.max_bytes", "5001KB", config.Size(5.001e6)},
		{"export.spool.max_bytes", "2MB", config.Size(2e6)},
		{"export.spool.max_bytes", "2GB", config.Size(2e9)},
		{"export.spool.max_bytes", "2TB", config.Size(2e12)},
		{"export.spool.max_bytes", "9223372036854775807", config.Size(math.MaxInt64)},
		{"export.spool.max_bytes", "8388607TiB", config.Size(8388607 << 40)},
		{"export.queue.spans", "+7", 7},
		{"sampling.ratio", "1e-3", 0.001},
		{"metrics.otlp.enabled", "TRUE", true},
		{"metrics.prometheus.enabled", "'False'", false},
		{"log.level", "WARN", config.Level(slog.LevelWarn)},
		{"log.level", "Error", config.Level(slog.LevelError)},
		{"log.format", "json", config.JSON},
		{"export.otlp.tls.insecure", "AUTO", config.Auto},
		{"export.otlp.tls.insecure", "TRUE", config.On},
		{"export.otlp.tls.insecure", "False", config.Off},
		{"host.name", "2026-01-02", "2026-01-02"},
		{"host.name", "0x1F", "0x1F"},
		{"host.name", "true", "true"},
		{"host.name", "'#1'", "#1"},
		{"trace.netns", "[1e3, 'null', ~/x, .inf]", []config.Ref{"1e3", "null", "~/x", ".inf"}},
		{"trace.interfaces", "[eth0.100, exactly15letter]", []config.Interface{"eth0.100", "exactly15letter"}},
		{"trace.addresses", "[192.0.2.77/24, '::1', '::ffff:1.2.3.4']", []config.Prefix{prefix("192.0.2.0/24"), prefix("::1/128"), prefix("::ffff:1.2.3.4/128")}},
		{"trace.vxlan_ports", "[1, 65535]", []config.Port{1, 65535}},
	} {
		c := parse(t, file(tt.path, tt.text)).Config
		if got := at(t, &c, tt.path).Interface(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %s means %v, want %v", tt.path, tt.text, got, tt.want)
		}
	}
}

// What is no value of a type, and is not taken for a near one.
func TestNoValues(t *testing.T) {
	for path, texts := range map[string][]string{
		"trace.timeout":            {"5", "1.5", "soon", "1 s", "1S", "s", "''", "9999999h", "1d", "0x10s"},
		"export.spool.max_bytes":   {"1.5GiB", "-1", "GiB", "''", "1gib", "1G", "1MiB MiB", "9223372036854775808", "8388608TiB", "0x400000", "1_000_000_000"},
		"export.queue.spans":       {"1.0", "1e3", "0x10", "1_000", "''", "9999999999999999999"},
		"sampling.ratio":           {"half", "50%", "''", "1/2", "1e400"},
		"metrics.otlp.enabled":     {"yes", "on", "1", "y", "''", "truee"},
		"log.level":                {"warning", "trace", "''", "'4'", "debug+1"},
		"log.format":               {"JSON", "logfmt", "''"},
		"export.otlp.tls.insecure": {"yes", "on", "''", "automatic"},
	} {
		for _, text := range texts {
			checkMistakes(t, mistakes(t, file(path, text)), path)
		}
	}
	for path, texts := range map[string][]string{
		"trace.netns":       {"''", "'['", "'a[b'", `'\'`},
		"trace.interfaces":  {"''", "'.'", "'..'", "a/b", "'a:b'", "'a b'", "'ens['", `'ens\'`, strings.Repeat("a", 128), `"a\n"`, strings.Repeat("日", 43)},
		"trace.addresses":   {"''", "192.0.2", "192.0.2.1/33", "192.0.2.1/", "fe80::1%eth0", "'2001:db8::/129'", "host"},
		"trace.vxlan_ports": {"0", "-1", "65536", "''", "vxlan", "4789.0"},
		"metrics.buckets":   {"''", "1", "fast"},
	} {
		for _, text := range texts {
			checkMistakes(t, mistakes(t, file(path, "["+text+"]")), path+"[0]")
		}
	}
}

// Each duration and each size is written so that it is read back as itself.
func TestTextsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := config.Duration(rapid.Int64().Draw(t, "duration"))
		s := config.Size(rapid.Int64Min(0).Draw(t, "size"))
		unit := rapid.SampledFrom([]config.Size{1, 1 << 10, 1 << 20, 1 << 30, 1 << 40}).Draw(t, "unit")
		if s > math.MaxInt64/unit {
			s /= unit
		}
		s *= unit
		durationText, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		sizeText, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var d2 config.Duration
		var s2 config.Size
		if err := d2.UnmarshalText(durationText); err != nil || d2 != d {
			t.Errorf("%d ns is written %s and read %d (%v)", d, durationText, d2, err)
		}
		if err := s2.UnmarshalText(sizeText); err != nil || s2 != s {
			t.Errorf("%d bytes are written %s and read %d (%v)", s, sizeText, s2, err)
		}
	})
}

// A value that is refused leaves what was there: a reload must not half take it.
func TestRefusedTextsChangeNothing(t *testing.T) {
	duration, size, port, level, iface, ref := config.Duration(7), config.Size(7), config.Port(7), config.Level(slog.LevelWarn), config.Interface("e"), config.Ref("r")
	prefix := config.Prefix{Prefix: netip.MustParsePrefix("192.0.2.0/24")}
	was := []any{duration, size, port, level, iface, ref, prefix}
	for i, err := range []error{
		duration.UnmarshalText([]byte("x")), size.UnmarshalText([]byte("x")), port.UnmarshalText([]byte("x")), level.UnmarshalText([]byte("x")),
		iface.UnmarshalText([]byte("x:")), ref.UnmarshalText([]byte("[")), prefix.UnmarshalText([]byte("x")),
	} {
		if err == nil {
			t.Errorf("%T takes what it should not", was[i])
		}
	}
	if now := []any{duration, size, port, level, iface, ref, prefix}; !reflect.DeepEqual(was, now) {
		t.Errorf("was %v, is %v", was, now)
	}
}
