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

#endif
