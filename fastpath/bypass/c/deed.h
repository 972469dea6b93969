// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Saying what was done to a traced echo. Only the object with TRACED does, and it is run only for ICMP
 * and only while there is a tracer.
 */
#ifndef DWELL_BYPASS_DEED_H
#define DWELL_BYPASS_DEED_H

#include "note.h"

struct run;

static __always_inline void record_found(struct __sk_buff *ctx)
{
}

static __always_inline void record_redirect(struct __sk_buff *ctx, const struct run *run, const struct flow *flow)
{
}

static __always_inline void record_fallback(struct __sk_buff *ctx, const struct run *run, __u32 slot)
{
}

static __always_inline void record_learn(struct __sk_buff *ctx, const struct flow *flow)
{
}

#endif
