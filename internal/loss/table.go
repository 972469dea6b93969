// SPDX-License-Identifier: Apache-2.0

package loss

// Table returns all kinds of loss, in the order in which an event meets them.
func Table() []Loss {
	return append(kernelLosses(), correlatorLosses()...)
}

func kernelLosses() []Loss {
	return []Loss{
		{
			Metric: "dwell.agent.events.gated", Unit: "{event}", Where: "gate",
			Sentence: "events left out on purpose because there were more pings than can be traced",
			Meaning:  "Events of pings that were left out on purpose, because there were more than can be traced or than `trace.max_rate` allows.",
			Traces:   "None: whole pings are left out, of those identifiers that have the most. The traces of what is left are as always.",
			Remedy:   "Nothing if a flood is not worth more. Otherwise, allow more (`--max-rate`, `trace.max_rate`), trace less, or give dwell more CPU time.",
			Of:       func(c *Counts) *uint64 { return &c.Gated },
		},
		{
			Metric: "dwell.agent.events.lost", Unit: "{event}", Where: "ring buffer",
			Sentence: "events lost because the ring buffer was full",
			Meaning:  "Events lost because the ring buffer was full.",
			Traces:   "Those open at the time are incomplete, `events_lost`.",
			Remedy:   "Enlarge the ring buffer (`--ring-size`, `trace.ring_size`), trace less, or give dwell more CPU time.",
			Of:       func(c *Counts) *uint64 { return &c.RingFull },
		},
		{
			Metric: "dwell.agent.events.missed", Unit: "{event}", Where: "hook",
			Sentence: "events missed because the program was already running on that CPU",
			Meaning:  "Times that the kernel did not run a program because it was already running on that CPU; each may have been an event.",
			Traces:   "Those open at the time are incomplete, `events_lost`.",
			Remedy:   "Nothing if it is rare: an interrupt came at the wrong moment. Otherwise, please report it.",
			Of:       func(c *Counts) *uint64 { return &c.Missed },
		},
		{
			Metric: "dwell.agent.driver.calls.overflow", Unit: "{call}", Where: "hook",
			Sentence: "driver calls not timed because too many were nested",
			Meaning:  "Calls of drivers' transmit functions that were not timed because more were nested than are kept.",
			Traces:   "They lack the driver's part of the device.",
			Remedy:   "Stack fewer devices on each other: at most 8 transmit functions may be nested.",
			Of:       func(c *Counts) *uint64 { return &c.XmitOverflow },
		},
		{
			Metric: "dwell.agent.driver.calls.mismatch", Unit: "{call}", Where: "hook",
			Sentence: "driver calls not timed because their end was not seen",
			Meaning:  "Calls of drivers' transmit functions that were not timed because their end was not seen.",
			Traces:   "They lack the driver's part of the device.",
			Remedy:   "Nothing if it is rare. Otherwise, please report it and name the device's driver.",
			Of:       func(c *Counts) *uint64 { return &c.XmitMismatch },
		},
		{
			Metric: "dwell.agent.records.malformed", Unit: "{record}", Where: "reader",
			Sentence: "records that could not be decoded",
			Meaning:  "Records of the ring buffer that could not be decoded.",
			Traces:   "Those open at the time are incomplete, `events_lost`.",
			Remedy:   "Please report it with the kernel version: it is a bug in dwell.",
			Of:       func(c *Counts) *uint64 { return &c.Malformed },
		},
	}
}

func correlatorLosses() []Loss {
	return []Loss{
		{
			Metric: "dwell.agent.events.late", Unit: "{event}", Where: "correlator",
			Sentence: "events that came after their trace was closed",
			Meaning:  "Events that came after the trace of their ping was closed.",
			Traces:   "They lack the end of the journey, or a reply that came late or twice.",
			Remedy:   "Wait longer for replies (`--timeout`, `trace.timeout`).",
			Of:       func(c *Counts) *uint64 { return &c.Late },
		},
		{
			Metric: "dwell.agent.events.stray", Unit: "{event}", Where: "correlator",
			Sentence: "driver returns for packets of which nothing else was seen",
			Meaning:  "Returns of drivers for packets of which nothing else was seen.",
			Traces:   "None: there is no trace of such a packet.",
			Remedy:   "Nothing if it happens only when tracing begins. If it continues, include the sending device (`--interface`, `trace.interfaces`).",
			Of:       func(c *Counts) *uint64 { return &c.Stray },
		},
		{
			Metric: "dwell.agent.events.overflow", Unit: "{event}", Where: "correlator",
			Sentence: "events discarded because their ping already had as many as are kept",
			Meaning:  "Events discarded because their ping already had as many as are kept.",
			Traces:   "They end early.",
			Remedy:   "Look for a bridge or routing loop in which packets circulate.",
			Of:       func(c *Counts) *uint64 { return &c.Overflow },
		},
		{
			Metric: "dwell.agent.traces.evicted", Unit: "{trace}", Where: "correlator",
			Sentence: "pings evicted because too many were open",
			Meaning:  "Pings closed early because too many were open.",
			Traces:   "They are incomplete, `evicted`.",
			Remedy:   "Wait for replies for a shorter time (`--timeout`, `trace.timeout`), or trace less (`--address`, `trace.addresses`).",
			Of:       func(c *Counts) *uint64 { return &c.Evicted },
		},
		{
			Metric: "dwell.agent.traces.unnamed", Unit: "{trace}", Where: "correlator",
			Sentence: "traces made before all names that they need were known",
			Meaning:  "Traces that were made before all names that they need were known, because these were not found within a second.",
			Traces:   "They are complete, and have numbers of namespaces or devices in place of some names.",
			Remedy:   "See whether namespaces wait to be inspected (`dwell.agent.names.waiting`): many come and go. If none does, something holds up the kernel's answers about devices.",
			Of:       func(c *Counts) *uint64 { return &c.Unnamed },
		},
	}
}
