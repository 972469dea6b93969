// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/doctor"
)

func TestWriteReport(t *testing.T) {
	fit := doctor.Report{{Status: doctor.OK, Name: "kernel", Detail: "new"}}
	unfit := doctor.Report{fit[0], {Status: doctor.Fail, Name: "BTF", Detail: "none", Remedy: "another kernel"}}
	tests := map[string]struct {
		report     doctor.Report
		asJSON     bool
		start, err string
	}{
		"fit":        {fit, false, "ok    kernel  new\n", ""},
		"fit JSON":   {fit, true, "{\n  \"fit\": true,", ""},
		"unfit":      {unfit, false, "ok    kernel  new\nFAIL  BTF", "not ready to trace: 1 checks failed"},
		"unfit JSON": {unfit, true, "{\n  \"fit\": false,", "not ready to trace"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := writeReport(&out, test.report, test.asJSON)
			if !strings.HasPrefix(out.String(), test.start) {
				t.Errorf("wrote %q, want it to start with %q", out.String(), test.start)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}
