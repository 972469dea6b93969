// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// stream is a subscriber with who reads it.
type stream struct {
	subscriber *subscriber
	caller     *caller
	tenant     string

	w       http.ResponseWriter
	control *http.ResponseController
	tally   *tally
}

// traces streams traces until the caller goes away, or has no right to them any more.
func (q *request) traces() {
	want, refused := q.filter()
	last := 0
	if refused == nil {
		last, refused = q.number(queryLast, 0, 0)
	}
	if refused != nil {
		q.refuse(refused)
		return
	}
	s := q.server
	if code := s.quotas.stream(q.caller.key, q.rights.operator); code != "" {
		q.refuse(refuse(code, "too many streams are open; end one, or try again later"))
		return
	}
	defer s.quotas.streamDone(q.caller.key)
	st, refused := s.open(q, want, last)
	if refused != nil {
		q.refuse(refused)
		return
	}
	defer s.close(st)
	q.w.Header().Set("Content-Type", api.ContentStream)
	q.w.WriteHeader(http.StatusOK)
	if q.r.Method == http.MethodHead {
		return
	}
	// Otherwise the connection would be taken for an idle one.
	_ = st.control.SetReadDeadline(time.Time{})
	s.run(st, q.r.Context().Done())
}

// open makes a stream, if the caller still may: no change of the policy can be missed.
func (s *Server) open(q *request, want filter, last int) (*stream, *refusal) {
	st := &stream{caller: q.caller, tenant: q.feed.tenant, w: q.w, control: http.NewResponseController(q.w), tally: s.tally}
	if st.subscriber = q.feed.subscribe(want, last); st.subscriber == nil {
		return nil, notYours()
	}
	s.mu.Lock()
	s.streams[st.subscriber] = st
	ending := s.ending
	s.mu.Unlock()
	s.tally.streams.Add(1)
	if ending {
		st.subscriber.stop(stopping(), false)
	}
	s.check(st)
	return st, nil
}

func (s *Server) close(st *stream) {
	st.subscriber.feed.unsubscribe(st.subscriber)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st.subscriber)
	s.tally.streams.Add(-1)
}

func stopping() *api.Problem { return &api.Problem{Code: api.CodeStopping, Message: "the agent ends"} }

// check ends a stream to which its reader no longer has a right.
func (s *Server) check(st *stream) {
	if !s.rightsOf(st.caller).may(st.tenant) {
		st.subscriber.stop(revoked(), true)
	}
}

// run sends until the end.
func (s *Server) run(st *stream, gone <-chan struct{}) {
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	if st.note(api.Note{}) != nil || st.flush() != nil {
		return
	}
	var buf []entry
	for {
		select {
		case <-gone:
			return
		case <-beat.C:
			s.check(st)
			if st.note(api.Note{}) != nil || st.flush() != nil {
				return
			}
		case <-st.subscriber.wake:
			next, end := st.subscriber.take(buf)
			err := st.send(next)
			if end != nil && err == nil {
				s.tally.refuseEnd(end.Code)
				err = st.note(api.Note{End: end})
			}
			if st.flush() != nil || err != nil || end != nil {
				return
			}
			buf = next
			clear(buf)
		}
	}
}

// send writes what was taken out of the queue.
func (st *stream) send(list []entry) error {
	for _, e := range list {
		lost := e.lost
		if e.line != nil {
			text, err := e.line.encoded(st.subscriber.feed.hub)
			if err == nil {
				if err := st.write(text); err != nil {
					return err
				}
				st.tally.sent.Add(1)
				continue
			}
			lost = 1 // it cannot be encoded
			st.subscriber.feed.hub.lost.Add(1)
		}
		if err := st.note(api.Note{Lost: lost}); err != nil {
			return err
		}
	}
	return nil
}

// noteLine is a line without traces.
type noteLine struct {
	ResourceSpans []struct{} `json:"resourceSpans"`
	Dwell         api.Note   `json:"dwell"`
}

func (st *stream) note(n api.Note) error {
	n.Time = time.Now().UTC()
	text, err := json.Marshal(noteLine{[]struct{}{}, n})
	if err != nil {
		return err
	}
	return st.write(append(text, '\n'))
}

// write writes one line. The reader may take its time, but not for ever.
func (st *stream) write(text []byte) error {
	if err := st.control.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return err
	}
	_, err := st.w.Write(text)
	return err
}

func (st *stream) flush() error { return st.control.Flush() }
