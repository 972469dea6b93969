// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// contentPlain is the type of a file of rules.
const contentPlain = "text/plain"

// maxWords bounds the words of a command.
const maxWords = 1000

// checkBody refuses a body that the route does not take, as far as that can be told without
// reading it. The type must be named: a page in somebody's browser can send JSON only after
// it has asked, which is refused.
func (r *route) checkBody(of *http.Request) *refusal {
	switch {
	case r.body == "" && of.ContentLength != 0:
		return badRequest("a request must not have a body")
	case r.body == "":
		return nil
	case of.ContentLength == 0:
		return badRequest("the request has no body")
	case of.ContentLength > r.maxBody:
		return r.tooLarge()
	}
	if kind, _, err := mime.ParseMediaType(of.Header.Get("Content-Type")); err != nil || kind != r.body {
		return refuse(api.CodeContent, "the body must be "+r.body+", and Content-Type say so")
	}
	return nil
}

func (r *route) tooLarge() *refusal {
	return refuse(api.CodeTooLarge, "the body is larger than "+strconv.FormatInt(r.maxBody, 10)+" bytes")
}

// readBody reads the body. That may take the caller a while: whatever right it has lost
// meanwhile is lost.
func (q *request) readBody() *refusal {
	if q.route.body == "" {
		return nil
	}
	var err error
	q.body, err = io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, q.route.maxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return q.route.tooLarge()
	case err != nil:
		return badRequest("the body broke off, or came too slowly")
	}
	if q.rights = q.server.rightsOf(q.caller); !q.rights.may(q.tenantID) {
		return notYours()
	}
	return nil
}

// changes refuses a change, unless it is a dry run, to who may only see.
func (q *request) changes(dry bool) error {
	if dry || q.rights.mayChange(q.tenantID) {
		return nil
	}
	return refusedError{refuse(api.CodeReadOnly, "you may see this firewall, and not change it: list, save, check, explain and dry runs are what you may do")}
}

// decode reads the body as JSON. A name that is not known is an error: a caller that has
// misspelt dry_run must not have changed something.
func (q *request) decode(into any) error {
	d := json.NewDecoder(bytes.NewReader(q.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refusedError{badRequest("the body is not as the API describes it: " + strings.TrimPrefix(err.Error(), "json: "))}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refusedError{badRequest("the body has more than one value")}
	}
	return nil
}

// checkWords refuses a command that cannot be one, or that only operators may give.
func (q *request) checkWords(words []string, affectOthers bool) error {
	switch {
	case affectOthers && !q.rights.operator:
		return refusedError{refuse(api.CodeNotYours, "only an operator may change what is not one tenant's (affect_others)")}
	case len(words) == 0 || len(words) > maxWords:
		return refusedError{badRequest("a command has 1 to " + strconv.Itoa(maxWords) + " words")}
	}
	for _, w := range words {
		if err := checkControl(w, ""); err != nil {
			return err
		}
	}
	return nil
}

// checkControl refuses control characters, except those allowed: no command has them, and
// elsewhere they would not stay what they are here, such as the end of a line.
func checkControl(text, allowed string) error {
	i := strings.IndexFunc(text, func(r rune) bool { return (r < ' ' || r == 0x7f) && !strings.ContainsRune(allowed, r) })
	if i < 0 {
		return nil
	}
	return refusedError{badRequest("there is a control character, " + strconv.Quote(text[i:i+1]) + ", at byte " + strconv.Itoa(i))}
}

// checkText refuses what cannot be the text of rules.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return refusedError{badRequest("the text is not UTF-8")}
	}
	return checkControl(text, "\n\r\t")
}

// dryRun reads the parameter.
func (q *request) dryRun() (bool, error) {
	switch v := q.query.Get(queryDryRun); {
	case !q.query.Has(queryDryRun), v == "false":
		return false, nil
	case v == "true":
		return true, nil
	}
	return false, refusedError{badRequest(queryDryRun + " is not true or false")}
}
