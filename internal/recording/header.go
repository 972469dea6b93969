// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/correlate"
)

// Format is the version of the format that this package writes. It reads all up to that.
const Format = 8

// Header says where a recording comes from and how its traces were made.
type Header struct {
	Info
	// Clock names the clock of the events' times.
	Clock string `json:"clock"`
	// Offset is what was to be added to it for nanoseconds since the Unix epoch when
	// the recording began.
	Offset     int64   `json:"clock_offset_ns"`
	Correlator Options `json:"correlator"`
	// EventFields are the fields of an event in the order of the mask's bits.
	EventFields []string `json:"event_fields"`
}

// Info is what the caller knows of the host and of itself.
type Info struct {
	// Version of the dwell that recorded.
	Version  string `json:"dwell_version"`
	HostID   string `json:"host_id"`
	HostName string `json:"host_name"`
	// Kernel is its release, as uname -r prints it.
	Kernel string `json:"kernel"`
	// Environment holds the resource attributes that were set from outside.
	Environment []Attribute `json:"resource_attributes,omitempty"`
}

// Attribute is a resource attribute.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Options are those of a [correlate.Correlator] that are data.
type Options struct {
	Timeout   time.Duration `json:"timeout_ns"`
	Grace     time.Duration `json:"grace_ns"`
	MaxOpen   int           `json:"max_open"`
	MaxEvents int           `json:"max_events"`
	// Key is the key of derived IDs, in hexadecimal, or "" for the default. Whoever
	// has a recording has it.
	Key    string `json:"key,omitempty"`
	HostID string `json:"host_id"`
	Start  uint64 `json:"start"`
	Wall   int64  `json:"wall"`
	// Partial and OwnRoot are as in correlate.Options.
	Partial bool `json:"partial,omitempty"`
	OwnRoot bool `json:"own_root,omitempty"`
	// AwaitsNames is set if the correlator asked whether names were there, see
	// correlate.Options.Named; NameWait and MaxUnnamed are as there.
	AwaitsNames bool          `json:"awaits_names,omitempty"`
	NameWait    time.Duration `json:"name_wait_ns,omitempty"`
	MaxUnnamed  int           `json:"max_unnamed,omitempty"`
}

// Limits on what replaying a recording may cost: the correlator keeps some kilobytes per
// open ping, and compares each event of a ping with each other.
const (
	maxOpen   = 1 << 17
	maxEvents = 1 << 12
)

func optionsOf(o correlate.Options) Options {
	out := Options{
		Timeout: o.Timeout, Grace: o.Grace, MaxOpen: o.MaxOpen, MaxEvents: o.MaxEvents,
		HostID: o.HostID, Start: o.Start, Wall: o.Wall, Partial: o.Partial, OwnRoot: o.OwnRoot,
		AwaitsNames: o.Named != nil, NameWait: o.NameWait, MaxUnnamed: o.MaxUnnamed,
	}
	if o.Key != (correlate.Key{}) && o.Key != correlate.DefaultKey {
		out.Key = hex.EncodeToString(o.Key[:])
	}
	return out
}

// correlate returns the options for a Correlator, without Resolver, Named and Emit.
func (o Options) correlate() (correlate.Options, error) {
	out := correlate.Options{
		Timeout: o.Timeout, Grace: o.Grace, MaxOpen: o.MaxOpen, MaxEvents: o.MaxEvents,
		HostID: o.HostID, Start: o.Start, Wall: o.Wall, Partial: o.Partial, OwnRoot: o.OwnRoot,
		NameWait: o.NameWait, MaxUnnamed: o.MaxUnnamed,
	}
	if max(o.MaxOpen, o.MaxUnnamed) > maxOpen || o.MaxEvents > maxEvents {
		return out, fmt.Errorf("%d open pings of %d events, and %d without names: at most %d of %d can be replayed",
			o.MaxOpen, o.MaxEvents, o.MaxUnnamed, maxOpen, maxEvents)
	}
	if o.Key == "" {
		return out, nil
	}
	key, err := hex.DecodeString(o.Key)
	if err != nil || len(key) != len(out.Key) {
		return out, fmt.Errorf("key %q is not %d hexadecimal digits", o.Key, 2*len(out.Key))
	}
	out.Key = correlate.Key(key)
	return out, nil
}

func (h Header) encode() []byte {
	text, err := json.Marshal(h)
	if err != nil {
		panic(err) // a Header has nothing in it that JSON cannot express
	}
	return text
}
