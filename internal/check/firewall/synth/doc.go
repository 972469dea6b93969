// SPDX-License-Identifier: Apache-2.0

// Package synth makes rule sets of the shapes that firewalls have in practice, of any size, and
// packets that they have to judge. The same seed makes the same.
//
// Three flavours are like those of ClassBench (Taylor and Turner, INFOCOM 2005), by which classifiers
// are compared: they have its mixtures of prefix lengths, classes of ports and protocols.
package synth
