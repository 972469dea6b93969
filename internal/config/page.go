// SPDX-License-Identifier: Apache-2.0

package config

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// otelFilePage is about OpenTelemetry's own settings. It stands after the head.
//
//go:embed otelfile.md
var otelFilePage string

const pageHead = `<!-- Made by go generate ./internal/config from internal/config/fields.go. Do not edit. -->
# Configuration

` + "`dwell agent --config FILE`" + ` reads one YAML file. Settings that are left out keep their defaults, so an empty file is a valid
configuration: it traces every ping of the host and serves metrics at http://127.0.0.1:9464/metrics.
[examples/agent/dwell.yaml](../examples/agent/dwell.yaml) has every setting, commented out.

` + "`dwell agent --config FILE --check`" + ` validates a file and shows what would run. It reports every mistake with line and column;
an unknown setting is a mistake, too.

**Environment.** Each setting can be overridden by an environment variable: ` + "`DWELL_`" + ` followed by the setting's path in upper
case, with ` + "`_`" + ` instead of dots. Lists are written ` + "`a,b`" + `, maps ` + "`name=value,name=value`" + `; a list of blocks, such as
` + "`tenants`" + `, cannot be given by a variable. An empty variable counts as unset. A
variable that begins with ` + "`DWELL_`" + ` but does not name a setting causes a warning.
`

const pageRest = `
**Reload.** On SIGHUP the agent reads the file again (the environment of a running process cannot change). If the file is
invalid, the agent logs the errors, counts the failure in ` + "`dwell_agent_config_reloads_total{result=\"failure\"}`" + ` and keeps its current
configuration. Otherwise it applies the changes without detaching, so no trace is lost. Settings marked *restart* below take
effect only when the agent is restarted; the log says so if one has changed.

**Health.** The HTTP server at http.listen offers ` + "`/readyz`" + ` (200 while pings are being traced: the programs are attached, and
the ring buffer was read within the last 10 s), ` + "`/livez`" + ` (503 if it has not been read for a minute, in which case a restart may help),
` + "`/metrics`" + ` (text, OpenMetrics with exemplars, or protobuf with native histograms, whichever the scraper asks for) and a page
with links to these. systemd receives the same state through sd_notify: use ` + "`Type=notify-reload`" + ` and, optionally, ` + "`WatchdogSec=`" + `.

**Signals.** SIGHUP reloads. SIGTERM and SIGINT shut the agent down cleanly; a second one terminates it at once. The exit status
is 0 if nothing was lost during shutdown, otherwise 1.

**Values.** A duration needs a unit: ` + "`200ms`, `2s`, `1m30s`" + `. A size is a number of bytes, optionally with a unit:
` + "`64MiB`" + ` (powers of 1024) or ` + "`64MB`" + ` (powers of 1000).
`

// Page returns docs/configuration.md.
func Page() []byte {
	def := Default()
	defaults := map[string]setting{}
	for _, s := range settings(&def) {
		defaults[s.path] = s
	}
	var b strings.Builder
	b.WriteString(pageHead + otelFilePage + pageRest)
	for _, f := range Fields() {
		if s, ok := defaults[f.Path]; ok {
			b.WriteString(entry(f, s))
			for _, e := range elementsOf(f.Path) {
				b.WriteString(element(e, s.value.Type().Elem()))
			}
			continue
		}
		fmt.Fprintf(&b, "\n%s `%s`\n%s\n", strings.Repeat("#", 2+strings.Count(f.Path, ".")), f.Path, f.Doc)
	}
	b.WriteString("\n" + tenantDirPage)
	return []byte(b.String())
}

// tenantDirPage says what the settings of tenants do not: how a directory of them is read.
//
//go:embed tenantdir.md
var tenantDirPage string

