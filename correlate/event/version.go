// SPDX-License-Identifier: Apache-2.0

package event

import "fmt"

// Version is the version of a Linux kernel, without the patch level.
type Version struct{ Major, Minor uint16 }

// ParseVersion reads the version from the release of a kernel, as uname -r prints it:
// "6.1.0-41-amd64" is 6.1.
func ParseVersion(release string) (Version, error) {
	var v Version
	if _, err := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor); err != nil {
		return Version{}, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return v, nil
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// String returns "6.1".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
