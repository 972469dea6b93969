// SPDX-License-Identifier: Apache-2.0

package exporter

import "fmt"

// problem says what is wrong. In a comment, what is no message is not a reader's.
func problem(text string, count int) error {
	if count > 1 {
		return fmt.Errorf("%d traces were dropped, since "+
			"too many were open", count)
	}
	return fmt.Errorf("%q is no duration", text)
}
