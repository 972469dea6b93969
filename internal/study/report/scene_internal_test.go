// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

// luminance is the relative luminance of an sRGB colour (WCAG 2.2, definitions).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if !regexp.MustCompile(`^#[0-9a-f]{6}$`).MatchString(hex) {
		t.Fatalf("colour %q", hex)
	}
	var parts [3]float64
	for i := range parts {
		v, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		if parts[i] = float64(v) / 255; parts[i] <= 0.04045 {
			parts[i] /= 12.92
		} else {
			parts[i] = math.Pow((parts[i]+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*parts[0] + 0.7152*parts[1] + 0.0722*parts[2]
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// All text can be read: contrast 4.5 at least (WCAG 2.2, 1.4.3), by day and by night.
func TestContrast(t *testing.T) {
	all := shades()
	check := func(text, ground ink) {
		a, b := all[text], all[ground]
		for scheme, c := range map[string]float64{"light": contrast(t, a.light, b.light), "dark": contrast(t, a.dark, b.dark)} {
			if c < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", scheme, text, ground, c)
			}
		}
	}
	check(inkText, inkPaper)
	check(inkFaint, inkPaper)
	for _, cat := range allCategories {
		if _, ok := all[ink(cat)]; !ok {
			t.Errorf("%s has no colour", cat)
			continue
		}
		check(inkOn, ink(cat))
	}
}

func TestNiceStep(t *testing.T) {
	for least, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.1: 2, 4: 5, 7: 10, 180: 200} {
		if got := niceStep(least); got != want {
			t.Errorf("niceStep(%v) = %v, want %v", least, got, want)
		}
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 21: "21st", 100: "100th", 101: "101st", 111: "111th", 112: "112th", 113: "113th", 114: "114th", 122: "122nd", 10: "10th", 13: "13th", 0: "0th"} {
		if got := ordinal(n); got != want {
			t.Errorf("ordinal(%d) = %s", n, got)
		}
	}
}

// The paper has 15 rows in four modes, and each has a place in ours.
func TestPaper(t *testing.T) {
	rows, err := paperRows()
	if err != nil {
		t.Fatal(err)
	}
	perMode := map[string]int{}
	for _, r := range rows {
		perMode[r.mode]++
		if r.mean <= 0 || r.position != perMode[r.mode] {
			t.Errorf("row %+v", r)
		}
	}
	for _, s := range paperModes() {
		if perMode[s.name] != len(s.rows) {
			t.Errorf("%s has %d rows, %d counterparts", s.name, perMode[s.name], len(s.rows))
		}
	}
	if len(rows) != 15 {
		t.Errorf("%d rows", len(rows))
	}
	intervals, err := paperIntervals()
	if err != nil {
		t.Fatal(err)
	}
	perMode = map[string]int{}
	for _, i := range intervals {
		perMode[i.transcript]++
	}
	for _, s := range printed() {
		if perMode[s.name] != len(s.rows) {
			t.Errorf("%s prints %d intervals, %d counterparts", s.name, perMode[s.name], len(s.rows))
		}
	}
}
