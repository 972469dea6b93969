// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
)

// OpenTelemetry's variables for sampling:
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
const (
	samplerVariable = "OTEL_TRACES_SAMPLER"
	samplerArgument = "OTEL_TRACES_SAMPLER_ARG"
)

// sampler takes the ratio of OpenTelemetry's variables, which is the default of
// sampling.ratio. As the specification demands, what is not valid is left out, with a warning.
// A ping has no parent, so that the samplers that follow one are the same as the others.
func (d *decoder) sampler(environ []string, c *Config) (warnings []string) {
	named, argument := variable(environ, samplerVariable), variable(environ, samplerArgument)
	switch strings.TrimPrefix(named, "parentbased_") {
	case "", "always_on":
	case "always_off":
		c.Sampling.takeRatio(0)
	case "traceidratio":
		if argument == "" {
			break // all
		}
		ratio, err := strconv.ParseFloat(argument, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return []string{fmt.Sprintf("%s: %q is not a number between 0 and 1; all traces are sent", samplerArgument, argument)}
		}
		c.Sampling.takeRatio(ratio)
	default:
		return []string{fmt.Sprintf("%s: dwell does not have the sampler %q, but always_on, always_off, traceidratio, and these with parentbased_; all traces are sent", samplerVariable, named)}
	}
	return nil
}

// takeRatio takes a ratio of exported traces. One of 0 must not have nothing traced: metrics are not meant.
func (s *Sampling) takeRatio(ratio float64) {
	if s.Ratio = ratio; ratio == 0 {
		s.At = AtExport
	}
}

func variable(environ []string, name string) string {
	value, _ := references{environ: environ}.getenv(name)
	return strings.TrimSpace(value)
}
