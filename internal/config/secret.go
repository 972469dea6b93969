// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
)

// Secret is a text that may refer to what is kept elsewhere: ${env:NAME} and
// ${file:PATH} are replaced when the configuration is read, so that a reload takes a
// secret that was renewed, as does Again without one. Line ends at the end of a file are left out; $$ is a dollar
// sign. Where it is of a tenant, ${tenant} is the tenant's ID.
//
// What it stands for is not printed, see Value.
type Secret struct {
	written, value string
	// pieces make up the value.
	pieces []piece
}

// piece is a part of a secret: a text, or the content of a file, which ref names as it is
// written.
type piece struct{ text, file, ref string }

var (
	_ fmt.Stringer   = Secret{}
	_ fmt.Formatter  = Secret{}
	_ slog.LogValuer = Secret{}
)

const hidden = "[hidden]"

// UnmarshalText implements [encoding.TextUnmarshaler]. References are resolved later, by
// resolve.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret{written: string(text)}
	return nil
}

// MarshalText implements [encoding.TextMarshaler] with what is written in the file.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.written), nil }

// Value returns what the secret is.
func (s Secret) Value() string { return s.value }

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides the secret from every verb; %d, for one, does not ask String.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// LogValue hides the secret in a log.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

var reference = regexp.MustCompile(`\$(\$|\{[^}]*\}?|)`)

// references is what a secret may refer to, besides files.
type references struct {
	// environ is as of [os.Environ].
	environ []string
	// tenant is whose secret it is, if tenants is set; "" before it is known.
	tenants bool
	tenant  string
}

func (r references) getenv(name string) (string, bool) {
	for _, entry := range r.environ {
		if n, value, _ := strings.Cut(entry, "="); n == name {
			return value, true
		}
	}
	return "", false
}

// resolve replaces the references by what they stand for.
func (s Secret) resolve(to references) (Secret, error) {
	s.pieces = nil
	var errs []error
	start := 0
	for _, at := range reference.FindAllStringIndex(s.written, -1) {
		p, err := to.look(s.written[at[0]:at[1]])
		errs = append(errs, err)
		s.pieces = append(s.pieces, piece{text: s.written[start:at[0]]}, p)
		start = at[1]
	}
	s.pieces = append(s.pieces, piece{text: s.written[start:]})
	value, err := s.Again()
	if err := errors.Join(append(errs, err)...); err != nil {
		return s, err
	}
	s.value = value
	return s, nil
}

// Again returns what the secret is now: its files are read again. What is of the environment
// does not change.
func (s Secret) Again() (string, error) {
	var value strings.Builder
	var errs []error
	for _, p := range s.pieces {
		text, err := p.read()
		errs = append(errs, err)
		value.WriteString(text)
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	if strings.ContainsFunc(value.String(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("a secret cannot contain line breaks or control characters")
	}
	return value.String(), nil
}

func (p piece) read() (string, error) {
	if p.file == "" {
		return p.text, nil
	}
	data, err := os.ReadFile(p.file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.ref, err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

func (r references) look(ref string) (piece, error) {
	kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":")
	switch {
	case ref == "$$" || ref == "$":
		return piece{text: "$"}, nil
	case !strings.HasSuffix(ref, "}"): // what follows may be all of a password
		return piece{}, errors.New("a ${ is not closed; use ${env:NAME} or ${file:PATH}, and $$ for a dollar sign")
	case ref == "${tenant}" && r.tenants:
		return piece{text: r.tenant}, nil
	case ref == "${tenant}":
		return piece{}, errors.New("${tenant} stands for a tenant only in tenancy.export and in the export of a tenant; use $$ for a dollar sign")
	case name == "" || kind != "env" && kind != "file":
		return piece{}, fmt.Errorf("%q is not a valid reference; use ${env:NAME} or ${file:PATH}, and $$ for a dollar sign", ref)
	case kind == "env":
		value, ok := r.getenv(name)
		if !ok {
			return piece{}, fmt.Errorf("%s: the environment variable %s is not set", ref, name)
		}
		return piece{text: value}, nil
	}
	return piece{file: name, ref: ref}, nil
}
