// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sysctl is a setting of one network namespace, by its path below /proc/sys/net.
type sysctl struct {
	path, value string
	// optional settings exist only with the module that they are about.
	optional bool
}

// sysctls returns what every namespace of a lab is set to. A new namespace takes
// some of the host's settings over, so that a lab would differ from host to host;
// and it sends packets of its own where it looks for routers and duplicates.
func sysctls(forward bool) []sysctl {
	router := "0"
	if forward {
		router = "1"
	}
	return []sysctl{
		// Setting forwarding resets others and so comes first.
		{path: "ipv4/conf/all/forwarding", value: router},
		{path: "ipv4/conf/default/forwarding", value: router},
		{path: "ipv4/conf/all/rp_filter", value: "0"},
		{path: "ipv4/conf/default/rp_filter", value: "0"},
		{path: "ipv6/conf/all/disable_ipv6", value: "0"},
		{path: "ipv6/conf/default/disable_ipv6", value: "0"},
		{path: "ipv6/conf/all/forwarding", value: router},
		{path: "ipv6/conf/all/accept_dad", value: "0"},
		{path: "ipv6/conf/default/accept_dad", value: "0"},
		{path: "ipv6/conf/default/accept_ra", value: "0"},
		{path: "ipv6/conf/default/router_solicitations", value: "0"},
		// A bridged packet does not go through iptables as well.
		{path: "bridge/bridge-nf-call-iptables", value: "0", optional: true},
		{path: "bridge/bridge-nf-call-ip6tables", value: "0", optional: true},
		{path: "bridge/bridge-nf-call-arptables", value: "0", optional: true},
	}
}

// ensureSysctls writes the settings. /proc/sys/net shows those of the namespace
// of the thread that looks.
func (s *space) ensureSysctls(forward bool) error {
	return s.Do(func() error {
		for _, c := range sysctls(forward) {
			err := os.WriteFile(filepath.Join("/proc/sys/net", c.path), []byte(c.value), 0)
			if c.optional && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("setting %s (is /proc/sys writable and IPv6 enabled?): %w", c.path, err)
			}
		}
		return nil
	})
}
