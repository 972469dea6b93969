// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// This kernel takes the programs.
func TestSupported(t *testing.T) {
	privilegetest.BPF(t)
	if err := Supported(); err != nil {
		privilegetest.Kernel(t, err)
		t.Error(err)
	}
}
