// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"sync"
	"time"
)

// The budget for looking at namespaces, of all who want to: it is what bounds the agent's CPU
// time on a host on which hundreds of namespaces come and go.
const (
	// lookShare is the part of one CPU's time that looks may take, lookSaved the CPU time that
	// may be saved up for when many are needed at once.
	lookShare = 0.02
	lookSaved = 100 * time.Millisecond
	// lookRate is how many looks there may be in a second, lookBurst how many of them may be
	// saved up.
	lookRate  = 200
	lookBurst = 400
)

// need says how much a look matters.
type need uint8

const (
	// refresh is for what is known and may have changed. It leaves half of what was saved up to
	// what is needed.
	refresh need = iota
	// urgent is for what is not known.
	urgent
)

// budget grants looks. The zero value grants all.
type budget struct {
	share       float64 // CPU time in a unit of time
	saved       time.Duration
	rate, burst float64 // looks a second, looks

	mu    sync.Mutex
	at    time.Time     // up to when the following are right
	time  time.Duration // CPU time that may be used; negative if too much was
	looks float64
}

func newBudget(now time.Time) *budget {
	return &budget{
		share: lookShare, saved: lookSaved, rate: lookRate, burst: lookBurst,
		at: now, time: lookSaved, looks: lookBurst,
	}
}

// take takes a look, and reports false if there is none to be had now.
func (b *budget) take(n need, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.earn(now)
	left, looks := time.Duration(0), 0.0
	if n == refresh {
		left, looks = b.saved/2, b.burst/2
	}
	if b.time <= left || b.looks < looks+1 {
		return false
	}
	b.looks--
	return true
}

// spend notes that looking has taken CPU time.
func (b *budget) spend(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.time -= d
}

// earn adds what may be used since the last time.
func (b *budget) earn(now time.Time) {
	passed := now.Sub(b.at)
	if passed <= 0 {
		return
	}
	b.at = now
	b.time = min(b.saved, b.time+time.Duration(b.share*float64(passed)))
	b.looks = min(b.burst, b.looks+b.rate*passed.Seconds())
}

// wait returns in how long an urgent look may be taken, or at least tried for.
func (b *budget) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.earn(now)
	forTime := time.Duration(float64(-b.time) / b.share)
	forLook := time.Duration((1 - b.looks) / b.rate * float64(time.Second))
	return min(max(time.Millisecond, forTime, forLook), longestWait)
}
