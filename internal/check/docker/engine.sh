#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# internal/check/docker/engine.sh DIR: puts the programs of a Docker engine, and docker compose,
# into DIR/bin, as far as this machine has them not. Nothing is installed and nothing is
# started: Debian's packages are only unpacked. Where the engine is older than 23.0, which
# does not know CAP_BPF, dockerd is built by Go.
set -euo pipefail

dir="$(realpath -m "${1:?usage: $0 DIR}")"
dockerd_version=28.5.2
compose_version=5.5.1
mkdir -p "$dir/bin" "$dir/deb"
export PATH="$dir/bin:$dir/deb/usr/sbin:$dir/deb/usr/bin:$PATH:/usr/sbin:/sbin"
go="${GO:-$(command -v go || echo /usr/local/go/bin/go)}"

missing=()
command -v containerd >/dev/null || missing+=(containerd)
command -v runc >/dev/null || missing+=(runc)
command -v docker-init >/dev/null || missing+=(docker.io tini)
if [ "${#missing[@]}" -gt 0 ]; then
  echo "unpacking ${missing[*]}" >&2
  apt-get update -qq </dev/null
  (cd "$dir/deb" && apt-get download -qq "${missing[@]}" && for deb in *.deb; do dpkg-deb -x "$deb" .; done && rm -- *.deb)
fi

# new_enough: dockerd is 23.0 or later.
new_enough() {
  local major
  major="$(dockerd --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')"
  [ "${major:-0}" -ge 23 ]
}

# build_module NAME MODULE@VERSION PACKAGE: builds a program out of the module's own tree.
# go install refuses a module that excludes or replaces others, as both do.
build_module() {
  local tree
  echo "building $1 from $2" >&2
  tree="$(mktemp -d)"
  cp -r "$("$go" mod download -json "$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/." "$tree"
  chmod -R u+w "$tree"
  # moby calls its go.mod vendor.mod.
  if [ -f "$tree/vendor.mod" ]; then
    rm -rf "$tree/vendor"
    mv "$tree/vendor.mod" "$tree/go.mod"
    mv "$tree/vendor.sum" "$tree/go.sum"
  fi
  (cd "$tree" && CGO_ENABLED=0 GOFLAGS=-mod=mod "$go" build -trimpath \
    -tags 'exclude_graphdriver_btrfs exclude_graphdriver_zfs exclude_graphdriver_fuseoverlayfs' \
    -ldflags "-s -w $4" -o "$dir/bin/$1" "$3")
  rm -rf "$tree"
}

if ! new_enough; then
  build_module dockerd "github.com/docker/docker@v$dockerd_version+incompatible" ./cmd/dockerd \
    "-X github.com/docker/docker/dockerversion.Version=$dockerd_version"
fi
if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
  build_module docker-compose "github.com/docker/compose/v5@v$compose_version" ./cmd \
    "-X github.com/docker/compose/v5/internal.Version=$compose_version"
fi
