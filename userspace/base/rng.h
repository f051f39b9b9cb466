/* SPDX-License-Identifier: MIT
 *
 * Randomness as a parameter. The protocol core never draws it by itself: tests pass a seeded
 * generator, the daemon passes the operating system's.
 */
#ifndef TT_BASE_RNG_H
#define TT_BASE_RNG_H

#include "base/types.h"

struct tt_rng {
	/* Fills buf with len random bytes. Cannot fail. */
	void (*fill)(void *ctx, void *buf, size_t len);
	void *ctx;
};

static inline void tt_rng_fill(const struct tt_rng *rng, void *buf, size_t len)
{
	rng->fill(rng->ctx, buf, len);
}

static inline uint32_t tt_rng_u32(const struct tt_rng *rng)
{
	uint32_t v;
	rng->fill(rng->ctx, &v, sizeof(v));
	return v;
}

/* Uniform in [0, bound); bound > 0. Unbiased (rejection). */
uint32_t tt_rng_below(const struct tt_rng *rng, uint32_t bound);

/* Deterministic generator for tests and benchmarks (xoshiro256**). Never for keys. */
struct tt_rng_seeded {
	uint64_t s[4];
};
struct tt_rng tt_rng_seeded_init(struct tt_rng_seeded *state, uint64_t seed);

#endif
