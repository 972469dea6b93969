// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/config"
)

// TestSamplerOfOpenTelemetry: its variables are the default of sampling.ratio, behind the file
// and DWELL_*, and what is not valid is a warning.
func TestSamplerOfOpenTelemetry(t *testing.T) {
	for _, test := range []struct {
		sampler, argument, text, more string
		want                          float64
		warning                       string
	}{
		{"", "0.5", "", "", 1, ""},
		{"always_on", "0.5", "", "", 1, ""},
		{"always_off", "", "", "", 0, ""},
		{"parentbased_always_off", "", "", "", 0, ""},
		{"traceidratio", "0.25", "", "", 0.25, ""},
		{"parentbased_traceidratio", " 1e-2 ", "", "", 0.01, ""},
		{"traceidratio", "", "", "", 1, ""},
		{"traceidratio", "0.25", "sampling: {ratio: 0.75}\n", "", 0.75, ""},
		{"traceidratio", "0.25", "", "DWELL_SAMPLING_RATIO=0.5", 0.5, ""},
		{"traceidratio", "2", "", "", 1, "OTEL_TRACES_SAMPLER_ARG: \"2\" is not a number between 0 and 1"},
		{"traceidratio", "NaN", "", "", 1, "OTEL_TRACES_SAMPLER_ARG"},
		{"xray", "", "", "", 1, "OTEL_TRACES_SAMPLER: dwell does not have the sampler \"xray\""},
	} {
		l := parse(t, test.text, "OTEL_TRACES_SAMPLER="+test.sampler, "OTEL_TRACES_SAMPLER_ARG="+test.argument, test.more)
		if l.Sampling.Ratio != test.want {
			t.Errorf("%+v: ratio %v", test, l.Sampling.Ratio)
		}
		if said := strings.Join(l.Warnings, "\n"); (said == "") != (test.warning == "") || !strings.Contains(said, test.warning) {
			t.Errorf("%+v: warnings %q", test, said)
		}
	}
	if _, err := config.Parse("f", []byte("sampling: {ratio: 7}\n"), []string{"OTEL_TRACES_SAMPLER=always_off"}); err == nil {
		t.Error("a mistake in the file is hidden by a variable")
	}
}
