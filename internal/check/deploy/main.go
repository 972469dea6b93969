// SPDX-License-Identifier: Apache-2.0

// Command deploy reads the deployments of this repository as the programs do that will
// carry them out: docker-compose.yml with Docker Compose's own loader, in every profile,
// and the manifests for Kubernetes with kustomize and Kubernetes' own types, unknown fields
// refused; each as it is, and with what examples/ has for the fast path laid over it. It prints what
// it has read of each container, as JSON, for the tests to compare.
//
// It is a module of its own so that these dependencies do not become dwell's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Container is what both kinds of deployment say of a container.
type Container struct {
	Name         string   `json:"name"`              // profile/service or kind/name/container
	Overlay      string   `json:"overlay,omitempty"` // what is laid over, "" if nothing is
	Image        string   `json:"image"`
	Args         []string `json:"args,omitempty"`
	CapAdd       []string `json:"capAdd,omitempty"`
	CapDrop      []string `json:"capDrop,omitempty"`
	Privileged   bool     `json:"privileged"`
	ReadOnly     bool     `json:"readOnly"`
	NoEscalation bool     `json:"noEscalation"` // no_new_privs
	HostPID      bool     `json:"hostPid"`
	HostNetwork  bool     `json:"hostNetwork"`
	Ports        []string `json:"ports,omitempty"`    // published on the host, by address
	Files        []string `json:"files,omitempty"`    // of the repository, that are mounted
	Writable     []string `json:"writable,omitempty"` // of the host, that are mounted to be written to
	Aliases      []string `json:"aliases,omitempty"`  // in compose's networks, besides the service's name
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: deploy REPOSITORY")
		os.Exit(2)
	}
	containers, err := read(context.Background(), os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(containers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

func read(ctx context.Context, root string) ([]Container, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	var all []Container
	var errs []error
	for _, overlay := range []string{"", "fastpath"} {
		files, dir := []string{"docker-compose.yml"}, "examples/kubernetes"
		if overlay != "" {
			files, dir = append(files, "examples/compose/"+overlay+".yaml"), dir+"-"+overlay
		}
		fromCompose, cerr := readCompose(ctx, root, files)
		fromKubernetes, kerr := readKubernetes(filepath.Join(root, dir))
		for _, c := range append(fromCompose, fromKubernetes...) {
			c.Overlay = overlay
			all = append(all, c)
		}
		errs = append(errs, cerr, kerr)
	}
	return all, errors.Join(errs...)
}
