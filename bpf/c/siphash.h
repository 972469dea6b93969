// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The randomness of a ping: what OpenTelemetry's consistent probability sampling compares with a
 * threshold, alike on each host and in user space (correlate.Identify).
 */
#ifndef DWELL_SIPHASH_H
#define DWELL_SIPHASH_H

#include "record.h"

/* SipHash (Aumasson and Bernstein 2012). */
struct siphash {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 rotated(__u64 x, __u32 by)
{
	return x << by | x >> (64 - by);
}

static __always_inline void sip_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = rotated(s->v1, 13) ^ s->v0;
	s->v0 = rotated(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotated(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotated(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotated(s->v1, 17) ^ s->v2;
	s->v2 = rotated(s->v2, 32);
}

static __always_inline void sip_absorb(struct siphash *s, __u64 m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

static __always_inline void sip_finish(struct siphash *s)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		sip_round(s);
}

/* The second word of SipHash-2-4 with 128 bits of output over sequence number, big endian, and
 * payload, 18 bytes.
 */
static __always_inline __u64 identity_hash(__u64 k0, __u64 k1, const struct record_head *h)
{
	const __u64 length = 2 + PAYLOAD_PREFIX;
	__u64 p0 = ((const word *)h->payload)[0], p1 = ((const word *)h->payload)[1];
	struct siphash s = {
		.v0 = k0 ^ 0x736f6d6570736575ULL,
		.v1 = k1 ^ 0x646f72616e646f6dULL ^ 0xee,
		.v2 = k0 ^ 0x6c7967656e657261ULL,
		.v3 = k1 ^ 0x7465646279746573ULL,
	};

	sip_absorb(&s, p0 << 16 | bpf_htons(h->seq));
	sip_absorb(&s, p1 << 16 | p0 >> 48);
	sip_absorb(&s, p1 >> 48 | length << 56);
	s.v2 ^= 0xee;
	sip_finish(&s);
	s.v1 ^= 0xdd;
	sip_finish(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* The highest 32 of the 56 bits that are compared, which are the last of the trace ID. */
static __always_inline __u32 randomness(__u64 k0, __u64 k1, const struct record_head *h)
{
	return __builtin_bswap64(identity_hash(k0, k1, h)) >> 24;
}

#endif
