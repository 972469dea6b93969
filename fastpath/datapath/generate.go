// SPDX-License-Identifier: Apache-2.0

package datapath

// Needs what bpf/generate.go needs.

//go:generate go tool bpf2go -go-package datapath -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" -type port -type port_counts plain c/plain.bpf.c
//go:generate go tool bpf2go -go-package datapath -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" traced c/traced.bpf.c
