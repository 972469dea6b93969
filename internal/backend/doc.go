// SPDX-License-Identifier: Apache-2.0

// Package backend answers what tenants and the operator ask of a running agent: which pings
// there were, where they dwelt, and every new trace as it is finished.
//
// A [Hub] is given the traces by the agent's loop and remembers a bounded part of them. It
// holds each tenant's apart, in a feed of its own that was never given anything but what
// this tenant may see; there is no filter on the way out that could be forgotten. A [Server]
// answers over HTTP, on a unix socket and over mutual TLS, and decides who may ask for what.
//
// Package api has the types of the answers, package client asks.
package backend
