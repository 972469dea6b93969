// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, user(dir)) // returns only if it fails
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
