// SPDX-License-Identifier: Apache-2.0

package ovsdb_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/ovsdb"
	"github.com/dwelltrace/dwell/internal/ovsdb/ovsdbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBridges(t *testing.T) {
	s := ovsdbtest.Serve(t,
		ovsdbtest.Port{Bridge: "br-int", Type: "internal", Devices: []string{"br-int"}},
		ovsdbtest.Port{Bridge: "br-int", Devices: []string{"tap1"}},
		ovsdbtest.Port{Bridge: "br-int", Type: "geneve", Devices: []string{"ovn-1"}},
		ovsdbtest.Port{Bridge: "br-int", Type: "geneve", Devices: []string{"ovn-2"}},
		ovsdbtest.Port{Bridge: "br-int", Type: "vxlan", Devices: []string{"vx1"}},
		ovsdbtest.Port{Bridge: "br-ex", Type: "internal", Devices: []string{"br-ex"}},
		ovsdbtest.Port{Bridge: "br-ex", Devices: []string{"e0", "e1"}},
		ovsdbtest.Port{Bridge: "br-ex", Type: "vxlan", Devices: []string{"vx2"}},
	)
	bridges, err := ovsdb.Query(t.Context(), s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{
		"br-int": "br-int", "br-ex": "br-ex", "tap1": "br-int", "e0": "br-ex", "e1": "br-ex",
		"genev_sys_6081": "br-int", // all of this type are on one bridge
		"vxlan_sys_4789": "",       // these are not
		"gre_sys":        "", "eth0": "", "": "",
	} {
		if got := bridges.Of(device); got != want {
			t.Errorf("%s: bridge %q, want %q", device, got, want)
		}
	}
	again, err := ovsdb.Query(t.Context(), s.Socket)
	if err != nil || !again.Equal(bridges) || again.Equal(ovsdb.Bridges{}) {
		t.Errorf("%+v, %v, first %+v", again, err, bridges)
	}
}

// What ovsdb-server 3.1 itself answered.
func TestRealAnswer(t *testing.T) {
	s := ovsdbtest.Serve(t)
	s.Answer(`[{"rows":[{"name":"br-ex","ports":["set",[["uuid","52f59f6b-25b3-46ee-87a9-41f731dacf96"],` +
		`["uuid","7a8b65c5-f361-41f4-b998-945ed8f8e05a"]]]},{"name":"br0","ports":["set",[]]}]},` +
		`{"rows":[{"_uuid":["uuid","7a8b65c5-f361-41f4-b998-945ed8f8e05a"],"interfaces":["set",[["uuid",` +
		`"b1b93007-03bf-4c39-aafa-98725a950052"],["uuid","d9ba0e5e-d9fe-4594-ac1d-3bfd3b316c0d"]]]},` +
		`{"_uuid":["uuid","52f59f6b-25b3-46ee-87a9-41f731dacf96"],"interfaces":["uuid","146c76c9-bb63-4195-9cce-0923125e72a2"]}]},` +
		`{"rows":[{"_uuid":["uuid","146c76c9-bb63-4195-9cce-0923125e72a2"],"name":"br-ex","type":"internal"},` +
		`{"_uuid":["uuid","b1b93007-03bf-4c39-aafa-98725a950052"],"name":"e0","type":""},` +
		`{"_uuid":["uuid","d9ba0e5e-d9fe-4594-ac1d-3bfd3b316c0d"],"name":"e1","type":""}]}]`)
	bridges, err := ovsdb.Query(t.Context(), s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"br-ex", "e0", "e1"} {
		if got := bridges.Of(device); got != "br-ex" {
			t.Errorf("%s: bridge %q, want br-ex", device, got)
		}
	}
}

func TestAnswersThatAreNotValid(t *testing.T) {
	s := ovsdbtest.Serve(t)
	for answer, want := range map[string]string{
		`[{"error":"syntax error","details":"No table named Bridge."},null,null]`: "No table named Bridge",
		`[]`:         "0 results",
		`{}`:         "not valid",
		`[{},{},{}]`: "not valid",
		`[1,2,3]`:    "not valid",
		`not JSON`:   "invalid character",
		`[{"rows":[{"name":"b","ports":["map",[]]}]},{"rows":[]},{"rows":[]}]`:      "neither a UUID nor a set",
		`[{"rows":[]},{"rows":[{"_uuid":["uuid",7],"interfaces":[]}]},{"rows":[]}]`: "not valid",
		`[{"rows":[]},{"rows":[{"_uuid":[7,"x"],"interfaces":[]}]},{"rows":[]}]`:    "not valid",
		`[{"rows":[]},{"rows":[{"_uuid":["set",7],"interfaces":[]}]},{"rows":[]}]`:  "not valid",
		`[{"rows":[]},{"rows":[]},{"rows":[{"_uuid":"x","name":"y","type":"z"}]}]`:  "not valid",
		`[],"error":{"error":"not owner"}`:                                          "",
	} {
		s.Answer(answer)
		_, err := ovsdb.Query(t.Context(), s.Socket)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s.Socket) {
			t.Errorf("%s: error %v, want one with %q and the socket", answer, err, want)
		}
	}
	if _, err := ovsdb.Query(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error without a socket")
	}
}

// A database that does not answer costs no more than the time that it is given.
func TestQueryEnds(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "db.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := ovsdb.Query(ctx, socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
}
