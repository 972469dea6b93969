// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Datapath is one tenant's programs and maps. Its methods may be called from several
// goroutines. Only one process at a time may have a tenant's open.
type Datapath struct {
	opts Options
}

var errNotYet = errors.New("firewall programs are not there yet: iptables decides alone")

// Open adopts what is pinned, or makes it anew. Nothing is judged before the first
// [Datapath.Swap]. What is adopted judges on as before.
func Open(_ Options) (*Datapath, error) { return nil, errNotYet }

// Swap puts tables in place of those in force, and returns their generation. When it has
// returned, no packet is judged by the old ones. With an error, the old ones stay.
func (d *Datapath) Swap(_ Generation) (uint32, error) { return 0, errNotYet }

// Attach puts the program at the port's TC ingress and returns how: "tcx" or "clsact".
// Attaching again renews what is known of the device.
func (d *Datapath) Attach(_ scope.Port, _ scope.Device) (string, error) { return "", errNotYet }

// Detach takes the program from a port, and forgets what was counted there. It is no error if
// there is none.
func (d *Datapath) Detach(_ int) error { return errNotYet }

// Attached returns the ports that have the program, in order of index.
func (d *Datapath) Attached() ([]AttachedPort, error) { return nil, errNotYet }

// Counters returns what was counted in the tables in force, and once in those that were
// replaced since the last call.
func (d *Datapath) Counters() ([]TableCounts, error) { return nil, errNotYet }

// Ports returns what the programs did at the ports, in order of index.
func (d *Datapath) Ports() ([]PortCounts, error) { return nil, errNotYet }

// SetTracing changes where what is done to traced echoes is recorded: see [Options]. Programs
// stay where they are, in iptables' rules too.
func (d *Datapath) SetTracing(_ map[string]*ebpf.Map) error { return errNotYet }

// Renewed reports whether Open has replaced a program that iptables' rules may still have:
// they should be put anew, to have the program that is pinned now. Until then the old one
// decides as well.
func (d *Datapath) Renewed() bool { return false }

// Path returns where the program of that name is pinned, for --object-pinned.
func (d *Datapath) Path(name string) string { return filepath.Join(d.dir(), name) }

// Close forgets the programs, which stay in force.
func (d *Datapath) Close() error { return errNotYet }

// Remove detaches and unpins everything of the tenant, and closes. Rules in iptables that have
// one of the programs keep it, so they go first.
func (d *Datapath) Remove() error { return errNotYet }

// dir is where everything of the tenant is pinned.
func (d *Datapath) dir() string { return tenantDir(d.opts.Pin, d.opts.Tenant) }

// layout is the version of what is pinned. Another has another directory.
const layout = "v1"

func tenantDir(pin string, tenant uint32) string {
	return filepath.Join(pin, layout, fmt.Sprintf("%08x", tenant))
}
