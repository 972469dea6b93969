// SPDX-License-Identifier: Apache-2.0

package otelconfig_test

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/resource"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/otelconfig"
)

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TestAttributesAreSeen: what the file says of attributes, whatever letters are in them, is
// what OpenTelemetry's SDK reads from the variables, and so is what variables say to which the
// file refers.
func TestAttributesAreSeen(t *testing.T) {
	const variable = "OTEL_RESOURCE_ATTRIBUTES"
	t.Setenv(variable, "")
	names := rapid.StringMatching(`[a-z][a-z0-9._/-]{0,20}`)
	values := rapid.StringOf(rapid.RuneFrom([]rune("ab Zé€,=;%+&$:@/?#{}[]!\"'\\|<>*`~^()-_."))).Filter(func(s string) bool {
		return s != "" && s == strings.TrimSpace(s)
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(names, values, 1, 5).Draw(t, "attributes")
		var list []pair
		environ := []string{}
		for name, value := range want {
			text := strings.ReplaceAll(value, "$", "$$")
			if rapid.Bool().Draw(t, "by a variable") {
				environ = append(environ, "V_"+strings.ToUpper(strings.NewReplacer(".", "_dot_", "/", "_slash_", "-", "_dash_").Replace(name))+"="+value)
				reference, _, _ := strings.Cut(environ[len(environ)-1], "=")
				text = "${" + reference + "}"
			}
			list = append(list, pair{name, text})
		}
		// JSON, because the YAML library leaves "? a" without quotes.
		text, err := json.Marshal(map[string]any{"file_format": "1.0", "resource": map[string]any{"attributes": list}})
		if err != nil {
			t.Fatal(err)
		}
		f, err := otelconfig.Parse("f", text, environ)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if err := f.Apply(); err != nil {
			t.Fatal(err)
		}
		res, err := resource.New(t.Context(), resource.WithFromEnv())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, kv := range res.Attributes() {
			got[string(kv.Key)] = kv.Value.AsString()
		}
		if !maps.Equal(want, got) {
			t.Fatalf("%s\n%s\n(-want +got):\n%s", text, os.Getenv(variable), cmp.Diff(want, got))
		}
	})
}
