// SPDX-License-Identifier: Apache-2.0

package spantree_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/internal/spantree"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func TestNodes(t *testing.T) {
	tr := tracetest.Beyond(1)
	type fact struct {
		Name, Parent, Direction string
		Depth                   int
	}
	var got []fact
	nodes := spantree.Nodes(tr, nil)
	for i, n := range nodes {
		f := fact{Name: tr.Spans[i].Name(), Direction: n.Direction.String(), Depth: n.Depth}
		if n.Parent != spantree.None {
			f.Parent = tr.Spans[n.Parent].Name()
		}
		got = append(got, f)
	}
	const ping, request, reply, hop = "ping 192.168.0.10 -> 203.0.113.8", "echo request", "echo reply", "hypervisor"
	want := []fact{
		{ping, "", "", 0},
		{request, ping, "request", 1},
		{"transmit brovsns-ns", request, "request", 2},
		{"link brovsns-ns -> brovsns-br", request, "request", 2},
		{"bridge ovs-br", request, "request", 2},
		{hop, request, "request", 2},
		{"forward", hop, "request", 3},
		{"queue ens3", hop, "request", 3},
		{"driver ens3", hop, "request", 3},
		{"beyond ens3", ping, "", 1},
		{reply, ping, "reply", 1},
		{hop, reply, "reply", 2},
		{"forward", hop, "reply", 3},
		{"queue ovs-br", hop, "reply", 3},
		{"bridge ovs-br", reply, "reply", 2},
		{"transmit brovsns-br", reply, "reply", 2},
		{"link brovsns-br -> brovsns-ns", reply, "reply", 2},
		{"deliver", reply, "reply", 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	children, roots := spantree.Children(nodes)
	if diff := cmp.Diff([]int{0}, roots); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1, 9, 10}, children[0]); diff != "" {
		t.Errorf("children of the root (-want +got):\n%s", diff)
	}
}
