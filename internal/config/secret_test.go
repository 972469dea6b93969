// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

// header returns a file with one header.
func header(value string) string {
	return "export:\n  otlp:\n    headers:\n      x: '" + strings.ReplaceAll(value, "'", "''") + "'\n"
}

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "${file:" + path + "}"
	}
	for written, want := range map[string]string{
		"":                         "",
		"plain":                    "plain",
		"${env:A}":                 "a",
		"<${env:A}${env:B}>":       "<ab=c>",
		"${env:EMPTY}.":            ".",
		"$$":                       "$",
		"$$$$":                     "$$",
		"$":                        "$",
		"5$":                       "5$",
		"$A":                       "$A",
		"$${env:A}":                "${env:A}",
		"$$${env:A}":               "$a",
		"}{":                       "}{",
		"${env:DOLLAR}":            "${env:A}", // what it stands for is not looked into again
		write("unix", "token\n"):   "token",
		write("dos", "token\r\n"):  "token",
		write("bare", "token"):     "token",
		write("more", "a b\n\n\n"): "a b",
		write("blank", " a "):      " a ",
		write("nothing", ""):       "",
	} {
		loaded := parse(t, header(written), "A=a", "B=b=c", "EMPTY=", "DOLLAR=${env:A}", "A=later")
		if got := loaded.Export.OTLP.Headers["x"].Value(); got != want {
			t.Errorf("%s is %q, want %q", written, got, want)
		}
	}
}

