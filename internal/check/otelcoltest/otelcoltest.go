// SPDX-License-Identifier: Apache-2.0

// Package otelcoltest builds the OpenTelemetry Collector of internal/check/otelcol for tests
// of several packages, once for all of them.
package otelcoltest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// module is where the Collector's sources are, from the top of the repository.
const module = "internal/check/otelcol"

// Binary returns the path of the Collector, which it builds unless an earlier test
// has. A cold build takes some minutes and downloads the Collector's modules.
// Programs are kept in $DWELL_CACHE or the user's cache directory.
func Binary(t testing.TB) string {
	t.Helper()
	source := findModule(t)
	dir := cacheDir(t)
	path := filepath.Join(dir, "otelcol-"+digest(t, source))
	defer lock(t, path+".lock")() // packages are tested at the same time
	if _, err := os.Stat(path); err == nil {
		return path
	}
	t.Logf("building the Collector in %s", dir)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path+".new", ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the Collector in %s: %v\n%s", module, err, out)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func findModule(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		source := filepath.Join(dir, module)
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("%s is in no directory above the test", module)
		}
	}
}

func cacheDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DWELL_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatalf("%v; set DWELL_CACHE to a directory for test programs", err)
		}
		dir = filepath.Join(user, "dwell")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// digest identifies the sources and the compiler.
func digest(t testing.TB, source string) string {
	t.Helper()
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(h, len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// lock takes a lock that other processes see and returns what releases it.
func lock(t testing.TB, path string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
