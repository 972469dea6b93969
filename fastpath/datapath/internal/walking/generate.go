// SPDX-License-Identifier: Apache-2.0

package walking

// Needs what bpf/generate.go needs.

//go:generate go tool bpf2go -go-package walking -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" walking c/walking.bpf.c
