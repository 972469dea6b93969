// SPDX-License-Identifier: Apache-2.0

package correlate

// list is a first-in, first-out list of pings from which any can be removed. A ping
// is in one list at a time and holds the links itself.
type list struct {
	head, tail *ping
}

// links are a ping's place in its list.
type links struct {
	list       *list
	prev, next *ping
}

// front returns the oldest ping, or nil.
func (l *list) front() *ping { return l.head }

// push moves p from the list it is in, if any, to the end of l.
func (l *list) push(p *ping) {
	p.leave()
	p.list, p.prev = l, l.tail
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.next = p
	}
	l.tail = p
}

// leave removes p from the list it is in, if any.
func (p *ping) leave() {
	l := p.list
	if l == nil {
		return
	}
	if p.prev == nil {
		l.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.links = links{}
}
