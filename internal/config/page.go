// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"strings"
)

const pageHead = `<!-- Made by go generate ./internal/config from internal/config/fields.go. Do not edit. -->
# Configuration

` + "`dwell agent --config FILE`" + ` reads one YAML file. What is not in it has its default, so that an
empty file is a configuration: it traces every ping of the host and offers metrics at http://127.0.0.1:9464/metrics.
[examples/agent/dwell.yaml](../examples/agent/dwell.yaml) has every setting as a comment.

` + "`dwell agent --config FILE --check`" + ` says what is wrong with a file, with line and column, and what would
run. A name that is not known is an error.

**Environment.** Each setting is overridden by a variable: ` + "`DWELL_`" + ` and its path in upper case with ` + "`_`" + ` for each dot. Lists
are written ` + "`a,b`" + `, pairs ` + "`name=value,name=value`" + `. An empty variable is as one that is not set; one that
begins with ` + "`DWELL_`" + ` and is no setting is warned of. Below the file, OpenTelemetry's own variables hold where the page says so.

**Reload.** On SIGHUP the agent reads the file again (the environment cannot change). If something is wrong with it, it says so
in the log, counts it in ` + "`dwell_agent_config_reloads_total{result=\"failure\"}`" + ` and goes on as before. Else it changes over without detaching:
no trace is lost. What stands as *restart* below takes effect only when the agent is started again, and the log says so.

**Health.** At http.listen there are ` + "`/readyz`" + ` (200 while pings are being traced: attached, and the ring buffer was read in the last
10 s), ` + "`/livez`" + ` (503 if it was not read for a minute: a restart may help), ` + "`/metrics`" + ` (text, OpenMetrics with exemplars, or protobuf
with native histograms, as the scraper asks) and a page with links. systemd is told the same by sd_notify: use ` + "`Type=notify-reload`" + `
and, if you like, ` + "`WatchdogSec=`" + `.

**Signals.** SIGHUP reloads; SIGTERM or SIGINT ends in good order, a second one at once. The exit status is 0 if nothing was lost
at the end, else 1.

**Values.** A duration has its unit: ` + "`200ms`, `2s`, `1m30s`" + `. A size is a number of bytes, or has a unit:
` + "`64MiB`" + ` (powers of 1024), ` + "`64MB`" + ` (powers of 1000).
`

// Page returns docs/configuration.md.
func Page() []byte {
	def := Default()
	defaults := map[string]setting{}
	for _, s := range settings(&def) {
		defaults[s.path] = s
	}
	var b strings.Builder
	b.WriteString(pageHead)
	for _, f := range Fields() {
		if s, ok := defaults[f.Path]; ok {
			b.WriteString(entry(f, s))
			continue
		}
		fmt.Fprintf(&b, "\n%s `%s`\n%s\n", strings.Repeat("#", 2+strings.Count(f.Path, ".")), f.Path, f.Doc)
	}
	return []byte(b.String())
}

// entry describes one setting.
func entry(f Field, s setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n**`%s`** · %s", f.Path, typeName(s.value.Type()))
	if !s.value.IsZero() || !bareZero(s.value) {
		fmt.Fprintf(&b, " · default `%s`", flow(s.value))
	}
	if f.Restart {
		b.WriteString(" · *restart*")
	}
	fmt.Fprintf(&b, "  \n%s  \n", f.Doc)
	fmt.Fprintf(&b, "`%s`", Variable(f.Path))
	if f.Example != "" {
		name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
		fmt.Fprintf(&b, " · for example `%s: %s`", name, f.Example)
	}
	return b.String() + "\n"
}

// bareZero reports whether the zero value says nothing that the text does not say better.
func bareZero(v reflect.Value) bool {
	return v.Kind() == reflect.String || v.Kind() == reflect.Slice || v.Kind() == reflect.Map
}

// typeName says in words what a value is.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + plural(typeName(t.Elem()))
	case reflect.Map:
		return "pairs of texts"
	}
	names := map[reflect.Type]string{
		reflect.TypeFor[Duration]():  "duration",
		reflect.TypeFor[Size]():      "size",
		reflect.TypeFor[Prefix]():    "prefix",
		reflect.TypeFor[Ref]():       "namespace",
		reflect.TypeFor[Interface](): "interface",
		reflect.TypeFor[Port]():      "port",
		reflect.TypeFor[Switch]():    "`auto`, `true` or `false`",
		reflect.TypeFor[Level]():     "level",
		reflect.TypeFor[Format]():    "format",
		reflect.TypeFor[bool]():      "`true` or `false`",
		reflect.TypeFor[int]():       "number",
		reflect.TypeFor[float64]():   "number",
		reflect.TypeFor[string]():    "text",
	}
	return names[t]
}

func plural(name string) string {
	if stem, ok := strings.CutSuffix(name, "prefix"); ok {
		return stem + "prefixes"
	}
	return name + "s"
}
