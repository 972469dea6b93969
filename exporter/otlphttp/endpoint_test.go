// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		explicit, general, special, want, source string
	}{
		{want: "http://localhost:4318/v1/traces", source: endpointFlag},
		{explicit: "collector", want: "http://collector:4318/v1/traces", source: "here"},
		{explicit: "[::1]:80", want: "http://[::1]:80/v1/traces", source: "here"},
		{explicit: "https://api.example.net", special: "http://other", want: "https://api.example.net/v1/traces", source: "here"},
		{explicit: "https://api.example.net/", want: "https://api.example.net/v1/traces", source: "here"},
		{explicit: "https://api.example.net/otlp/v1/traces", want: "https://api.example.net/otlp/v1/traces", source: "here"},
		{general: "http://c:1", want: "http://c:1/v1/traces", source: general + "ENDPOINT"},
		{general: "http://c:1/base", want: "http://c:1/base/v1/traces", source: general + "ENDPOINT"},
		{general: "http://c:1", special: "http://d:2", want: "http://d:2/", source: special + "ENDPOINT"},
		{special: "http://d:2/my/path", want: "http://d:2/my/path", source: special + "ENDPOINT"},
	} {
		env := environment{general + "ENDPOINT": tt.general, special + "ENDPOINT": tt.special}
		got, err := resolve(tt.explicit, "here", env)
		if err != nil || got.URL != tt.want || got.Source != tt.source {
			t.Errorf("%+v: %+v, %v", tt, got, err)
		}
	}
	for explicit, want := range map[string]string{
		"grpc://a:1": `here: "grpc://a:1" begins with grpc://; OTLP over HTTP goes to http://host:port`, "http://": "is not http://host:port",
		"http://me:s3cret@a": "it contains a user or password", "http://a?key=s3cret": "it contains a ? or #", "a:x": "is not http://host:port",
	} {
		_, err := resolve(explicit, "here", environment{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", explicit, err)
		}
	}
}

// Without a scheme, what else the environment says of TLS decides.
func TestSchemeOfTheEnvironment(t *testing.T) {
	for name, want := range map[string]string{
		"CERTIFICATE=/ca": "https://c:4318/v1/traces", "INSECURE=false": "https://c:4318/v1/traces", "INSECURE=true": "http://c:4318/v1/traces",
	} {
		key, value, _ := strings.Cut(name, "=")
		if got, err := resolve("c", "", environment{general + key: value}); err != nil || got.URL != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// A payload is in use as long as anything has not done reading it, unless that is a copy.
func TestInUse(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		r, err := http.NewRequest(http.MethodPost, "http://localhost", nil)
		if err != nil {
			t.Fatal(err)
		}
		b := newBody([]byte("payload"), compressed)
		b.attach(r)
		again, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []func() error{r.Body.Close, r.Body.Close} {
			if _ = c(); b.inUse() == compressed {
				t.Errorf("compressed %t: in use %t while one reader is open", compressed, b.inUse())
			}
		}
		if _ = again.Close(); b.inUse() {
			t.Error("in use when all are closed")
		}
	}
}
