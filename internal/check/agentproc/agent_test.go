// SPDX-License-Identifier: Apache-2.0

package agentproc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is no agent is told from one that is slow, and leaves nothing behind.
func TestStartOfWhatIsNoAgent(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if a, err := Start(t.Context(), "/bin/false", "{}", os.Stderr); err == nil {
		t.Errorf("started %+v", a)
	} else if !strings.Contains(err.Error(), "has ended") {
		t.Error(err)
	}
	if left, err := filepath.Glob(os.TempDir() + "/dwell-check-*"); len(left) > 0 || err != nil {
		t.Errorf("left are %q, %v", left, err)
	}
}

// Series are added up by their labels.
func TestSum(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\"} 4\na{x=\"2\"} 5\n# TYPE b gauge\nb 7\n"))
	}))
	defer server.Close()
	m, err := (&Agent{url: server.URL}).Metrics(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if m.Sum("a") != 12 || m.Sum("a", "x", "1") != 7 || m.Sum("a", "x", "1", "y", "2") != 3 || m.Sum("b") != 7 || m.Sum("c") != 0 || m.Has("c") || !m.Has("a") {
		t.Errorf("%v", m)
	}
}
