// SPDX-License-Identifier: Apache-2.0

// Package deploytest holds the deployments of this repository against each other and
// against the program: docker-compose.yml, examples/systemd, examples/kubernetes and what
// docs/deployment.md says of them. A capability that one of them forgets, or an image that
// is not pinned, is found on somebody else's machine otherwise.
//
// It has only tests. What reads the files as Docker Compose and Kubernetes do is the
// program in internal/check/deploy, a module of its own. internal/check/docker runs them for real.
package deploytest
