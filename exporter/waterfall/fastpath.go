// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// fastPathText describes what the fast path did to the packet. What it rewrote of addresses is
// told by the event for that.
func fastPathText(e trace.Event, value map[string]string, into string) []string {
	var lines []string
	switch e.Name {
	case trace.EventRedirect:
		lines = redirectText(value, into)
	case trace.EventFallback:
		lines = []string{"left to the kernel by the fast path"}
	default:
		lines = []string{learnText(value)}
	}
	if ns := value[trace.AttrFastPathNS]; ns != "" {
		lines[0] += " in " + ns + " ns"
	}
	if reason := value[trace.AttrFastPathReason]; reason != "" {
		lines[0] += ": " + reason
	}
	return lines
}

// redirectText returns, for example, "sent to ens3" and what the packet became. It stands on a leaf that
// is called after the fast path.
func redirectText(value map[string]string, into string) []string {
	to := value[trace.AttrFastPathTo]
	line := "sent on"
	switch {
	case to != "" && value[trace.AttrFastPathHandover] == trace.HandedToPeer:
		line = "given to " + to + "'s other end"
	case to != "":
		line = "sent to " + to
	}
	lines := []string{line}
	var became []string
	if ttl := value[trace.AttrFastPathTTL]; ttl != "" {
		became = append(became, "ttl "+ttl)
	}
	if tunnel := value[trace.AttrFastPathTunnel]; tunnel != "" {
		became = append(became, tunnel)
	}
	if lease, err := strconv.ParseUint(value[trace.AttrFastPathLease], 10, 64); err == nil {
		became = append(became, strconv.FormatFloat(float64(lease)/1e3, 'f', 1, 64)+" s of its lease left")
	}
	if len(became) > 0 {
		lines = append(lines, strings.Join(became, ", "))
	}
	if src, dst := value[trace.AttrFastPathSrcMAC], value[trace.AttrFastPathDstMAC]; src != "" && dst != "" {
		lines = append(lines, src+" "+into+" "+dst)
	}
	return lines
}

// learnText says what the fast path learnt from the packet.
func learnText(value map[string]string) string {
	switch value[trace.AttrFastPathLearnt] {
	case "made":
		return "learnt by the fast path"
	case "renewed":
		return "as the fast path foretold, lease renewed"
	case "agreed":
		return "as the fast path foretold"
	}
	if value[trace.AttrFastPathReason] != "" {
		return "not learnt by the fast path"
	}
	return "looked at by the fast path"
}
