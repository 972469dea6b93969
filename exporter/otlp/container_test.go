// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func TestContainerOfResource(t *testing.T) {
	tr := tracetest.Beyond(1)
	ns := *tr.Root().NetNS
	for i := range tr.Spans {
		tr.Spans[i].NetNS = &ns
	}
	for _, tc := range []struct {
		container *trace.Container
		want      map[string]any
	}{
		{nil, map[string]any{}},
		{
			&trace.Container{ID: "9ec39b91f3d7", Name: "web", Runtime: "docker"},
			map[string]any{"container.id": "9ec39b91f3d7", "container.name": "web", "container.runtime.name": "docker"},
		},
		{
			&trace.Container{ID: "9ec39b91f3d7", Pod: trace.Pod{Name: "shop-0", Namespace: "sales", UID: "1-2-3"}},
			map[string]any{"container.id": "9ec39b91f3d7", "k8s.pod.name": "shop-0", "k8s.namespace.name": "sales", "k8s.pod.uid": "1-2-3"},
		},
	} {
		ns.Container = tc.container
		// What the user says of all resources does not make one container of two.
		o := otlp.Options{Environment: otlp.Environment{{Key: "container.id", Value: "the agent's own"}}}
		got := values(t, otlp.Spans([]*trace.Trace{tr}, o)[0].Resource.Attributes)
		for _, key := range []string{"service.name", "dwell.netns.inode", "dwell.netns.name", "dwell.netns.role"} {
			delete(got, key)
		}
		if tc.container == nil {
			delete(got, "container.id")
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Error(diff)
		}
	}
}
