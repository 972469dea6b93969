// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimDir) != "" {
		victim() // never returns
	}
	if os.Getenv(sinkProcess) != "" {
		sink() // neither
	}
	goleak.VerifyTestMain(m)
}
