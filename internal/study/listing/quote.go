// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// appendQuoted appends a name as one column. Names of namespaces are file names and
// may hold anything; one that would not be read back as one column is written as a
// Go string, with its blanks escaped.
func appendQuoted(b []byte, name string) []byte {
	if plain(name) {
		return append(b, name...)
	}
	return append(b, strings.ReplaceAll(strconv.QuoteToASCII(name), " ", `\x20`)...)
}

func plain(name string) bool {
	if name == "" || name == noInterface || name == arrow {
		return false
	}
	for _, r := range name {
		if r == '"' || r == '\\' || r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func unquote(column string) (string, error) {
	if !strings.HasPrefix(column, `"`) {
		return column, nil
	}
	name, err := strconv.Unquote(column)
	if err != nil {
		return "", fmt.Errorf("name %s is badly quoted", column)
	}
	return name, nil
}
