// SPDX-License-Identifier: Apache-2.0

package otlpread_test

import (
	"fmt"
	"os"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// A line that dwell wrote to a file, or sent from its API, is a trace again, which can be drawn,
// summed up or exported like one that was just made.
func Example() {
	line, err := otlpfile.NewEncoder(otlp.Options{}).Append(nil, []*trace.Trace{tracetest.Dropped(7)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	traces, err := otlpread.Decode(line)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for _, t := range traces {
		fmt.Println(t.Ping, t.Outcome, t.DropReason)
	}
	// Output: ping 192.168.0.10 -> 203.0.113.8 seq 7 dropped NETFILTER_DROP
}
