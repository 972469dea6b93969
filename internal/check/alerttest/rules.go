// SPDX-License-Identifier: Apache-2.0

package alerttest

import (
	"bytes"
	"fmt"

	"github.com/goccy/go-yaml"
)

// File is a rule file of Prometheus
// (https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/).
type File struct {
	Groups []Group `yaml:"groups"`
}

// Group is evaluated in order.
type Group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []Rule `yaml:"rules"`
}

// Rule has either Record or Alert.
type Rule struct {
	Record        string            `yaml:"record,omitempty"`
	Alert         string            `yaml:"alert,omitempty"`
	Expr          string            `yaml:"expr"`
	For           string            `yaml:"for,omitempty"`
	KeepFiringFor string            `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string `yaml:"labels,omitempty"`
	Annotations   map[string]string `yaml:"annotations,omitempty"`
}

// Parse reads a rule file. What this package does not know of is an error.
func Parse(text []byte) (File, error) {
	var f File
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f); err != nil {
		return f, fmt.Errorf("rule file: %w", err)
	}
	return f, nil
}

// Format writes a rule file.
func (f File) Format() ([]byte, error) { return yaml.Marshal(f) }
