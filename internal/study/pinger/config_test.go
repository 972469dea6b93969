// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConfigErrors(t *testing.T) {
	ok := netip.MustParseAddr("127.0.0.1")
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no target"},
		{Config{Target: netip.MustParseAddr("fe80::1%lo")}, "zone"},
		{Config{Target: ok, Count: -1}, "count -1"},
		{Config{Target: ok, Size: MaxSize + 1}, "size 65508"},
		{Config{Target: ok, Size: -2}, "size -2"},
		{Config{Target: ok, Interval: -1}, "must not be negative"},
		{Config{Target: ok, Timeout: -1}, "must not be negative"},
	} {
		if _, err := Run(t.Context(), tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q in it", tc.cfg, err, tc.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	target := netip.MustParseAddr("127.0.0.1")
	got, err := Config{Target: target, Flood: true}.withDefaults()
	if err != nil || got.ID == 0 || got.Size != DefaultSize || got.Interval != DefaultFloodInterval || got.Timeout != DefaultTimeout {
		t.Errorf("flood: %+v, %v", got, err)
	}
	got, err = Config{Target: target, Size: NoPayload, ID: 3}.withDefaults()
	if err != nil || got.ID != 3 || got.Size != 0 || got.Interval != DefaultInterval {
		t.Errorf("no payload: %+v, %v", got, err)
	}
}