// entry describes one setting.
func entry(f Field, s setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n**`%s`** · %s", f.Path, typeName(s.value.Type()))
	if !s.value.IsZero() || !bareZero(s.value) {
		fmt.Fprintf(&b, " · default `%s`", flowStyle(s.value))
	}
	if f.Restart {
		b.WriteString(" · *restart*")
	}
	fmt.Fprintf(&b, "  \n%s  \n", f.Doc)
	if isList(s.value.Type()) {
		fmt.Fprint(&b, "cannot be set by a variable")
	} else {
		fmt.Fprintf(&b, "`%s`", Variable(f.Path))
	}
	if f.Example != "" {
		name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
		fmt.Fprintf(&b, " · for example `%s: %s`", name, f.Example)
	}
	return b.String() + "\n"
}

// elementsOf returns the documentation of the elements of a list.
func elementsOf(list string) []Field {
	return slices.DeleteFunc(Elements(), func(f Field) bool { return !strings.HasPrefix(f.Path, list+"[].") })
}

// element describes one setting of the elements of a list, which are of type t.
func element(f Field, t reflect.Type) string {
	if f.Example == "" {
		return fmt.Sprintf("\n**`%s`**  \n%s\n", f.Path, f.Doc)
	}
	_, path, _ := strings.Cut(f.Path, "[].")
	for name := range strings.SplitSeq(path, ".") {
		t = t.Field(slices.Index(keys(t), name)).Type
	}
	kind := "block"
	if !isSection(t) {
		kind = typeName(t)
	}
	name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
	return fmt.Sprintf("\n**`%s`** · %s  \n%s  \nfor example `%s: %s`\n", f.Path, kind, f.Doc, name, f.Example)
}

// bareZero reports whether the zero value says nothing that the text does not say better.
func bareZero(v reflect.Value) bool {
	return v.Kind() == reflect.String || v.Kind() == reflect.Slice || v.Kind() == reflect.Map
}

// typeName says in words what a value is.
func typeName(t reflect.Type) string {
	switch {
	case isList(t):
		return "list of blocks"
	case t.Kind() == reflect.Slice:
		return "list of " + plural(typeName(t.Elem()))
	case t.Kind() == reflect.Map:
		return "map of strings"
	}
	names := map[reflect.Type]string{
		reflect.TypeFor[Duration]():    "duration",
		reflect.TypeFor[Size]():        "size",
		reflect.TypeFor[Rate]():        "`auto` or number",
		reflect.TypeFor[Prefix]():      "prefix",
		reflect.TypeFor[Ref]():         "namespace",
		reflect.TypeFor[Target]():      "address",
		reflect.TypeFor[Interface]():   "interface",
		reflect.TypeFor[Port]():        "port",
		reflect.TypeFor[Pattern]():     "name",
		reflect.TypeFor[UserID]():      "number",
		reflect.TypeFor[Switch]():      "`auto`, `true` or `false`",
		reflect.TypeFor[Secret]():      "secret",
		reflect.TypeFor[Root]():        "`sender` or `host`",
		reflect.TypeFor[Place]():       "`kernel` or `export`",
		reflect.TypeFor[Protocol]():    "`auto`, `grpc` or `http/protobuf`",
		reflect.TypeFor[Compression](): "`auto`, `gzip` or `none`",
		reflect.TypeFor[IPTables]():    "`auto`, `legacy` or `nft`",
		reflect.TypeFor[flow.Mode]():   "`off`, `shadow` or `on`",
		reflect.TypeFor[Level]():       "string",
		reflect.TypeFor[Format]():      "string",
		reflect.TypeFor[bool]():        "`true` or `false`",
		reflect.TypeFor[int]():         "number",
		reflect.TypeFor[float64]():     "number",
		reflect.TypeFor[string]():      "string",
	}
	return names[t]
}

func plural(name string) string {
	if stem, ok := strings.CutSuffix(name, "prefix"); ok {
		return stem + "prefixes"
	}
	if name == "address" {
		return "addresses"
	}
	return name + "s"
}
