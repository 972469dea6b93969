// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// get returns the body of a page inside; the error is of the status, too.
func (p place) get(t testing.TB, page string) ([]byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := p.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", page, response.Status, body)
	}
	return body, err
}

// prometheus answers queries (https://prometheus.io/docs/prometheus/latest/querying/api/).
type prometheus struct {
	place
	url string
}

func (p prometheus) query(t testing.TB, path string, values url.Values, data any) error {
	t.Helper()
	body, err := p.get(t, p.url+"/api/v1/"+path+"?"+values.Encode())
	if err != nil {
		return err
	}
	answer := struct {
		Status string
		Data   any
	}{Data: data}
	return json.Unmarshal(body, &answer)
}

// value returns the value of an expression that gives at most one; false if none.
func (p prometheus) value(t testing.TB, expr string) (float64, bool) {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.query(t, "query", url.Values{"query": {expr}}, &data); err != nil || len(data.Result) == 0 {
		return 0, false
	}
	if len(data.Result) > 1 {
		t.Fatalf("%s has %d results", expr, len(data.Result))
	}
	text, _ := data.Result[0].Value[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return value, true
}

// exemplars returns the trace IDs of an expression's exemplars of the last minutes.
func (p prometheus) exemplars(t testing.TB, expr string) []string {
	t.Helper()
	var data []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	at := func(d time.Duration) []string { return []string{strconv.FormatInt(time.Now().Add(d).Unix(), 10)} }
	values := url.Values{"query": {expr}, "start": at(-10 * time.Minute), "end": at(time.Minute)}
	if err := p.query(t, "query_exemplars", values, &data); err != nil {
		return nil
	}
	var ids []string
	for _, s := range data {
		for _, e := range s.Exemplars {
			ids = append(ids, e.Labels["trace_id"])
		}
	}
	return ids
}
