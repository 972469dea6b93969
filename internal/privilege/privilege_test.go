// SPDX-License-Identifier: Apache-2.0

package privilege_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/privilege"
)

func TestParseStatus(t *testing.T) {
	const status = "Name:\tdwell\nCapPrm:\t000001ffffffffff\nCapEff:\t%s\nCapBnd:\t000001ffffffffff\n"
	tests := map[string]struct {
		text    string
		want    privilege.Set
		wantErr string
	}{
		"none":      {text: strings.Replace(status, "%s", "0000000000000000", 1)},
		"two":       {text: strings.Replace(status, "%s", "000000c000000000", 1), want: 1<<privilege.BPF | 1<<privilege.Perfmon},
		"not hex":   {text: strings.Replace(status, "%s", "everything", 1), wantErr: "invalid syntax"},
		"no line":   {text: "Name:\tdwell\n", wantErr: "no CapEff line"},
		"long line": {text: strings.Repeat("x", 1<<17), wantErr: "token too long"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := privilege.ParseStatus(strings.NewReader(test.text))
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error %v, want %q in it", err, test.wantErr)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %x, %v, want %x", got, err, test.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	tests := map[string]struct {
		have privilege.Set
		want []privilege.Capability
	}{
		"nothing":          {want: []privilege.Capability{privilege.BPF, privilege.Perfmon, privilege.NetAdmin}},
		"BPF alone":        {have: 1 << privilege.BPF, want: []privilege.Capability{privilege.Perfmon, privilege.NetAdmin}},
		"SYS_ADMIN stands": {have: 1 << privilege.SysAdmin, want: []privilege.Capability{privilege.NetAdmin}},
		"all":              {have: ^privilege.Set(0)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.have.Missing(privilege.BPF, privilege.Perfmon, privilege.NetAdmin)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
		})
	}
}

// What the kernel says of this very process can be read at least.
func TestEffective(t *testing.T) {
	set, err := privilege.Effective()
	if err != nil {
		t.Fatal(err)
	}
	if set.Len() > 64 || set.Has(privilege.SysAdmin) && !set.Has(privilege.BPF) {
		t.Errorf("impossible set %x", set)
	}
}

// A thread that has given its capabilities away says nothing of the others, whichever of them is the
// process's first one.
func TestEffectiveOfAThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := privilege.Effective()
	if err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		t.Fatal(err)
	}
	none := had
	none[0].Effective, none[1].Effective = 0, 0
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	here, err := privilege.Effective()
	others := make(chan privilege.Set)
	go func() {
		set, _ := privilege.Effective()
		others <- set
	}()
	there := <-others
	if err := unix.Capset(&header, &had[0]); err != nil {
		t.Fatal(err)
	}
	if err != nil || here != 0 {
		t.Errorf("%v: has %x, having given all away", err, here)
	}
	if there != before {
		t.Errorf("another thread has %x, and had %x", there, before)
	}
}
