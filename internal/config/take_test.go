// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
