/* SPDX-License-Identifier: MIT */
#include "base/rng.h"

/* Lemire's method: the high half of a 32x32 product, rejecting the few biased low halves. */
uint32_t tt_rng_below(const struct tt_rng *rng, uint32_t bound)
{
	tt_assert(bound > 0);
	uint64_t product = (uint64_t)tt_rng_u32(rng) * bound;

	if ((uint32_t)product < bound) {
		uint32_t floor = (0u - bound) % bound;

		while ((uint32_t)product < floor)
			product = (uint64_t)tt_rng_u32(rng) * bound;
	}
	return (uint32_t)(product >> 32);
}

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static uint64_t seeded_next(struct tt_rng_seeded *state)
{
	uint64_t *s = state->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

static void seeded_fill(void *ctx, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		uint64_t v = seeded_next(ctx);
		size_t n = TT_MIN(len, sizeof(v));

		memcpy(p, &v, n);
		p += n;
		len -= n;
	}
}

struct tt_rng tt_rng_seeded_init(struct tt_rng_seeded *state, uint64_t seed)
{
	/* splitmix64 spreads the seed, so that 0 and 1 give unrelated, non-zero states */
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		state->s[i] = z ^ z >> 31;
	}
	return (struct tt_rng){seeded_fill, state};
}
