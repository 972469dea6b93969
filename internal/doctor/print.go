// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteText writes one line a finding: status, name, detail and, behind an arrow,
// the remedy. With colour, the status is coloured by ANSI escape sequences.
func (r Report) WriteText(w io.Writer, colour bool) error {
	width := 0
	for _, f := range r {
		width = max(width, len(f.Name))
	}
	for _, f := range r {
		line := fmt.Sprintf("%s  %-*s  %s", paint(f.Status, colour), width, f.Name, f.Detail)
		if f.Remedy != "" {
			line += "  → " + f.Remedy
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// paint pads the status to one width before it adds what has no width.
func paint(s Status, colour bool) string {
	padded := fmt.Sprintf("%-4s", s)
	if !colour {
		return padded
	}
	code := map[Status]string{OK: "32", Warn: "33", Fail: "31;1"}[s]
	return "\x1b[" + code + "m" + padded + "\x1b[0m"
}

// WriteJSON writes one object: fit, and the checks.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Fit    bool   `json:"fit"`
		Checks Report `json:"checks"`
	}{r.Fit(), r})
}
