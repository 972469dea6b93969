// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// dockerAPI speaks the two requests of the Docker Engine API that are needed, without
// a version in the path: every engine and podman answer them.
type dockerAPI struct {
	http http.Client
	// name is the runtime's: podman serves the API, too.
	name string
}

func dialDocker(ctx context.Context, socket string) (*dockerAPI, error) {
	d := &dockerAPI{name: Docker}
	d.http.Transport = &http.Transport{
		MaxIdleConns: 1, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	resp, err := d.get(ctx, "/_ping")
	if err != nil {
		d.close()
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Api-Version") == "" {
		d.close()
		return nil, fmt.Errorf("no Docker Engine API at %s", socket)
	}
	if resp.Header.Get("Libpod-Api-Version") != "" {
		d.name = Podman
	}
	return d, nil
}

func (d *dockerAPI) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return d.http.Do(req)
}

// describe implements runtime by ContainerInspect.
func (d *dockerAPI) describe(ctx context.Context, id string) (trace.Container, error) {
	resp, err := d.get(ctx, "/containers/"+url.PathEscape(id)+"/json")
	if err != nil {
		return trace.Container{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return trace.Container{}, errNotFound
	default:
		return trace.Container{}, fmt.Errorf("container %.12s: the runtime answered %s", id, resp.Status)
	}
	var answer struct {
		Name   string
		Config struct{ Labels map[string]string }
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return trace.Container{}, fmt.Errorf("container %.12s: the answer is not valid JSON: %w", id, err)
	}
	c := ofLabels(answer.Config.Labels)
	c.ID, c.Runtime = id, d.name
	if c.Name == "" {
		c.Name = strings.TrimPrefix(answer.Name, "/")
	}
	return c, nil
}

func (d *dockerAPI) close() { d.http.CloseIdleConnections() }

// ofLabels returns what the kubelet writes on every container that it starts.
func ofLabels(labels map[string]string) trace.Container {
	return trace.Container{
		Name: labels["io.kubernetes.container.name"],
		Pod: trace.Pod{
			Name:      labels["io.kubernetes.pod.name"],
			Namespace: labels["io.kubernetes.pod.namespace"],
			UID:       labels["io.kubernetes.pod.uid"],
		},
	}
}
