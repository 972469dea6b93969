// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"

	"github.com/dwelltrace/dwell/internal/netns"
)

// What another tenant has on the hypervisor of a lab:
//
//	other 10.1.0.2 --- tap-blue [br-blue 10.1.0.1] hypervisor
const (
	otherPort   = "tap-blue"
	otherBridge = "br-blue"
	otherAddr   = "10.1.0.2"
	otherNext   = "10.1.0.1"
	otherNet    = "10.1.0.0/24"
	guestNet    = "10.0.0.0/24"
)

// addOther adds another tenant's guest to a lab that routes, and returns the hardware address to which it
// sends, and its own.
func (l *lab) addOther(name string) (next, own net.HardwareAddr, err error) {
	if l.other, err = netns.Create(name); err != nil {
		return nil, nil, err
	}
	l.names = append(l.names, name)
	for _, step := range []func() error{
		func() error { return silence(l.other) },
		func() error { return pair(l.hypervisor, otherPort, l.other) },
		func() error { return bridged(l.hypervisor, otherBridge, otherPort) },
	} {
		if err := step(); err != nil {
			return nil, nil, fmt.Errorf("another tenant: %w", err)
		}
	}
	next, err = up(l.hypervisor, device{name: otherBridge, addr: otherNext + "/24"})
	if err == nil {
		_, err = up(l.hypervisor, device{name: otherPort})
	}
	if err == nil {
		own, err = up(l.other, device{name: guestDevice, addr: otherAddr + "/24"})
	}
	return next, own, err
}
