// SPDX-License-Identifier: Apache-2.0

package backend

import "time"

// Patterns returns the paths of all routes, as OpenAPI has them, with their parameters.
func Patterns() map[string][]string {
	all := map[string][]string{}
	for _, r := range routes() {
		all[r.pattern] = r.query
	}
	return all
}

// WithHeartbeat returns the options with another interval.
func (o ServerOptions) WithHeartbeat(d time.Duration) ServerOptions {
	o.heartbeat = d
	return o
}