// A secret is read again without a reload: its files, and the texts around them.
func TestAgain(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		if err := os.WriteFile(token, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old\n")
	secret := parse(t, header("$$${env:A} ${file:"+token+"}."), "A=a").Export.OTLP.Headers["x"]
	write("new\n")
	if got, err := secret.Again(); got != "$a new." || err != nil || secret.Value() != "$a old." {
		t.Errorf("%q (%v), at first %q", got, err, secret.Value())
	}
	write("a\nb")
	if got, err := secret.Again(); err == nil || got != "" {
		t.Errorf("a secret of two lines is %q", got)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if got, err := secret.Again(); err == nil || got != "" || !strings.Contains(err.Error(), token) {
		t.Errorf("a secret without its file is %q: %v", got, err)
	}
}

func TestNoReferences(t *testing.T) {
	dir := t.TempDir()
	lines := filepath.Join(dir, "lines")
	if err := os.WriteFile(lines, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for written, want := range map[string]string{
		"${env:NONE}":                "NONE",
		"${env:NONE} ${env:NEITHER}": "NEITHER",
		"${file:" + dir + "/none}":   "no such file",
		"${file:" + dir + "}":        "is a directory",
		"${file:" + lines + "}":      "line breaks",
		"${env:TAB}":                 "control characters",
		"${env:DELETE}":              "control characters",
		"${env:}":                    `"${env:}"`,
		"${file:}":                   `"${file:}"`,
		"${}":                        `"${}"`,
		"${A}":                       `"${A}"`,
		"${ENV:A}":                   `"${ENV:A}"`,
		"${exec:ls}":                 `"${exec:ls}"`,
		"${env:A":                    "not closed",
		"${":                         "not closed",
	} {
		got := mistakes(t, header(written), "A=a", "TAB=a\tb", "DELETE=\x7f")
		checkMistakes(t, got, "export.otlp.headers.x")
		if len(got) == 1 && !strings.Contains(got[0].Problem, want) {
			t.Errorf("%s: %q does not say %s", written, got[0].Problem, want)
		}
	}
}

// Each header's mistake is reported where the header stands, and the names are checked.
func TestHeaders(t *testing.T) {
	const text = "export:\n  otlp:\n    headers:\n      grpc-timeout: a\n      b: ${env:B}\n      'c d': x\n      '': x\n      c_-.9: x\n"
	got := mistakes(t, text)
	var places []string
	for _, e := range got {
		places = append(places, e.Origin.String()+" "+e.Path)
	}
	want := "f:4:21 export.otlp.headers.grpc-timeout, f:5:10 export.otlp.headers.b, f:6:14 export.otlp.headers.c d, f:7:11 export.otlp.headers."
	if got := strings.Join(places, ", "); got != want {
		t.Errorf("wrong are\n%s, want\n%s", got, want)
	}
	checkMistakes(t, mistakes(t, "", "DWELL_EXPORT_OTLP_HEADERS=grpc-x=1"), "export.otlp.headers.grpc-x")
	checkMistakes(t, mistakes(t, "", "DWELL_EXPORT_OTLP_HEADERS=gRPC-x=1"), "export.otlp.headers.gRPC-x")
	checkMistakes(t, mistakes(t, "", "DWELL_EXPORT_OTLP_HEADERS=X-Scope-OrgID=red"))
	checkMistakes(t, mistakes(t, "", "DWELL_EXPORT_OTLP_HEADERS=X-a=1,x-a=2"), "export.otlp.headers.X-a")
	checkMistakes(t, mistakes(t, "", "DWELL_EXPORT_OTLP_HEADERS=a-grpc-=1"))
}

// hexKey is a variable that holds a key of IDs.
const hexKey = "KEY=010000000000000000000000000000ef"

// The key is 32 hexadecimal digits, wherever they are kept; what is wrong with them is said
// without them.
func TestKey(t *testing.T) {
	const digits = "00112233445566778899aabbccddeeff"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(digits+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := [config.KeySize]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	for _, written := range []string{digits, strings.ToUpper(digits), "${file:" + file + "}", "${env:K}"} {
		loaded := parse(t, "trace: {key: '"+written+"'}", "K="+digits)
		if got := loaded.Trace.IDKey(); got != want {
			t.Errorf("%s is %x", written, got)
		}
		shown := fmt.Sprintf("%v %+v %#v %x", loaded.Trace, loaded.Config, loaded.Trace.Key, loaded.Trace.Key)
		if written[0] == '$' {
			shown += string(loaded.YAML())
		}
		if strings.Contains(strings.ToLower(shown), digits) {
			t.Errorf("shown in %s", shown)
		}
	}
	if got := parse(t, "").Trace.IDKey(); got != [config.KeySize]byte{} {
		t.Errorf("by default %x", got)
	}
	for _, written := range []string{digits[1:], digits + "0", "x" + digits[1:], "a passphrase", strings.Repeat("0", 32), "${env:EMPTY}", "${env:NONE}"} {
		got := mistakes(t, "trace: {key: '"+written+"'}", "EMPTY=")
		checkMistakes(t, got, "trace.key")
		if len(got) == 1 && (strings.Contains(got[0].Problem, "openssl rand -hex 16") == (written == "${env:NONE}") || strings.Contains(got[0].Problem, digits[1:])) {
			t.Errorf("%s: %s", written, got[0].Problem)
		}
	}
}

// No verb and no log shows a secret, alone or inside of what holds it; nor does the
// configuration as it is printed, if the secret is kept elsewhere.
func TestSecretsAreNeverPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Za-z0-9+/=$}{]{12,40}`).Draw(t, "secret")
		loaded := parse(t, header("Bearer ${env:TOKEN}"), "TOKEN="+secret)
		headers := loaded.Export.OTLP.Headers
		if headers["x"].Value() != "Bearer "+secret {
			t.Fatalf("%q", headers["x"].Value())
		}
		shown := []string{string(loaded.YAML())}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%o", "%U", "%e", "%c", "%10v", "%T"} {
			shown = append(shown, fmt.Sprintf(verb, headers["x"]), fmt.Sprintf(verb, headers), fmt.Sprintf(verb, loaded.Config))
		}
		var log strings.Builder
		for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(handler).Info("x", "secret", headers["x"], "config", loaded.Config.Log, "all", fmt.Sprint(loaded.Config))
		}
		for _, text := range append(shown, log.String()) {
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%q shows %q", text, secret)
			}
		}
		if got := fmt.Sprintf("%s %v %#v", headers["x"], headers["x"], headers["x"]); got != "[hidden] [hidden] [hidden]" {
			t.Errorf("shown as %s", got)
		}
	})
}

// No message repeats a secret, whatever is wrong around it or with it.
func TestMessagesTellNoSecret(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, tt := range []struct {
		file string
		env  []string
	}{
		{file: header("${" + secret)},
		{file: header("${env:" + secret)},
		{file: header(secret + "${env:NONE}")},
		{file: header(secret + "$${}${file:/none}")},
		{file: header("${env:TOKEN}"), env: []string{"TOKEN=" + secret + "\n"}},
		{file: "export: {otlp: {headers: {a: [" + secret + "]}}}"},
		{file: "export: {otlp: {headers: " + secret + "}}"},
		{file: "export: {otlp: {headers: {a: &x " + secret + "}}}"},
		{file: "export: {otlp: {headers: {a: " + secret + "}}, x: y}"},
		{file: "export: {otlp: {headers: {a: \"" + secret + "}}}"},
		{file: "export:\n  otlp:\n    headers:\n      a: " + secret + "\n     b: c\n"},
		{file: "export:\n  otlp:\n    headers:\n      a: x\n      a: " + secret + "\n"},
		{file: "export:\n  otlp:\n    headers:\n      a: " + secret + "\n\t  b: c\n"},
		{env: []string{"DWELL_EXPORT_OTLP_HEADERS=" + secret}},
		{env: []string{"DWELL_EXPORT_OTLP_HEADERS=a=${" + secret}},
		{env: []string{"DWELL_EXPORT_OTLP_HEADERS=a=1," + secret}},
		{env: []string{"DWELL_EXPORT_OTLP_ENDPOINT=http://me:" + secret + "@a:1"}},
		{env: []string{"DWELL_EXPORT_OTLP_ENDPOINT=grpc://" + secret + "@a"}},
		{env: []string{"DWELL_EXPORT_OTLP_ENDPOINT=https://a:1/v1?key=" + secret}},
		{env: []string{"DWELL_EXPORT_OTLP_ENDPOINT=grpc://a:1#" + secret}},
		{env: []string{"DWELL_METRICS_OTLP_ENDPOINT=a:1?" + secret}},
		{env: []string{"DWELL_METRICS_OTLP_ENDPOINT=a:x?" + secret}},
	} {
		_, err := config.Parse("f", []byte(tt.file), tt.env)
		if err == nil {
			t.Errorf("%s %v: no error", tt.file, tt.env)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s %v: %v", tt.file, tt.env, err)
		}
	}
}
