// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// askVariable has this program ask the socket in it for the paths in its arguments, in place
// of running the tests.
const askVariable = "DWELL_TEST_ASK"

// answer is what came back, or why nothing did.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Err    string
}

// code returns that of a refusal.
func (a answer) code() string {
	var body struct{ Error struct{ Code string } }
	if json.Unmarshal([]byte(a.Body), &body) != nil {
		return "not JSON: " + a.Body + a.Err
	}
	return body.Error.Code
}

// askAll writes the answers to standard output.
func askAll(socket string, paths []string) {
	list := make([]answer, len(paths))
	for i, path := range paths {
		list[i] = ask(socket, path)
	}
	if err := json.NewEncoder(os.Stdout).Encode(list); err != nil {
		panic(err)
	}
}

// ask sends a request for a path as it is written, over a connection of its own.
func ask(socket, path string) answer {
	return askRaw(socket, "GET "+path+" HTTP/1.1\r\nHost: dwell\r\nConnection: close\r\n\r\n")
}

func askRaw(socket, request string) answer {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return answer{Err: err.Error()}
	}
	defer c.Close()
	_, _ = io.WriteString(c, request) // it may be refused before all of it was read
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return answer{Err: err.Error()}
	}
	defer func() {
		c.Close() // first, because a stream has no end to read to
		resp.Body.Close()
	}()
	a := answer{Status: resp.StatusCode, Header: resp.Header}
	a.Header.Del("Date")
	if resp.Header.Get("Content-Type") == "application/x-ndjson" {
		return a // it does not end
	}
	body, err := io.ReadAll(resp.Body)
	if a.Body = string(body); err != nil {
		a.Err = err.Error()
	}
	return a
}

// who is a process's user and groups.
type who struct {
	uid, gid uint32
	groups   []uint32
}

// ask has a process of that user ask. It needs to be root.
func (w who) ask(t *testing.T, socket string, paths ...string) []answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", paths...)
	cmd.Env = append(os.Environ(), askVariable+"="+socket)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	if w.uid != 0 || w.gid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: w.uid, Gid: w.gid, Groups: w.groups}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", w, err)
	}
	var list []answer
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%v: %v in %s", w, err, out)
	}
	return list
}

func (w who) String() string { return fmt.Sprintf("uid %d gid %d groups %v", w.uid, w.gid, w.groups) }
