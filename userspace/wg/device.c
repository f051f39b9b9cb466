/* SPDX-License-Identifier: MIT */
#include "wg/device.h"

#include "crypto/blake2s.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"

void wg_device_init(struct wg_device *dev, const struct wg_device_memory *memory,
		    const struct tt_rng *rng)
{
	memset(dev, 0, sizeof(*dev));
	dev->peers = memory->peers;
	dev->peer_buckets = memory->peer_buckets;
	dev->peer_capacity = memory->peer_capacity;
	dev->rekey_after_bytes = WG_REKEY_AFTER_BYTES;
	memset(dev->peers, 0, memory->peer_capacity * sizeof(*dev->peers));
	memset(dev->peer_buckets, 0, memory->peer_capacity * sizeof(*dev->peer_buckets));
	tt_rng_fill(rng, dev->peer_hash_key, sizeof(dev->peer_hash_key));
	wg_index_init(&dev->index, memory->indices, memory->index_capacity);
	wg_ratelimit_init(&dev->limit, memory->limits, memory->limit_buckets,
			  memory->limit_capacity, rng);
}

void wg_device_wipe(struct wg_device *dev)
{
	crypto_wipe(dev, sizeof(*dev));
}

/* --- our own key ------------------------------------------------------------------------------ */

static void wg_device_forget_handshakes(struct wg_device *dev, struct tt_mono now)
{
	for (uint32_t i = 0; i < dev->peer_capacity; i++) {
		struct wg_peer *p = dev->peers[i];
		if (!p)
			continue;
		crypto_wipe(p->remote.static_static, WG_KEY_LEN);
		p->static_static_known = false;
		wg_peer_handshake_clear(dev, p, now);
		/* The 5 s belong to the old key. */
		p->timers.handshake_sent = (struct tt_mono){0};
	}
}

tt_peer_id wg_device_set_private_key(struct wg_device *dev, const uint8_t key[WG_KEY_LEN],
				     struct tt_mono now, bool *changed)
{
	struct wg_noise_static fresh = {0};
	tt_peer_id self = TT_PEER_NONE;

	if (key) {
		memcpy(fresh.private_key, key, WG_KEY_LEN);
		crypto_x25519_clamp(fresh.private_key);
		crypto_x25519_base(fresh.public_key, fresh.private_key);
	}
	*changed =
		dev->has_key != (key != NULL) || !crypto_equal(&fresh, &dev->self, sizeof(fresh));
	if (*changed) {
		dev->self = fresh;
		dev->has_key = key != NULL;
		wg_cookie_keys_init(&dev->cookie.keys, fresh.public_key);
		wg_device_forget_handshakes(dev, now);
		if (key)
			self = wg_device_find_peer(dev, fresh.public_key);
	}
	crypto_wipe(&fresh, sizeof(fresh));
	return self;
}

/* --- peers ------------------------------------------------------------------------------------ */

/* Keyed, so that nobody can have keys enrolled that all fall into one bucket. Links are id + 1. */
static uint32_t *wg_device_bucket(const struct wg_device *dev, const uint8_t key[WG_KEY_LEN])
{
	uint8_t h[8];

	crypto_blake2s(h, sizeof(h), dev->peer_hash_key, sizeof(dev->peer_hash_key), key,
		       WG_KEY_LEN);
	return &dev->peer_buckets[tt_load_le64(h) % dev->peer_capacity];
}

tt_peer_id wg_device_find_peer(const struct wg_device *dev, const uint8_t public_key[WG_KEY_LEN])
{
	uint32_t link = *wg_device_bucket(dev, public_key);

	while (link &&
	       !crypto_equal(dev->peers[link - 1]->remote.public_key, public_key, WG_KEY_LEN))
		link = dev->peers[link - 1]->hash_next;
	return link ? link - 1 : TT_PEER_NONE;
}

enum wg_add_peer_outcome wg_device_add_peer(struct wg_device *dev,
					    const uint8_t public_key[WG_KEY_LEN],
					    struct wg_peer *mem, tt_peer_id *id)
{
	if (dev->has_key && crypto_equal(public_key, dev->self.public_key, WG_KEY_LEN))
		return WG_ADD_PEER_SELF;
	*id = wg_device_find_peer(dev, public_key);
	if (*id != TT_PEER_NONE)
		return WG_ADD_PEER_EXISTS;
	while (dev->peer_hint < dev->peer_capacity && dev->peers[dev->peer_hint])
		dev->peer_hint++;
	if (dev->peer_hint == dev->peer_capacity)
		return WG_ADD_PEER_FULL;

	uint32_t *bucket = wg_device_bucket(dev, public_key);
	*id = dev->peer_hint++;
	mem->id = *id;
	memcpy(mem->remote.public_key, public_key, WG_KEY_LEN);
	wg_cookie_keys_init(&mem->cookie.keys, public_key);
	mem->hash_next = *bucket;
	*bucket = *id + 1;
	dev->peers[*id] = mem;
	dev->peer_count++;
	return WG_ADD_PEER_OK;
}

struct wg_peer *wg_device_remove_peer(struct wg_device *dev, tt_peer_id id, struct tt_mono now,
				      struct wg_displaced *out)
{
	struct wg_peer *p = wg_device_peer(dev, id);

	tt_assert(p);
	wg_peer_expire(dev, p, now, out);
	uint32_t *link = wg_device_bucket(dev, p->remote.public_key);
	while (*link != id + 1)
		link = &dev->peers[*link - 1]->hash_next;
	*link = p->hash_next;
	dev->peers[id] = NULL;
	dev->peer_count--;
	dev->peer_hint = TT_MIN(dev->peer_hint, id);
	return p;
}

bool wg_device_under_load(const struct wg_device *dev, struct tt_mono now)
{
	return tt_mono_is_set(dev->last_load) &&
	       tt_mono_since(now, dev->last_load) < WG_UNDER_LOAD_STICKY_NS;
}
