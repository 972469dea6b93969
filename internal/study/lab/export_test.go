// SPDX-License-Identifier: Apache-2.0

package lab

// WithBeforeStep has f called before each step of Up.
func WithBeforeStep(o Options, f func(i int, what string)) Options {
	o.beforeStep = f
	return o
}

// Steps returns what Up does, step by step.
func Steps(t Topology) []string {
	var what []string
	for _, s := range newBuilder(t, DefaultPrefix).plan() {
		what = append(what, s.what)
	}
	return what
}

// Ports returns every device of the topology but the loopbacks.
func Ports(t Topology) []Port { return t.ports() }
