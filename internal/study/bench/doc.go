// SPDX-License-Identifier: Apache-2.0

// Package bench runs the paper's study: in each topology of the lab, batches of
// pings from the guest, and for every stretch of their way how long they dwelt
// there.
//
// A figure is worth what is known of how it was made. So a [Result] carries the
// protocol, the machine and everything that went wrong beside the figures, and
// where two things are compared (rules or none, traced or not) their batches take
// turns in one network, so that a machine that grows slower or faster in the
// meantime changes both alike.
//
// What is measured comes from traces alone: [Collector] is a pure function of
// them. How they are recorded is handed in as a [StartFunc], so that this package
// depends on the lab and the trace model, and on no kernel code.
package bench
