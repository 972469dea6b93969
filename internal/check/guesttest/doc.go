// SPDX-License-Identifier: Apache-2.0

// Package guesttest traces the pings of a real virtual machine: a Debian kernel that QEMU
// emulates, whose network card is a tap device in a bridge.
package guesttest
