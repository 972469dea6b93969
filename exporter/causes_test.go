// SPDX-License-Identifier: Apache-2.0

package exporter_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// Each constant of type Cause is in Causes once, with all that it should say.
func TestCausesHasEachConstant(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "causes.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			want = append(want, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	for _, c := range exporter.Causes() {
		got = append(got, string(c.Cause))
		v := reflect.ValueOf(c)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%q has no %s", c.Cause, v.Type().Field(i).Name)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("causes (-constants +Causes):\n%s", diff)
	}
}
