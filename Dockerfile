# SPDX-License-Identifier: Apache-2.0
#
# The image: a single static binary on an empty base. It needs BuildKit, the default since
# Docker Engine 23.0:
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t dwelltrace/dwell .
#
# examples/docker/Dockerfile.binary builds the same image from an existing binary.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
# The BPF objects are in the repository, so clang is not needed.
COPY bpf bpf
COPY cmd cmd
COPY correlate correlate
COPY exporter exporter
COPY internal internal
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/dwell ./cmd/dwell

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="dwell" \
      org.opencontainers.image.description="Turns every ping into a distributed trace" \
      org.opencontainers.image.source="https://github.com/dwelltrace/dwell" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
# For an OTLP endpoint with TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY LICENSE /LICENSE
COPY --from=build /out/dwell /dwell
EXPOSE 9464
# Docker gives capabilities only to user 0; docs/deployment.md lists them.
ENTRYPOINT ["/dwell"]
CMD ["agent", "--config", "/etc/dwell/dwell.yaml"]
