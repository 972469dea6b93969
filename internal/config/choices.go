// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
)

// None is the only element of a list that means nothing where an empty one means a default.
const None = "none"

// Switch is on, off, or as the circumstances say.
type Switch string

// The positions of a Switch.
const (
	Auto Switch = "auto"
	On   Switch = "true"
	Off  Switch = "false"
)

// UnmarshalText implements [encoding.TextUnmarshaler]; True is as good as true, as for a
// bool.
func (s *Switch) UnmarshalText(text []byte) (err error) {
	*s, err = oneOf(strings.ToLower(string(text)), Auto, On, Off)
	return err
}

// Protocol is that by which traces are sent.
type Protocol string

// The protocols.
const (
	// AutoProtocol: the one for which OpenTelemetry's variables ask, or GRPC.
	AutoProtocol Protocol = "auto"
	GRPC         Protocol = "grpc"
	HTTPProtobuf Protocol = "http/protobuf"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Protocol) UnmarshalText(text []byte) (err error) {
	*p, err = oneOf(string(text), AutoProtocol, GRPC, HTTPProtobuf)
	return err
}

// Compression is that of requests to an endpoint.
type Compression string

// The compressions.
const (
	// AutoCompression: the one for which OpenTelemetry's variables ask, or none.
	AutoCompression Compression = "auto"
	Gzip            Compression = "gzip"
	Uncompressed    Compression = "none"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Compression) UnmarshalText(text []byte) (err error) {
	*c, err = oneOf(string(text), AutoCompression, Gzip, Uncompressed)
	return err
}

// Root says whose the root span of a ping is that this host only passes on.
type Root string

// The roots.
const (
	// Sender: that of the host that sends the ping, which needs an agent, too.
	Sender Root = "sender"
	// Host: one of this host's own.
	OwnHost Root = "host"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Root) UnmarshalText(text []byte) (err error) {
	*r, err = oneOf(string(text), Sender, OwnHost)
	return err
}

// Place is where pings or traces are left out.
type Place string

// The places.
const (
	// InKernel: pings, before anything is recorded of them.
	InKernel Place = "kernel"
	// AtExport: traces, when all is known of them.
	AtExport Place = "export"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Place) UnmarshalText(text []byte) (err error) {
	*p, err = oneOf(string(text), InKernel, AtExport)
	return err
}

// Format is how a line of the log looks.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Format) UnmarshalText(text []byte) (err error) {
	*f, err = oneOf(string(text), Text, JSON)
	return err
}

func oneOf[S ~string](text string, choices ...S) (S, error) {
	if slices.Contains(choices, S(text)) {
		return S(text), nil
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	return "", fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
}
