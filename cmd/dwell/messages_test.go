// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// checkEachLine fails unless each line is one of ours, or goes on with our last one.
func checkEachLine(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "dwell: ") && !strings.HasPrefix(line, "  ") {
			t.Errorf("a foreign line: %q", line)
		}
	}
}

func TestJoinedErrorsAreOneLineEach(t *testing.T) {
	var b bytes.Buffer
	printError(&b, errors.Join(errors.New("a"), fmt.Errorf("b: %w", errors.Join(errors.New("c"), errors.New("d")))))
	if want := "dwell: a\ndwell: b: c\ndwell: d\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

// What the kernel refuses while tracing goes on is a warning for each reason.
func TestRefusalsAreOneLineEach(t *testing.T) {
	var b bytes.Buffer
	logRefused(newLogger(&b), errors.Join(errors.New("no room"), errors.New("held")))
	logRefused(newLogger(&b), nil)
	const want = "dwell: warning: the kernel refuses a change to what is traced; trying again: no room\n" +
		"dwell: warning: the kernel refuses a change to what is traced; trying again: held\n" +
		"dwell: the kernel no longer refuses changes to what is traced\n"
	if b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

func TestUnknownSubcommand(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
	}{
		{"lab frob", []string{`"dwell lab frob"`, "down, exec, list, run, up"}},
		{"completion frob", []string{`"dwell completion frob"`, "bash"}},
		{"frob", []string{`"frob"`}},
	} {
		p := dwell(t, strings.Fields(test.args)...)
		if status := p.exit(t); status != 1 || p.stdout.Len() != 0 {
			t.Errorf("%s: status %d\n%s", test.args, status, &p.stdout)
		}
		for _, want := range test.want {
			if !strings.Contains(p.stderr.String(), want) {
				t.Errorf("%s: %q does not say %q", test.args, &p.stderr, want)
			}
		}
	}
	for _, args := range []string{"", "lab", "lab --help", "completion"} {
		p := dwell(t, strings.Fields(args)...)
		if status := p.exit(t); status != 0 || !strings.Contains(p.stdout.String(), "Available Commands") {
			t.Errorf("%s: status %d\n%s", args, status, &p.stdout)
		}
	}
}

// Each command says what it does, at length, and how it is typed. The commands of cobra
// itself are not ours to word.
func TestHelpIsComplete(t *testing.T) {
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			return
		}
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s lacks a summary, a description or an example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(newRootCommand())
}

// What OpenTelemetry's libraries say of the environment are lines like our own, once each.
func TestOpenTelemetrySpeaksOurWay(t *testing.T) {
	nobody := refusing(t)
	for _, test := range []struct{ variable, want string }{
		{"OTEL_EXPORTER_OTLP_HEADERS=nonsense", "warning: OpenTelemetry: parse headers"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere", "warning: OpenTelemetry: read tls ca cert file"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=soon", "warning: OpenTelemetry: parse duration"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", ""},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json: dwell has grpc and http/protobuf"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", ""},
	} {
		p := dwell(t, "replay", "-o", "none", transcript("nat"))
		p.Env = append(p.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+nobody,
			"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=100", test.variable)
		if status := p.exit(t); status != 1 {
			t.Errorf("%s: status %d", test.variable, status)
		}
		text := p.stderr.String()
		checkEachLine(t, text)
		if n := strings.Count(text, test.want); test.want != "" && n != 1 {
			t.Errorf("%s: said %d times in\n%s", test.variable, n, text)
		}
		if strings.Contains(text, "parse url") || test.want == "" && strings.Contains(text, ": dwell has") {
			t.Errorf("%s: %s", test.variable, text)
		}
	}
}

// nohup asks to outlive the session.
func TestIgnoredHangupStaysIgnored(t *testing.T) {
	l := testLab(t)
	args := append([]string{"-c", `trap "" HUP; exec "$@"`, "sh", "/proc/" + pid() + "/exe", "trace"}, labArgs(l)...)
	p := program(t, "sh", args...)
	stderr, attached := watch("attached")
	p.Stderr = stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-attached
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if sig == syscall.SIGINT {
			pingLab(t, l, 3)
		}
		if err := p.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	var failed *exec.ExitError
	if err := p.Wait(); errors.As(err, &failed) || !strings.Contains(stderr.String(), "3 pings") {
		t.Errorf("%v\n%s", err, stderr)
	}
}
