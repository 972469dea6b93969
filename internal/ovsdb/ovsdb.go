// SPDX-License-Identifier: Apache-2.0

// Package ovsdb asks Open vSwitch which bridge each of its ports belongs to.
//
// The kernel does not know: for it, all ports of all bridges belong to one device,
// ovs-system. The database of Open vSwitch does. It is queried by the protocol of RFC 7047,
// which is JSON-RPC 1.0 on a Unix socket.
package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
)

// Socket is where the database listens, unless it was built with other directories.
const Socket = "/run/openvswitch/db.sock"

// maxAnswer bounds an answer, in bytes: a port takes about 200.
const maxAnswer = 64 << 20

// Bridges are the names of the bridges that ports belong to.
type Bridges struct {
	port map[string]string // by name of the port's device
	// tunnel is the bridge of all tunnel ports of a type, "" if they are on several.
	tunnel map[string]string
}

// Of returns the name of the bridge that the port with a network device of this name
// belongs to, or "". Those of bridges are ports, too (internal ports).
//
// All tunnel ports of one type and UDP port share one device, such as vxlan_sys_4789. It
// belongs to a bridge if they all do.
func (b Bridges) Of(device string) string {
	if bridge, ok := b.port[device]; ok {
		return bridge
	}
	name, _, ok := strings.Cut(device, "_sys")
	if !ok {
		return ""
	}
	if name == "genev" { // shortened, because a name has no room for more
		name = "geneve"
	}
	return b.tunnel[name]
}

// Equal reports whether both say the same.
func (b Bridges) Equal(other Bridges) bool {
	return maps.Equal(b.port, other.port) && maps.Equal(b.tunnel, other.tunnel)
}

// Query asks the database that listens at the path of a socket. It ends when ctx does.
func Query(ctx context.Context, socket string) (Bridges, error) {
	answer, err := query(ctx, socket)
	if err != nil {
		return Bridges{}, fmt.Errorf("query the database of Open vSwitch at %s: %w", socket, err)
	}
	return answer.join(), nil
}

func query(ctx context.Context, socket string) (tables, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return tables{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer, err := transact(conn)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return answer, err
}

// operation is a select of RFC 7047, section 5.2.2.
type operation struct {
	Op      string   `json:"op"`
	Table   string   `json:"table"`
	Where   []any    `json:"where"`
	Columns []string `json:"columns"`
}

func selectAll(table string, columns ...string) operation {
	return operation{Op: "select", Table: table, Where: []any{}, Columns: columns}
}

// message is a request or a response.
type message struct {
	ID     any             `json:"id"`
	Method string          `json:"method,omitempty"`
	Params []any           `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// transact reads the three tables at one point in time.
func transact(conn io.ReadWriter) (tables, error) {
	err := json.NewEncoder(conn).Encode(message{ID: "dwell", Method: "transact", Params: []any{
		"Open_vSwitch",
		selectAll("Bridge", "name", "ports"),
		selectAll("Port", "_uuid", "interfaces"),
		selectAll("Interface", "_uuid", "name", "type"),
	}})
	if err != nil {
		return tables{}, err
	}
	in := json.NewDecoder(io.LimitReader(conn, maxAnswer))
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			return tables{}, err
		}
		if m.ID != "dwell" || m.Method != "" {
			continue // a question whether we are still there
		}
		if len(m.Error) > 0 && string(m.Error) != "null" {
			return tables{}, errors.New(string(m.Error))
		}
		var answer tables
		if err := json.Unmarshal(m.Result, &answer); err != nil {
			return tables{}, fmt.Errorf("the answer is not valid: %w", err)
		}
		return answer, nil
	}
}
