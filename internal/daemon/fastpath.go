// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"io/fs"

	"github.com/dwelltrace/dwell/internal/config"
)

// FastPathPin returns the directory in which the programs of the fast path are pinned. Without a
// configuration file it is the default.
func FastPathPin(o Options) (string, error) {
	l, err := config.Load(o.File, o.Environ)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default().FastPath.Pin, nil
	}
	if err != nil {
		return "", err
	}
	return l.FastPath.Pin, nil
}
