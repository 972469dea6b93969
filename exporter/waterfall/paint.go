// SPDX-License-Identifier: Apache-2.0

package waterfall

import "strings"

// style is an ANSI SGR parameter (ECMA-48, 8.3.117).
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "1;31"
	green  style = "32"
	yellow style = "33"
)

// palette colours services in order of appearance. Red means trouble and is not
// among them.
var palette = [...]style{"36", "33", "35", "32", "34"}

// painter applies styles if colour is on.
type painter struct {
	on       bool
	services []string
}

// service returns the colour of a service, the same on each line.
func (p *painter) service(name string) style {
	for i, s := range p.services {
		if s == name {
			return palette[i%len(palette)]
		}
	}
	p.services = append(p.services, name)
	return palette[(len(p.services)-1)%len(palette)]
}

// apply leaves blanks around the text unpainted, so that lines can be trimmed.
func (p *painter) apply(s string, st style) string {
	core := strings.Trim(s, " ")
	if !p.on || st == plain || core == "" {
		return s
	}
	at := strings.Index(s, core)
	return s[:at] + "\x1b[" + string(st) + "m" + core + "\x1b[0m" + s[at+len(core):]
}
