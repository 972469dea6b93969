// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Checksums over more than what changes. */
#ifndef DWELL_BYPASS_SUM_H
#define DWELL_BYPASS_SUM_H

#include "rewrite.h"

/* The sum of the IP header and of as much of what follows as may change. */
static __always_inline __u64 front_sum(const struct front *f, bool v6)
{
	const __u32 *w = v6 ? (const __u32 *)&f->v6 : (const __u32 *)&f->v4;
	__u64 sum = 0;
	int words = (v6 ? sizeof(struct front6) : sizeof(struct front4)) / sizeof(__u32);

#pragma unroll
	for (int i = 0; i < words; i++)
		sum += w[i];
	return sum;
}

/* What to add to a sum over the whole packet (CHECKSUM_COMPLETE). */
static __always_inline __u32 changed_front(__u64 before, __u64 after)
{
	return fold(after + (__u16)~fold(before));
}

/* The longest packet, from the transport header on, whose checksum is verified here. */
enum { VERIFIED = 1536, CHUNK = 512 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[VERIFIED + CHUNK]);
} bytes SEC(".maps");

static __always_inline __u64 pseudo_sum(const struct front *f, const struct shape *s, __u32 size, bool v6)
{
	__u64 sum = 0;

	if (!v6) {
		if (s->proto == IPPROTO_ICMP)
			return 0;
		return (__u64)f->v4.ip.src + f->v4.ip.dst + bpf_htons(s->proto) + bpf_htons(size);
	}
#pragma unroll
	for (int i = 0; i < 4; i++)
		sum += (__u64)f->v6.ip.src[i] + f->v6.ip.dst[i];
	return sum + bpf_htons(s->proto) + bpf_htons(size);
}

/* Whether the sum that the device has made over the packet (CHECKSUM_COMPLETE) says that the checksum is right. The sum
 * of an IPv4 header is 0 in one's complement.
 */
static __always_inline bool complete_is_right(struct __sk_buff *ctx, const struct front *f, const struct shape *s, bool v6)
{
	__u32 size = s->length - (v6 ? IPV6_HLEN : IPV4_HLEN);
	__u64 sum = SKB(ctx)->csum, header = 0;
	const __u32 *w = (const __u32 *)&f->v6.ip;

	if (s->proto == IPPROTO_UDP && !v6 && !f->v4.transport.udp.check)
		return true;
	if (v6) {
#pragma unroll
		for (__u32 i = 0; i < sizeof(struct ipv6) / sizeof(__u32); i++)
			header += w[i];
		sum += (__u16)~fold(header);
	}
	return fold(sum + pseudo_sum(f, s, size, v6)) == 0xffff;
}

/* Whether the checksum, which nobody has verified, is right. Connection tracking would verify it, and have
 * nothing to do with the packet if it is not (net/netfilter/utils.c:nf_checksum).
 */
static __always_inline bool verify_sum(struct __sk_buff *ctx, const struct front *f, const struct shape *s, __u32 at, bool v6)
{
	__u32 header = v6 ? IPV6_HLEN : IPV4_HLEN, offset = at + ETH_HLEN + header, size = s->length - header, zero = 0;
	__u8 *buffer;
	__s64 sum;

	if (s->proto == IPPROTO_UDP && !v6 && !f->v4.transport.udp.check)
		return true;
	buffer = bpf_map_lookup_elem(&bytes, &zero);
	if (!buffer || size < UDP_HLEN || size > VERIFIED - 4)
		return false;
	*(__u32 *)(buffer + ((size & ~3U) & 0x7ff)) = 0;
	asm volatile("" : "+r"(size));
	if (size < UDP_HLEN || size > VERIFIED - 4)
		return false;
	if (bpf_skb_load_bytes(ctx, offset, buffer, size))
		return false;
	sum = fold(pseudo_sum(f, s, size, v6));
	for (__u32 begin = 0; begin < VERIFIED; begin += CHUNK) {
		__u32 part;

		if (begin >= size)
			break;
		part = (size - begin + 3) & ~3U;
		asm volatile("" : "+r"(part));
		if (part > CHUNK)
			part = CHUNK;
		sum = bpf_csum_diff(NULL, 0, (__be32 *)(buffer + begin), part, sum);
		if (sum < 0)
			return false;
	}
	return fold(sum) == 0xffff;
}

#endif
