// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Hosts with one key compute the same trace ID for a packet; with another key, or with none,
// another ID.
func TestHostsNeedTheSameKey(t *testing.T) {
	write := func(name, digits string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(digits), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	identify := func(file string) string {
		f := traceFlags{keyFile: file, output: "none", ringMiB: 1, timeout: 1}
		f.sampling.ratio = 1
		opts, err := f.options()
		if err != nil {
			t.Fatal(err)
		}
		if opts.Key == (correlate.Key{}) {
			opts.Key = correlate.DefaultKey
		}
		id := correlate.Identify(opts.Key, 7, [event.PayloadPrefix]byte{1, 2, 3, 4, 5, 60, 7, 80})
		return id.String()
	}
	one, same := identify(write("a", "000102030405060708090a0b0c0d0e0f\n")), identify(write("b", "000102030405060708090A0B0C0D0E0F"))
	other, none := identify(write("c", "000102030405060708090a0b0c0d0e10\n")), identify("")
	if one != same || one == other || one == none || other == none {
		t.Errorf("IDs %s, %s with one key, %s with another, %s without", one, same, other, none)
	}
}
