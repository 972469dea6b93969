// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A packet as the words that rules look at, and what is said of it. The numbers are those of the Go
 * packages fastpath/header, fastpath/ruleset and fastpath/diagram, whose tests compare them. */
#ifndef DWELL_WORDS_H
#define DWELL_WORDS_H

/* The values of header.Word. */
enum word {
	WORD_PROTO,
	WORD_SRC0,
	WORD_SRC1,
	WORD_SRC2,
	WORD_SRC3,
	WORD_DST0,
	WORD_DST1,
	WORD_DST2,
	WORD_DST3,
	WORD_SPORT,
	WORD_DPORT,
	WORD_FLAGS,
	WORD_TOS,
	WORD_LENGTH,
	WORD_TTL,
	WORD_STATE,
	WORD_ORIGIN,
	WORDS,
	/* As many as a packet has room for, so that an index can be masked. Those from WORDS on are 0. */
	WORDS_ROOM = 32,
};

/* The values of header.To and header.From. */
enum origin {
	ORIGIN_TO,
	ORIGIN_FROM,
};

/* The values of header.CT, in the lowest bits of WORD_STATE, and its other bits. */
enum ct_state {
	STATE_INVALID,
	STATE_NEW,
	STATE_ESTABLISHED,
	STATE_RELATED,
	STATE_UNTRACKED,
	STATE_REPLY = 1 << 3,
	STATE_SNAT = 1 << 4,
	STATE_DNAT = 1 << 5,
};

/* The values of ruleset.Verdict. */
enum verdict {
	VERDICT_PASS,
	VERDICT_DROP,
	VERDICT_DEFER,
};

/* What is next in a node, or a leaf of it, as diagram.Node says. */
#define LEAF_BIT (1U << 31)
#define LEAF_VERDICT(leaf) ((leaf) >> 29 & 3)
#define LEAF_ID(leaf) ((leaf) & ((1U << 29) - 1))
/* The leaf of what could not be judged. */
#define LEAF_DEFER (LEAF_BIT | (unsigned int)VERDICT_DEFER << 29)

#endif
