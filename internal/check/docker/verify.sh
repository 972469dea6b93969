#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs dwell in a real Docker engine as docker-compose.yml does, and checks what
# docs/deployment.md says. Needs root; the engine is got if there is none (engine.sh), and
# runs in namespaces of its own: this host's network, firewall and mounts are not touched.
#
#   make build && sudo internal/check/docker/verify.sh
set -euo pipefail
cd "$(dirname "$0")/../../.."

engine=.cache/docker
internal/check/docker/engine.sh "$engine"
CGO_ENABLED=0 "${GO:-go}" build -buildvcs=false -o "$engine/verify" ./internal/check/docker
exec "$engine/verify" --engine "$engine" "$@"
