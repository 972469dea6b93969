// SPDX-License-Identifier: Apache-2.0

package probe

// Outcome is how a ping ended.
type Outcome uint8

// The outcomes, from good to bad.
const (
	// Answered: the reply came in time.
	Answered Outcome = 1 + iota
	// Lost: nothing came in time.
	Lost
	// TooBig: an ICMP error said that the ping is larger than a link on the way takes.
	TooBig
	// Expired: an ICMP error said that it went through too many routers, or lost a fragment.
	Expired
	// Unreachable: an ICMP error said that there is no way to the target, or none that is allowed.
	Unreachable
	// NoRoute: the namespace has no route to the target, so it was not sent.
	NoRoute
	// Failed: it could not be sent for another reason.
	Failed
	// Aborted: the namespace or the probe was removed before there was a reply.
	Aborted
)

// Outcomes lists all.
func Outcomes() []Outcome {
	return []Outcome{Answered, Lost, TooBig, Expired, Unreachable, NoRoute, Failed, Aborted}
}

// String returns the word for it in metrics and in the API, "" for 0.
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "success"
	case Lost:
		return "timeout"
	case TooBig:
		return "too_big"
	case Expired:
		return "expired"
	case Unreachable:
		return "unreachable"
	case NoRoute:
		return "no_route"
	case Failed:
		return "error"
	case Aborted:
		return "aborted"
	}
	return ""
}
