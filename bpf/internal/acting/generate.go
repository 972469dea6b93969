// SPDX-License-Identifier: Apache-2.0

package acting

//go:generate go tool bpf2go -go-package acting -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" acting c/acting.bpf.c
//go:generate go tool bpf2go -go-package acting -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" redirecting c/redirecting.bpf.c
