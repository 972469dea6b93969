// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"math/rand/v2"
	"time"
)

// Fault says what kept a batch from being taken, as far as it matters for what is done
// next. It is the same for all protocols.
type Fault int

const (
	// Final means that nothing did, or nothing that another try would change. The batch is
	// settled.
	Final Fault = iota
	// Passing means that the batch may be sent again, and will be taken one day.
	Passing
	// Denied means that the receiver does not accept the credentials. Somebody has to do
	// something, which takes long, so that the tries are few.
	Denied
	// Exhausted means that the receiver has had enough and does not say for how long. It
	// may never take the batch, which is given up after a while.
	Exhausted
	// TooLarge means that the batch is larger than the receiver's limit. It is sent in two.
	TooLarge
)

// Verdict says what became of one try to send a batch.
type Verdict struct {
	// Result is final if Fault is; otherwise it is what is counted if there is no other try.
	Result
	Fault Fault
	// After is how long the receiver asks to wait before another try, of which five
	// minutes are granted at most.
	After time.Duration
	// Kept is set if the payload may still be in use.
	Kept bool
}

// Backoff grows by half with each try from First to Max. Each wait is drawn from half
// of it to one and a half, so that clients that failed together do not retry together.
type Backoff struct{ First, Max time.Duration }

func (b Backoff) after(tries int) time.Duration {
	d := b.First
	for ; tries > 0 && d < b.Max; tries-- {
		d += d / 2
	}
	d = min(d, b.Max)
	return d/2 + rand.N(d+1)
}

// maxAfter bounds Verdict.After: a typing error or a clock that jumped looks like a
// request to wait for days, and one request in five minutes does no harm.
const maxAfter = 5 * time.Minute

// granted is how long to wait for who asks for after: not less, and up to half as long
// again, because the same was asked of all clients.
func granted(after time.Duration) time.Duration {
	after = min(max(after, 0), maxAfter)
	return after + rand.N(after/2+1)
}
