// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(askVariable); socket != "" {
		askAll(socket, os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}
