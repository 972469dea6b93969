// SPDX-License-Identifier: Apache-2.0

package bpf

// Needs clang, llvm-strip and libbpf's headers (Debian: clang llvm libbpf-dev).
// The output depends on the compiler's version and on nothing else of the machine.
//go:generate go tool bpf2go -go-package bpf -target amd64,arm64 -cflags "-mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter" -type hook -type echo_type -type record_flag -type record_part -type tunnel_type -type port_kind -type deed -type action_place -type filter_flag -type nf_inet_hooks -type netns_references -type trial -type glance -type record_head -type record_end -type ring -type decisions -type addresses4 -type addresses6 -type tunnel -type peer -type learnt -type learn_verdict -type rewritten_flag -type action -type rewritten -type record -type rewrite_record kernel c/trace.bpf.c
