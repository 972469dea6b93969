// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/agent"
)

// The environment of a child that traces in a time namespace: where it writes, and the
// inode numbers of the network namespaces in which it traces.
const (
	childDir = "DWELL_ROADS_DIR"
	childNS  = "DWELL_ROADS_NETNS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := traceAsChild(dir, strings.Fields(os.Getenv(childNS))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// traceAsChild traces as many pings as a road has, and says on standard output when it
// begins.
func traceAsChild(dir string, inodes []string) error {
	opts := agent.Options{Timeout: patience, Count: pingsEach} // all are answered
	for _, s := range inodes {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return err
		}
		opts.Filter.NetNS = append(opts.Filter.NetNS, uint32(n))
	}
	t, err := startTracing(dir, opts)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "attached")
	<-t.done
	return t.err
}

// inTimeNamespace runs the road with an agent in a time namespace whose monotonic clock is
// a day ahead.
func (c *course) inTimeNamespace() {
	c.err = func() error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		inodes := ""
		for _, s := range c.w.spaces {
			inodes += fmt.Sprint(s.Inode()) + " "
		}
		cmd := exec.CommandContext(c.w.ctx, "unshare", "--time", "--monotonic", "86400", "--fork", self)
		cmd.Env = append(os.Environ(), childDir+"="+c.dir, childNS+"="+inodes)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "attached" {
			return errors.Join(fmt.Errorf("the agent says %q", lines.Text()), cmd.Wait())
		}
		c.drive()
		return cmd.Wait()
	}()
	if c.err != nil {
		return
	}
	c.conclude(nil, func() ([]*tree, error) {
		spans, err := readSpans(filepath.Join(c.dir, tracesFile))
		return trees(spans), err
	})
}
