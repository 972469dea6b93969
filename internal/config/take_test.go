// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

func TestTake(t *testing.T) {
	load := func(text, token string) config.Config {
		loaded, err := config.Parse("f", []byte(text), []string{"TOKEN=" + token})
		if err != nil {
			t.Fatal(err)
		}
		return loaded.Config
	}
	const headers = "export: {otlp: {headers: {a: \"${env:TOKEN}\"}}}\n"
	running := load("trace: {netns: []}\n"+headers, "old")
	for _, step := range []struct {
		text, token      string
		changed, restart []string
	}{
		{headers, "old", nil, nil},
		{headers, "new", []string{"export.otlp.headers"}, nil},
		{headers + "trace: {netns: [a], ring_size: 2MiB}\nlog: {level: debug}\n", "new", []string{"trace.netns", "log.level"}, []string{"trace.ring_size"}},
		{headers + "trace: {netns: [a], ring_size: 2MiB}\n", "new", []string{"log.level"}, []string{"trace.ring_size"}},
		{"", "", []string{"trace.netns", "export.otlp.headers"}, nil},
	} {
		changed, restart := running.Take(load(step.text, step.token))
		if diff := cmp.Diff([][]string{step.changed, step.restart}, [][]string{changed, restart}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", step.text, diff)
		}
	}
	if running.Trace.RingSize != config.Default().Trace.RingSize {
		t.Errorf("ring size changed to %d", running.Trace.RingSize)
	}
}

// Each setting that differs is taken and named, or left and named if a reload does not
// change it, as its documentation says; no other is touched.
func TestTakeOfEachSetting(t *testing.T) {
	restart := map[string]bool{}
	for _, f := range documented() {
		restart[f.Path] = f.Restart
	}
	for _, e := range examples() {
		running := parse(t, e.base).Config
		next := parse(t, e.base, e.variable, "TOKEN=t", hexKey).Config
		was := parse(t, e.base).Config
		changed, needs := running.Take(next)
		want, left := []string{e.path}, []string(nil)
		if restart[e.path] {
			want, left = left, want
		}
		if diff := cmp.Diff([][]string{want, left}, [][]string{changed, needs}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.variable, diff)
		}
		if restart[e.path] {
			next = was
		}
		if !reflect.DeepEqual(running, next) {
			t.Errorf("%s: now %+v\nwant %+v", e.variable, running, next)
		}
	}
}

// After a change what runs is what the file says, but for what is reported to need a
// restart; taking it again changes nothing, and going back gives what was.
func TestTakeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		was, next := anyConfig(t), anyConfig(t)
		running := was
		changed, restart := running.Take(next)
		for _, f := range documented() {
			got, want := at(t, &running, f.Path), at(t, &next, f.Path)
			before := at(t, &was, f.Path)
			if f.Restart {
				want = before
			}
			if !same(got, want) {
				t.Errorf("%s is %v, want %v", f.Path, got, want)
			}
			differs := !same(before, at(t, &next, f.Path))
			if slices.Contains(changed, f.Path) != (differs && !f.Restart) || slices.Contains(restart, f.Path) != (differs && f.Restart) {
				t.Errorf("%s differs: %t; changed %v, restart %v", f.Path, differs, changed, restart)
			}
		}
		if again, left := running.Take(next); len(again) > 0 || !slices.Equal(left, restart) {
			t.Errorf("again: changed %v, restart %v instead of %v", again, left, restart)
		}
		if back, left := running.Take(was); !slices.Equal(back, changed) || len(left) > 0 {
			t.Errorf("back: changed %v instead of %v, restart %v", back, changed, left)
		}
		checkSame(t, running, was)
	})
}

// same is DeepEqual of two values, but an empty list is as good as none.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
