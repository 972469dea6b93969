// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// inNamespace is set for a child that only prints its reading of the kernel's clock.
const inNamespace = "DWELL_TEST_PRINT_CLOCK"

func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) == "" {
		os.Exit(m.Run())
	}
	kernel, err := Kernel()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	now, err := kernel()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(now)
}

// A process in a time namespace, whose clock is a day ahead or a minute behind, reads the
// kernel's clock as one outside does.
func TestTimeNamespace(t *testing.T) {
	privilegetest.NetNS(t)
	kernel, err := Kernel()
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []string{"86400", "-2", "0"} {
		before, err := kernel()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command("unshare", "--time", "--monotonic", offset, "--fork", "/proc/"+strconv.Itoa(os.Getpid())+"/exe")
		child.Env = append(os.Environ(), inNamespace+"=1")
		child.Stderr = os.Stderr
		out, err := child.Output()
		if err != nil {
			t.Fatalf("%s: %v", child, err)
		}
		after, err := kernel()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64); err != nil || got < before || got > after {
			t.Errorf("%s s ahead: %q, not within %d..%d", offset, out, before, after)
		}
	}
}

func TestNamespaceOffset(t *testing.T) {
	link := func(own, children string) func(string) (string, error) {
		return func(name string) (string, error) {
			if strings.HasSuffix(name, "time") {
				return own, nil
			}
			return children, nil
		}
	}
	file := func(text string, err error) func(string) ([]byte, error) {
		return func(string) ([]byte, error) { return []byte(text), err }
	}
	for name, test := range map[string]struct {
		read func(string) ([]byte, error)
		link func(string) (string, error)
		want int64
		says string // of the error
	}{
		"initial":          {file("monotonic           0         0\nboottime            0         0\n", nil), link("a", "a"), 0, ""},
		"ahead":            {file("monotonic       86400         7\nboottime            5         5\n", nil), link("a", "a"), 86_400_000_000_007, ""},
		"behind":           {file("boottime            5         5\nmonotonic          -2 999999999\n", nil), link("a", "a"), -1_000_000_001, ""},
		"by number":        {file("1 3 4\n7 0 0\n", nil), link("a", "a"), 3_000_000_004, ""},
		"older kernel":     {file("", fs.ErrNotExist), nil, 0, ""},
		"no access":        {file("", fs.ErrPermission), nil, 0, "permission"},
		"of the children":  {file("monotonic 1 1\n", nil), link("a", "b"), 0, "unshare --fork"},
		"another clock":    {file("boottime 0 0\n", nil), link("a", "a"), 0, "monotonic"},
		"not even numbers": {file("monotonic x y\n", nil), link("a", "a"), 0, "invalid syntax"},
	} {
		got, err := namespaceOffset(test.read, test.link)
		if got != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %d, %v; want %d and %q", name, got, err, test.want, test.says)
		}
	}
}
