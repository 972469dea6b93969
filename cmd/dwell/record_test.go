// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/container/containertest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

// A recording replayed gives byte for byte the OTLP of the live run, of a container, too.
func TestRecordingReplaysToTheByte(t *testing.T) {
	l, dir := testLab(t), t.TempDir()
	guest, err := l.Open(lab.Guest)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	id := fmt.Sprintf("%s%08x", strings.Repeat("c", 56), os.Getpid())
	containertest.Process(t, containertest.Cgroup(t, "docker-"+id+".scope"), "web", guest.Do)
	recording, live, again := filepath.Join(dir, "run.dwell"), filepath.Join(dir, "live.jsonl"), filepath.Join(dir, "again.jsonl")
	p, status := tracePings(t, l, "--output", "none", "--otlp-file", live, "--record", recording)
	if status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	p = dwell(t, "replay", "--output", "none", "--otlp-file", again, recording)
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	want, err := os.ReadFile(live)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 || !bytes.Equal(want, got) {
		t.Errorf("live %d bytes, replayed %d bytes, not the same", len(want), len(got))
	}
	if !bytes.Contains(want, []byte(id)) {
		t.Error("the container is not in the traces")
	}
}

func TestRecordingToFullDisk(t *testing.T) {
	l := testLab(t)
	p, status := tracePings(t, l, "--output", "none", "--record", "/dev/full")
	if status != 1 || !strings.Contains(p.stderr.String(), "no space left on device") {
		t.Errorf("status %d\n%s", status, &p.stderr)
	}
}

// The live listing has the paper's columns and can be replayed.
func TestTracePrintsEvents(t *testing.T) {
	l := testLab(t)
	p, status := tracePings(t, l, "--output", "events")
	if status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	events, err := listing.Read("stdout", &p.stdout, listing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if events.Pings != 5 || len(events.Events) < 5*26 {
		t.Errorf("%d pings, %d events", events.Pings, len(events.Events))
	}
}

func TestTracePrintsJSON(t *testing.T) {
	l := testLab(t)
	p, status := tracePings(t, l, "--output", "json")
	if status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	hooks := map[string]int{}
	for line := range bytes.Lines(p.stdout.Bytes()) {
		var object struct {
			Hook, Interface, Reason string
		}
		if err := json.Unmarshal(line, &object); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		hooks[object.Hook+" "+object.Reason]++
	}
	for _, want := range []string{"net_dev_queue ", "netfilter_first forward", "netfilter_last postrouting", "skb_copy_datagram_iovec "} {
		if hooks[want] == 0 {
			t.Errorf("no %s in %v", want, hooks)
		}
	}
}
