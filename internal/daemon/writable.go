// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writable returns an error if files cannot be created in a directory, or in its nearest
// parent that exists. "" means no directory and is not an error.
func writable(dir string) error {
	if dir == "" {
		return nil
	}
	at := dir
	for {
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is not a directory; name another path", at)
		case err == nil:
			if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
				return fmt.Errorf("%s is not writable: %w; give the agent's user %d write access, or name another directory", at, err, os.Geteuid())
			}
			return nil
		case !os.IsNotExist(err) || at == filepath.Dir(at):
			return err
		}
		at = filepath.Dir(at)
	}
}
