/* SPDX-License-Identifier: MIT */
#include "hub/source.h"

#include <stdlib.h>

#include "hub/bucket.h"

/* An entry without connections is somebody else's after this time. */
#define SOURCE_KEEP_NS (10 * TT_NS_PER_SEC)
#define SOURCE_PROBES  16

struct hub_source_entry {
	uint8_t family; /* TT_FAMILY_NONE: free */
	uint8_t prefix[8];
	uint32_t count;
	struct hub_bucket bucket;
};

struct hub_sources {
	uint32_t slots;
	uint64_t seed;
	struct hub_source_entry entry[];
};

struct hub_sources *hub_sources_create(uint32_t slots, uint64_t seed)
{
	struct hub_sources *s =
		calloc(1, sizeof(*s) + (size_t)slots * sizeof(struct hub_source_entry));

	if (s) {
		s->slots = slots;
		s->seed = seed;
	}
	return s;
}

void hub_sources_destroy(struct hub_sources *s)
{
	free(s);
}

static uint32_t slot_of(const struct hub_sources *s, uint8_t family, const uint8_t prefix[8])
{
	uint64_t h = s->seed ^ family;

	h ^= tt_load_be64(prefix);
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 29;
	return (uint32_t)h & (s->slots - 1);
}

static bool reusable(const struct hub_source_entry *e, struct tt_mono now)
{
	return e->family == TT_FAMILY_NONE ||
	       (e->count == 0 && tt_mono_since(now, e->bucket.filled) > SOURCE_KEEP_NS);
}

struct hub_source_entry *hub_source_get(struct hub_sources *s, const struct tt_ip *ip,
					struct tt_mono now)
{
	uint8_t prefix[8] = {0};
	struct hub_source_entry *free_one = NULL;

	memcpy(prefix, ip->b, ip->family == TT_FAMILY_V4 ? 4 : 8);
	uint32_t at = slot_of(s, ip->family, prefix);

	for (unsigned i = 0; i < SOURCE_PROBES; i++) {
		struct hub_source_entry *e = &s->entry[(at + i) & (s->slots - 1)];

		if (e->family == ip->family && memcmp(e->prefix, prefix, sizeof(prefix)) == 0)
			return e;
		if (!free_one && reusable(e, now))
			free_one = e;
	}
	if (free_one) {
		*free_one = (struct hub_source_entry){.family = ip->family};
		memcpy(free_one->prefix, prefix, sizeof(prefix));
	}
	return free_one;
}

uint32_t hub_source_count(const struct hub_source_entry *e)
{
	return e->count;
}

void hub_source_hold(struct hub_source_entry *e)
{
	e->count++;
}

void hub_source_release(struct hub_source_entry *e)
{
	e->count--;
}

bool hub_source_take(struct hub_source_entry *e, uint32_t rate, struct tt_mono now)
{
	return !rate || hub_bucket_take(&e->bucket, 1, rate, rate, now);
}
