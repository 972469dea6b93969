// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// category is what the chart colours: who is answerable for the time.
type category string

// The categories, in the order in which a request usually meets them.
const (
	catQueue      category = "queue"
	catLink       category = "link"
	catBridge     category = "bridge"
	catRouter     category = "router"
	catHypervisor category = "hypervisor"
	catTunnel     category = "tunnel"
	catDriver     category = "driver"
	catEndpoint   category = "endpoint"
	catBeyond     category = "beyond"
	catOther      category = "other"
	// catNone is for spans whose parts have different categories.
	catNone category = ""
)

var allCategories = []category{
	catQueue, catLink, catBridge, catRouter, catHypervisor, catTunnel, catDriver, catEndpoint, catBeyond, catOther,
}

// categoryOf returns the category of a row with a kind of that name. A device is a bridge
// if it switches, which its parts show.
func categoryOf(kind string, switches bool) category {
	k, ok := trace.ParseKind(kind)
	if !ok {
		return catOther // a row that is not about a span
	}
	if k == trace.KindDevice && switches {
		return catBridge
	}
	c, _ := categoryOfKind(k)
	return c
}

// categoryOfKind returns the category of a kind. ok is false if the kind is missing here,
// which a test prevents.
func categoryOfKind(k trace.Kind) (c category, ok bool) {
	switch k {
	case trace.KindPing, trace.KindRequest, trace.KindReply:
		return catNone, true
	case trace.KindTransmit:
		return catQueue, true
	case trace.KindLink:
		return catLink, true
	case trace.KindBridge:
		return catBridge, true
	case trace.KindDevice, trace.KindForward:
		return catRouter, true
	case trace.KindHypervisor, trace.KindFastPath:
		return catHypervisor, true
	case trace.KindEncapsulate, trace.KindDecapsulate, trace.KindTunnel, trace.KindEncrypted:
		return catTunnel, true
	case trace.KindDriver:
		return catDriver, true
	case trace.KindDeliver, trace.KindRespond, trace.KindSend, trace.KindProcess:
		return catEndpoint, true
	case trace.KindBeyond:
		return catBeyond, true
	case trace.KindStacked, trace.KindRedirect, trace.KindMirror, trace.KindUnseen:
		return catOther, true
	}
	return categoryOfStep(k)
}

// categoryOfStep is categoryOfKind for the steps within a network stack. They are normally
// part of a span whose category applies to them.
func categoryOfStep(k trace.Kind) (c category, ok bool) {
	switch k {
	case trace.KindSoftirq, trace.KindStack, trace.KindReceive, trace.KindPrerouting, trace.KindInput,
		trace.KindForwardChain, trace.KindOutput, trace.KindPostrouting, trace.KindRouting,
		trace.KindOutgoing, trace.KindNeighbour, trace.KindSocket:
		return catOther, true
	}
	return catOther, false
}

// categories returns the category of each row of a direction. The parts of a span have the
// category of the span.
func categories(d *bench.Direction) []category {
	out := make([]category, len(d.Rows))
	var top category
	for i, r := range d.Rows {
		if r.Depth == 0 {
			switches := i+1 < len(d.Rows) && d.Rows[i+1].Depth > 0 && d.Rows[i+1].Kind == trace.KindBridge.String()
			top = categoryOf(r.Kind, switches)
		}
		out[i] = top
	}
	return out
}
