// SPDX-License-Identifier: Apache-2.0

package otelconfig

import (
	"fmt"
	"regexp"
	"strings"
)

// reference matches the inside of ${…} that is a valid reference.
var reference = regexp.MustCompile(`^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$`)

// substitute replaces ${NAME}, ${env:NAME} and ${NAME:-default}, and $$ by a dollar sign. A
// variable that is empty counts as not set, as everywhere in OpenTelemetry. What a variable or
// a default has in it is not looked at again.
func substitute(text string, getenv func(string) string) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "{"):
			inside, rest, closed := strings.Cut(after[1:], "}")
			m := reference.FindStringSubmatch(inside)
			if !closed || m == nil {
				return "", fmt.Errorf("%q is not a valid reference to a variable; write ${NAME} or ${NAME:-default}, and $$ for a dollar sign", "${"+inside)
			}
			value := getenv(m[1])
			if value == "" {
				value = m[2]
			}
			out.WriteString(value)
			text = rest
		default:
			out.WriteByte('$')
			text = after
		}
	}
}
