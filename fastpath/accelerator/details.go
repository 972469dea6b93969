// SPDX-License-Identifier: Apache-2.0

package accelerator

import "sync"

// maxDetails bounds how many different sentences are kept. Rules do not have so many.
const maxDetails = 4096

// details are the sentences that entries have as numbers. When all flows are asked about again,
// they begin anew: a number has the generation in its upper half, so that an old one is not taken for another
// sentence.
type details struct {
	mu         sync.Mutex
	generation uint32
	list       []string
	numbers    map[string]uint32
}

const generationShift = 16

// number returns the number of a sentence; 0, which is none, for "" and if there are too many.
func (d *details) number(text string) uint32 {
	if text == "" {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.numbers[text]; n != 0 {
		return n
	}
	if len(d.list) == maxDetails {
		return 0
	}
	if d.numbers == nil {
		d.numbers = map[string]uint32{}
	}
	d.list = append(d.list, text)
	n := d.generation<<generationShift | uint32(len(d.list))
	d.numbers[text] = n
	return n
}

// text returns the sentence of a number, or "".
func (d *details) text(n uint32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := n & (1<<generationShift - 1)
	if n>>generationShift != d.generation || i == 0 || int(i) > len(d.list) {
		return ""
	}
	return d.list[i-1]
}

// renew forgets all sentences.
func (d *details) renew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation = (d.generation + 1) & (1<<generationShift - 1)
	d.list, d.numbers = nil, nil
}
