// SPDX-License-Identifier: Apache-2.0

package netfilter

import "testing"

// Block is a chain as it is written.
type Block struct {
	Name  string
	Lines []string
}

// Blocks returns what is written for a layout.
func Blocks(t testing.TB, l *Layout) []Block {
	t.Helper()
	blocks, err := l.blocks(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []Block
	for _, b := range blocks {
		var lines []string
		for _, l := range b.lines {
			lines = append(lines, l.text)
		}
		out = append(out, Block{b.name, lines})
	}
	return out
}

// Owns is owns.
func Owns(base, chain string) bool { return owns(base, chain) }
