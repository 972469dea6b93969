// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// docs/fastpath.md has every reason in order, in the words that commands and metrics have.
func TestPageHasAllReasons(t *testing.T) {
	text, err := os.ReadFile("../../docs/fastpath.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got [][2]string
	for _, r := range flow.Reasons()[1:] { // without Fast
		want = append(want, [2]string{r.String(), r.Text()})
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.+?) \\| [^|]+ \\|$").FindAllSubmatch(text, -1) {
		got = append(got, [2]string{string(m[1]), string(m[2])})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/fastpath.md (-want +got):\n%s", diff)
	}
}
