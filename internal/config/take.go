// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
)

// Take makes c what next says, but for what a reload does not change. It returns the
// paths of the settings that changed, and of those that differ and need a restart.
func (c *Config) Take(next Config) (changed, restart []string) {
	old, to := settings(c), settings(&next)
	for i, s := range old {
		if same(s.value, to[i].value) {
			continue
		}
		if needsRestart(s.path) {
			restart = append(restart, s.path)
			continue
		}
		s.value.Set(to[i].value)
		changed = append(changed, s.path)
	}
	return changed, restart
}

// same is DeepEqual, but for an empty list being equal to none.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len()+b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func needsRestart(path string) bool {
	return slices.ContainsFunc(Fields(), func(f Field) bool { return f.Path == path && f.Restart })
}
