// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
)

func TestPutBackWakesTheWorker(t *testing.T) {
	if !batch.WokenByPutBack([]*trace.Trace{of(1)}) {
		t.Error("what the disk did not take would wait for the next full batch")
	}
}
