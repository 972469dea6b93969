// SPDX-License-Identifier: Apache-2.0

package bypass

// Needs what bpf/generate.go needs.

//go:generate go tool bpf2go -go-package bypass -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" -type reason -type mode -type direction -type device_role -type device_flag -type flow_flag -type key4 -type key6 -type flow -type setting -type tenant -type device -type count -type candidate -type doubt -type watch -type beat_args -type flow_args plain c/plain.bpf.c
//go:generate go tool bpf2go -go-package bypass -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" traced c/traced.bpf.c
