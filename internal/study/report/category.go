// SPDX-License-Identifier: Apache-2.0

package report

import "github.com/dwelltrace/dwell/internal/study/bench"

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
)

var allCategories = []category{
	catQueue, catLink, catBridge, catRouter, catHypervisor, catTunnel, catDriver, catEndpoint, catBeyond, catOther,
}

// categoryOf maps kinds of span. A device is a bridge if it switches; what it
// consists of tells.
func categoryOf(kind string, switches bool) category {
	switch kind {
	case "transmit":
		return catQueue
	case "link":
		return catLink
	case "bridge":
		return catBridge
	case "device":
		if switches {
			return catBridge
		}
		return catRouter
	case "forward":
		return catRouter
	case "hypervisor":
		return catHypervisor
	case "encapsulate", "decapsulate":
		return catTunnel
	case "driver":
		return catDriver
	case "deliver", "respond", "send":
		return catEndpoint
	case "beyond":
		return catBeyond
	}
	return catOther
}

// categories returns that of each row of a direction; what is inside a span has that
// of the span.
func categories(d *bench.Direction) []category {
	out := make([]category, len(d.Rows))
	var top category
	for i, r := range d.Rows {
		if r.Depth == 0 {
			switches := i+1 < len(d.Rows) && d.Rows[i+1].Depth > 0 && d.Rows[i+1].Kind == "bridge"
			top = categoryOf(r.Kind, switches)
		}
		out[i] = top
	}
	return out
}
