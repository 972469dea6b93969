// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"reflect"
	"testing"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/config"
)

// Who may only read is not taken for somebody who may change a firewall, and the other way round.
func TestPolicyOfReaders(t *testing.T) {
	p := policyOf(config.Access{}, []config.Tenant{{
		ID: "red", Access: config.Access{UIDs: []config.UserID{1}}, Readers: config.Access{GIDs: []config.UserID{2}, Certificates: []string{"c"}},
	}})
	tenants := map[string]backend.Access{"red": {UIDs: []uint32{1}}}
	readers := map[string]backend.Access{"red": {GIDs: []uint32{2}, Certificates: []string{"c"}}}
	if !reflect.DeepEqual(p.Tenants, tenants) || !reflect.DeepEqual(p.Readers, readers) {
		t.Errorf("%+v", p)
	}
}
