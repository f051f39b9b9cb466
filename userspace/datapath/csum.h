/* SPDX-License-Identifier: MIT
 *
 * The Internet checksum (RFC 1071), vectorised. A *sum* is a 32-bit one's complement sum of the
 * 16-bit words as they lie in memory, not yet folded and not complemented; sums add up with
 * dp_csum_add() as long as each piece starts at an even offset of the whole (dp_csum_shift() for
 * one that does not). Only dp_csum_fold() yields what goes into a header. Pure; any thread.
 */
#ifndef TT_DATAPATH_CSUM_H
#define TT_DATAPATH_CSUM_H

#include "base/types.h"

/*
 * Chooses the widest implementation this CPU has. Call once at start, before threads; without it
 * the portable one is used. Returns its name: "portable", "avx2", "avx512".
 */
const char *dp_csum_init(void);
/* Chooses by name (tests, benchmarks). -ENOTSUP where the CPU lacks it, -EINVAL: no such name. */
int dp_csum_select(const char *name);

/* seed plus the sum of len bytes; an odd last byte counts as if a zero followed. */
uint32_t dp_csum_partial(const void *data, size_t len, uint32_t seed);
/* The same while copying; dst and src do not overlap and may have any alignment. */
uint32_t dp_csum_copy(void *dst, const void *src, size_t len, uint32_t seed);

static inline uint32_t dp_csum_add(uint32_t a, uint32_t b)
{
	a += b;
	return a + (a < b);
}

/* Takes b out of a, where b was added before. */
static inline uint32_t dp_csum_sub(uint32_t a, uint32_t b)
{
	return dp_csum_add(a, ~b);
}

/* The sum of a piece that starts at an odd offset. */
static inline uint32_t dp_csum_shift(uint32_t sum)
{
	return (sum >> 8) | (sum << 24);
}

/* To 16 bits, not complemented: what NEEDS_CSUM wants in the field. Store with memcpy. */
static inline uint16_t dp_csum_fold_plain(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* To 16 bits, complemented: the checksum of a header, in memory order. 0: the data is intact. */
static inline uint16_t dp_csum_fold(uint32_t sum)
{
	return (uint16_t)~dp_csum_fold_plain(sum);
}

/* The word a big-endian 16-bit field of this value adds to a sum. */
static inline uint32_t dp_csum_be16(uint16_t host)
{
	return __builtin_bswap16(host);
}

/* The sum of an IPv4 header without options: too short for what is behind a function pointer. */
static inline uint32_t dp_csum_v4_header(const void *header)
{
	uint64_t sum = 0;
	uint32_t word[5];

	memcpy(word, header, sizeof(word));
	for (unsigned i = 0; i < 5; i++)
		sum += word[i];
	return dp_csum_add((uint32_t)sum, (uint32_t)(sum >> 32));
}

/* Pseudo headers: addresses where they lie in the packet; l4_len = L4 header and payload. */
uint32_t dp_csum_pseudo_v4(const uint8_t src[4], const uint8_t dst[4], uint8_t proto,
			   uint16_t l4_len);
uint32_t dp_csum_pseudo_v6(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
			   uint32_t l4_len);

/* Checksum field after a 16-bit word of the data went from old to new (RFC 1624, equation 3). */
static inline void dp_csum_patch(void *field, uint16_t old_word, uint16_t new_word)
{
	uint16_t check;
	memcpy(&check, field, sizeof(check));
	check = dp_csum_fold((uint32_t)(uint16_t)~check + (uint16_t)~old_word + new_word);
	memcpy(field, &check, sizeof(check));
}

#endif
