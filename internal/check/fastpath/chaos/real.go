// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
)

// configuration is what the real agent is told: directory, directory of pins, lease.
const configuration = `api: {socket: "%[1]s/agent.sock"}
http: {listen: ""}
metrics: {prometheus: {enabled: false}}
fastpath: {nics: [ens3], pin: "%[2]s", lease: %[3]s}
tenants:
  - {id: red, bridges: [br-red], ports: ["red-*"], fastpath: "on"}
  - {id: blue, bridges: [br-blue], ports: ["blue-*"], fastpath: "on"}
`

// startReal starts dwell agent itself, with tracing and all that it does by default, instead of this program's own
// process.
func (w *world) startReal(dwell, pin string, lease time.Duration) (*agent, error) {
	dir := filepath.Dir(pin)
	config := filepath.Join(dir, "dwell.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, configuration, dir, pin, lease), 0o600); err != nil {
		return nil, err
	}
	a, err := startAgent(exec.Command("nsenter", "--net=/run/netns/"+w.prefix+hypervisor, dwell, "agent", "--config", config))
	if err != nil {
		return nil, err
	}
	go a.observe(filepath.Join(dir, "agent.sock"))
	return a, nil
}

// observe does for the real agent what the other says of itself, as far as it can be seen from outside.
func (a *agent) observe(socket string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	waited, counted := map[string]time.Duration{}, time.Now()
	for {
		select {
		case <-a.done:
			return
		case <-ticker.C:
		}
		if late := waits(a.cmd.Process.Pid, waited); late > stall {
			a.mu.Lock()
			a.stalls = append(a.stalls, said{At: time.Now().UnixNano(), Stalled: late})
			a.mu.Unlock()
		}
		if time.Since(counted) < countEvery {
			continue
		}
		if c, err := ask(client); err == nil { // as long as it starts, nobody answers
			a.mu.Lock()
			a.last = *c
			a.mu.Unlock()
		}
		counted = time.Now()
	}
}

// waits returns for how long a thread of the process has waited for a CPU since it was last asked: the longest. The
// kernel adds a wait when it is over.
func waits(pid int, before map[string]time.Duration) (longest time.Duration) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		fields := strings.Fields(string(text))
		if err != nil || len(fields) < 2 {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		now := time.Duration(ns)
		longest = max(longest, now-before[f])
		before[f] = now
	}
	return longest
}

// ask asks the agent what became of packets.
func ask(client *http.Client) (*counts, error) {
	c := &counts{Why: map[string]uint64{}}
	for _, id := range []string{"red", "blue"} {
		s, err := status(client, id)
		if err != nil {
			return nil, err
		}
		c.Problems = append(c.Problems, s.Problems...)
		for i := range s.Tenants {
			t := &s.Tenants[i]
			c.Flows += uint64(t.Flows)
			for _, n := range []*accelerator.Counts{&t.From, &t.To} {
				c.Fast += n.Fast
				c.Differ += n.Differ
				for r, k := range n.Slow {
					c.Slow += k
					c.Why[r] += k
				}
			}
			for r, k := range t.Refused {
				c.Why["refused: "+r] += k
			}
		}
	}
	return c, nil
}

func status(client *http.Client, tenant string) (s accelerator.Status, err error) {
	answer, err := client.Get("http://dwell/v1/tenants/" + tenant + "/fastpath")
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return s, fmt.Errorf("the agent answers %s", answer.Status)
	}
	return s, json.NewDecoder(answer.Body).Decode(&s)
}
