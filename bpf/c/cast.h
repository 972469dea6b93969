// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Reading the kernel's memory without calling a helper for each value. */
#ifndef DWELL_CAST_H
#define DWELL_CAST_H

#include "kernel.h"

/* Linux 6.2. Makes of an address a pointer to a type of the kernel's BTF, through which
 * loads are as cheap as those from a tracepoint's arguments and cannot fault either. On an
 * older kernel it is NULL, to be tested first, and bpf_probe_read_kernel has to do.
 */
extern void *bpf_rdonly_cast(const void *address, __u32 btf_type) __ksym __weak;

#define CAST(type, address) ((type *)bpf_rdonly_cast(address, bpf_core_type_id_kernel(type)))

/* A number of up to 8 bytes at any address, such as in a packet: 0 where there is no memory.
 * The kernel's type only has to be as large, and may be read in any portions.
 */
#define LOAD(number, address)                                                                 \
	(*(const number *)bpf_rdonly_cast(address, bpf_core_type_id_kernel(struct in6_addr)))

/* Copies words from any address. Returns false if that is known to have failed; what then is
 * in the words is not defined. Where the helper has to do, most of what it takes is the call,
 * however much is copied.
 */
static __always_inline bool read_words(__u64 *to, const void *from, __u32 words)
{
	if (!bpf_rdonly_cast)
		return !bpf_probe_read_kernel(to, words * sizeof(*to), from);
#pragma unroll
	for (__u32 i = 0; i < words; i++)
		to[i] = LOAD(__u64, from + i * sizeof(*to));
	return true;
}

#endif
