// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"encoding/json"
	"fmt"
)

// tables is what the transaction returns.
type tables struct {
	bridges []bridgeRow
	ports   []portRow
	ifaces  []interfaceRow
}

// The rows have the columns that are needed, see ovs-vswitchd.conf.db(5).
type bridgeRow struct {
	Name  string `json:"name"`
	Ports uuids  `json:"ports"`
}

// portRow has several interfaces if it is a bond.
type portRow struct {
	UUID       uuids `json:"_uuid"`
	Interfaces uuids `json:"interfaces"`
}

// interfaceRow has the name of the network device, if it has one of its own.
type interfaceRow struct {
	UUID uuids  `json:"_uuid"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// UnmarshalJSON reads the results of the three selects. An operation that failed has an
// error in place of rows, and none after it are done.
func (t *tables) UnmarshalJSON(b []byte) error {
	var results []struct {
		Rows    json.RawMessage `json:"rows"`
		Error   string          `json:"error"`
		Details string          `json:"details"`
	}
	if err := json.Unmarshal(b, &results); err != nil {
		return err
	}
	into := []any{&t.bridges, &t.ports, &t.ifaces}
	for i, r := range results {
		if r.Error != "" {
			return fmt.Errorf("%s: %s", r.Error, r.Details)
		}
		if i < len(into) {
			if err := json.Unmarshal(r.Rows, into[i]); err != nil {
				return err
			}
		}
	}
	if len(results) < len(into) {
		return fmt.Errorf("%d results for %d operations", len(results), len(into))
	}
	return nil
}

// join joins the tables.
func (t *tables) join() Bridges {
	portOf, bridgeOf := map[string]string{}, map[string]string{}
	for _, p := range t.ports {
		for _, id := range p.Interfaces {
			portOf[id] = p.UUID.first()
		}
	}
	for _, b := range t.bridges {
		for _, id := range b.Ports {
			bridgeOf[id] = b.Name
		}
	}
	joined := Bridges{port: map[string]string{}, tunnel: map[string]string{}}
	for _, i := range t.ifaces {
		bridge := bridgeOf[portOf[i.UUID.first()]]
		joined.port[i.Name] = bridge
		if before, ok := joined.tunnel[i.Type]; ok && before != bridge {
			bridge = ""
		}
		joined.tunnel[i.Type] = bridge
	}
	return joined
}

// uuids is a UUID or a set of them, in the notation of RFC 7047, section 5.1: a set with one
// element may be written as the element.
type uuids []string

func (u uuids) first() string {
	if len(u) == 0 {
		return ""
	}
	return u[0]
}

// UnmarshalJSON implements [json.Unmarshaler].
func (u *uuids) UnmarshalJSON(b []byte) error {
	var tagged [2]json.RawMessage
	if err := json.Unmarshal(b, &tagged); err != nil {
		return err
	}
	var tag string
	if err := json.Unmarshal(tagged[0], &tag); err != nil {
		return err
	}
	switch tag {
	case "uuid":
		var id string
		err := json.Unmarshal(tagged[1], &id)
		*u = append(*u, id)
		return err
	case "set":
		var elements []uuids
		err := json.Unmarshal(tagged[1], &elements)
		for _, e := range elements {
			*u = append(*u, e...)
		}
		return err
	}
	return fmt.Errorf("%q is neither a UUID nor a set", tag)
}
