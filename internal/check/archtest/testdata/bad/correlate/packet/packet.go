// SPDX-License-Identifier: Apache-2.0

// Package packet knows what a packet is for.
package packet

import "github.com/dwelltrace/dwell/correlate/event"

// Answered knows echoes, which is for the other stage.
func Answered(t event.Type, h event.Hook) bool { return t != event.EchoRequest && h == event.Last }
