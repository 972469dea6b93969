// SPDX-License-Identifier: Apache-2.0

package otlphttp

import "github.com/dwelltrace/dwell/exporter/internal/endpoint"

// endpointFlag is where an endpoint was set unless Options.Source says otherwise.
const endpointFlag = "--otlp-endpoint"

// CheckEndpoint returns the error that [New] gives for Options.Endpoint or the endpoint of the
// environment, and connects to nothing.
func CheckEndpoint(explicit string) error {
	_, err := resolve(explicit, "", osEnvironment())
	return err
}

// resolve reads an endpoint, as endpoint.Signal.ResolveHTTP does.
func resolve(explicit, source string, env environment) (endpoint.Endpoint, error) {
	if source == "" || explicit == "" {
		source = endpointFlag
	}
	return endpoint.Traces.ResolveHTTP(endpoint.Explicit{Text: explicit, Source: source}, env.get, env.wantsTLS())
}
