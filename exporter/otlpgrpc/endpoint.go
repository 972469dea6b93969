// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import "github.com/dwelltrace/dwell/exporter/internal/endpoint"

// endpointFlag is where an endpoint was set unless Options.Source says otherwise.
const endpointFlag = "--otlp-endpoint"

// EnvironmentEndpoint returns the endpoint that the environment names and the name
// of the variable, or empty strings.
func EnvironmentEndpoint() (endpoint, variable string) {
	return traces.Environment()
}

// CheckEndpoint returns the error that [New] gives for Options.Endpoint or the endpoint
// of the environment, and connects to nothing.
func CheckEndpoint(explicit string) error {
	_, err := traces.Resolve(explicit, endpointFlag)
	return err
}

// traces is what is sent.
const traces = endpoint.Traces
