// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// underTest is the container that docker-compose.yml's service dwell becomes.
	underTest = "dwell-under-test"
	// seeTimeout bounds how long to wait for what dwell should do or write.
	seeTimeout = 30 * time.Second
)

// override is what is laid over docker-compose.yml. Traces go to a file, and no Collector
// is needed for them. The scope is so that what others ping on this machine meanwhile,
// which dwell would trace too, does not fill the file.
const override = `services:
  dwell:
    container_name: ` + underTest + `
    restart: "no"
    environment:
      DWELL_EXPORT_FILE: /out/traces.jsonl
      DWELL_SHUTDOWN_TIMEOUT: 2s
      %s
    volumes: ["%s:/out"]
`

// up starts services of docker-compose.yml, and nothing that they depend on. The scope is
// a setting of dwell's. With capabilities, dwell has these instead of its own.
func (s *scene) up(ctx context.Context, scope string, capabilities []string, services ...string) error {
	if err := os.RemoveAll(s.traces()); err != nil {
		return err
	}
	if err := os.Mkdir(s.traces(), 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf(override, scope, s.traces())
	if capabilities != nil {
		text += "    cap_add: !override [" + strings.Join(capabilities, ", ") + "]\n"
	}
	if err := os.WriteFile(s.overrideFile(), []byte(text), 0o600); err != nil {
		return err
	}
	return s.compose(ctx, append([]string{"up", "--detach", "--no-build", "--no-deps", "--force-recreate"}, services...)...)
}

// compose runs docker compose on docker-compose.yml with the override.
func (s *scene) compose(ctx context.Context, args ...string) error {
	args = append([]string{"--file", s.overrideFile(), "--profile", "demo"}, args...)
	_, err := s.composeAlone(ctx, args...)
	return err
}

// composeAlone runs docker compose on docker-compose.yml as it is.
func (s *scene) composeAlone(ctx context.Context, args ...string) (string, error) {
	command := slices.Concat(s.engine.compose, []string{"--project-directory", s.root(), "--file", filepath.Join(s.root(), "docker-compose.yml")}, args)
	return output(ctx, command[0], command[1:]...)
}

// checkProfiles has docker compose read the file in each profile, and without one.
func (s *scene) checkProfiles(ctx context.Context) error {
	profiles, err := s.composeAlone(ctx, "config", "--profiles")
	if err != nil {
		return err
	}
	_, err = s.composeAlone(ctx, "config", "--quiet")
	for profile := range strings.FieldsSeq(profiles) {
		_, perr := s.composeAlone(ctx, "--profile", profile, "config", "--quiet")
		err = errors.Join(err, perr)
	}
	fmt.Fprintf(s.out, "    %s\n", strings.Join(strings.Fields(profiles), " "))
	return err
}

func (s *scene) traces() string       { return filepath.Join(s.dir, "out") }
func (s *scene) root() string         { return filepath.Dir(filepath.Dir(s.dwell)) }
func (s *scene) overrideFile() string { return filepath.Join(s.dir, "override.yml") }

// awaitReady waits until dwell says that it traces.
func (s *scene) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, seeTimeout)
	defer cancel()
	addr, err := docker(ctx, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", underTest)
	if err != nil {
		return err
	}
	err = poll(ctx, func() error { return get(ctx, "http://"+addr+":9464/readyz") })
	if err != nil {
		return fmt.Errorf("dwell is not ready: %w\n%s", err, logs(ctx, underTest))
	}
	return nil
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// awaitExit waits until dwell has given up, and returns its exit status.
func (s *scene) awaitExit(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, seeTimeout)
	defer cancel()
	return docker(ctx, "wait", underTest)
}

// awaitJourneys waits until dwell has written a trace that want says yes to of each of our
// pings, and checks each.
func (s *scene) awaitJourneys(ctx context.Context, want func(*journey) bool, check func(*journey) error) error {
	ctx, cancel := context.WithTimeout(ctx, seeTimeout)
	defer cancel()
	var found []*journey
	err := poll(ctx, func() error {
		found = nil
		all, err := readJourneys(filepath.Join(s.traces(), "traces.jsonl"))
		for _, j := range all {
			if want(j) {
				found = append(found, j)
			}
		}
		if err == nil && len(found) < pings {
			err = fmt.Errorf("%d of %d traces; %d others", len(found), pings, len(all)-len(found))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, logs(ctx, underTest))
	}
	var errs []error
	for _, j := range found {
		if err := check(j); err != nil {
			errs = append(errs, fmt.Errorf("%w in %v", err, j))
		}
	}
	fmt.Fprintf(s.out, "    %v\n", found[0])
	return errors.Join(errs...)
}
