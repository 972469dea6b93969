// SPDX-License-Identifier: Apache-2.0

package datapath

import "testing"

func TestOpen(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	t.Log(d.attached())
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
}
