// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/dwelltrace/dwell/internal/otelconfig"
)

// useOpenTelemetryFile has the file that OTEL_CONFIG_FILE names, if it does, take the place of
// OpenTelemetry's other variables in this process, before anything reads them. It returns
// warnings about what dwell does not use.
func useOpenTelemetryFile() (warnings []string, err error) {
	file, err := otelconfig.Read(os.Environ())
	if err != nil || file == nil {
		return nil, err
	}
	return file.Warnings, file.Apply()
}
