// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/monitor"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// scenes are what happens before a picture is taken.
func scenes() map[string]func(*view) {
	return map[string]func(*view){
		"connecting": func(*view) {},
		"none": func(v *view) {
			v.connect(summary(0))
			v.pings(0, 12*time.Second)
		},
		"before": func(v *view) {
			v.connect(summary(12_345))
			v.pings(0, 3*time.Second)
		},
		"one": func(v *view) {
			v.connect(summary(0))
			v.pings(1, 70*time.Second)
		},
		"thousand": func(v *view) {
			v.connect(summary(1_234_567))
			v.pings(1000, 3*time.Second)
			v.Update(monitor.Batch{At: v.now, Lost: 312})
		},
		"waterfall": func(v *view) {
			v.connect(summary(0))
			v.pings(1, 20*time.Second)
			v.press("down", "down", "down", "enter")
		},
		"help": func(v *view) {
			v.connect(summary(0))
			v.pings(1, 3*time.Second)
			v.press("?")
		},
		"filter": func(v *view) {
			v.connect(summary(0))
			v.pings(10, 10*time.Second)
			v.press("/", "d", "r", "o", "p", "space", "n", "e", "t", "f")
		},
		"gone": func(v *view) {
			v.connect(summary(0))
			v.pings(1, 20*time.Second)
			v.Update(monitor.Gone{At: v.now, Again: v.now.Add(9 * time.Second), Err: fmt.Errorf("the agent closed the connection")})
			v.now = v.now.Add(5 * time.Second)
			v.Update(monitor.Tick(v.now))
		},
	}
}

var sizes = [][2]int{{80, 24}, {60, 15}, {120, 50}, {180, 45}}

func TestScreens(t *testing.T) {
	for name, scene := range scenes() {
		for _, size := range sizes {
			for _, o := range []monitor.Options{{Tenant: "red"}, {ASCII: true}} {
				file := fmt.Sprintf("%s-%dx%d", name, size[0], size[1])
				if o.ASCII {
					file += "-ascii"
				}
				if o.ASCII && size[0] != 80 {
					continue
				}
				t.Run(file, func(t *testing.T) {
					v := newView(o, size[0], size[1])
					scene(v)
					got := v.Draw()
					fits(t, got, size[0], size[1])
					golden(t, file, got)
				})
			}
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	var b strings.Builder
	for l := range strings.Lines(got + "\n") {
		b.WriteString(strings.TrimRight(l, " \n") + "\n")
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// fits fails unless the picture has just the lines of the terminal, none too long.
func fits(t *testing.T, picture string, width, height int) {
	t.Helper()
	lines := strings.Split(picture, "\n")
	if len(lines) != height {
		t.Errorf("%d lines on a terminal of %d", len(lines), height)
	}
	for i, l := range lines {
		if w := ansi.StringWidth(l); w > width {
			t.Errorf("line %d has %d columns of %d: %q", i, w, width, l)
		}
	}
}
