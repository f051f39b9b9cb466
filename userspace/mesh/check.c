/* SPDX-License-Identifier: MIT */
#include "mesh/check.h"

#include "crypto/hkdf.h"
#include "crypto/mem.h"
#include "mesh/stun_integrity.h"
#include "mesh/stun_write.h"

#define LABEL	     "taltun check v1"
#define UFRAG_TEXT   (2 * MESH_UFRAG_LEN)
#define USERNAME_LEN (2 * UFRAG_TEXT + 1)

_Static_assert(MESH_CHECK_LEN_MIN == MESH_STUN_HEADER_LEN + MESH_STUN_ATTR_LEN +
					     TT_ALIGN_UP(USERNAME_LEN, 4) + MESH_STUN_ATTR_LEN + 32,
	       "header, USERNAME, MESSAGE-INTEGRITY-SHA256");

/* --- keys ------------------------------------------------------------------------------------- */

static void put(struct mesh_frag *f, const uint8_t ufrag[MESH_UFRAG_LEN],
		const uint8_t key[MESH_CHECK_KEY_LEN])
{
	*f = (struct mesh_frag){.set = true};
	memcpy(f->ufrag, ufrag, MESH_UFRAG_LEN);
	memcpy(f->key, key, MESH_CHECK_KEY_LEN);
}

void mesh_check_renew(struct mesh_check_keys *k, const struct tt_rng *rng)
{
	uint8_t fresh[MESH_UFRAG_LEN + MESH_CHECK_KEY_LEN];
	bool unheard = k->local[0].set && !k->local[0].used;

	if (unheard && !k->stale)
		return;
	/* what the peer has not shown to know gives way, and not what it does */
	if (!unheard)
		k->local[1] = k->local[0];
	tt_rng_fill(rng, fresh, sizeof(fresh));
	put(&k->local[0], fresh, fresh + MESH_UFRAG_LEN);
	k->stale = false;
	crypto_wipe(fresh, sizeof(fresh));
}

void mesh_check_network_changed(struct mesh_check_keys *k)
{
	k->stale = true;
}

bool mesh_check_accept(struct mesh_check_keys *k, const struct mesh_offer *o, struct tt_mono now)
{
	if (k->remote[0].set && o->generation <= k->generation)
		return false;
	k->generation = o->generation;
	if (k->remote[0].set && crypto_equal(k->remote[0].ufrag, o->ufrag, MESH_UFRAG_LEN) &&
	    crypto_equal(k->remote[0].key, o->key, MESH_CHECK_KEY_LEN))
		return true;
	k->remote[1] = k->remote[0];
	k->remote[1].replaced = now;
	put(&k->remote[0], o->ufrag, o->key);
	return true;
}

/* The peer has these local keys. */
static void note_used(struct mesh_check_keys *k, const struct mesh_frag *local, struct tt_mono now)
{
	if (local != &k->local[0] || k->local[0].used)
		return;
	k->local[0].used = true;
	k->local[1].replaced = now;
}

bool mesh_check_ready(const struct mesh_check_keys *k)
{
	return k->local[0].set && k->remote[0].set;
}

static bool alive(const struct mesh_frag *f, struct tt_mono now)
{
	return f->set && (!tt_mono_is_set(f->replaced) ||
			  tt_mono_since(now, f->replaced) < MESH_CHECK_OLD_NS);
}

static const struct mesh_frag *find(const struct mesh_frag frag[2],
				    const uint8_t ufrag[MESH_UFRAG_LEN], struct tt_mono now)
{
	for (unsigned i = 0; i < 2; i++)
		if (alive(&frag[i], now) && crypto_equal(frag[i].ufrag, ufrag, MESH_UFRAG_LEN))
			return &frag[i];
	return NULL;
}

bool mesh_check_knows(const struct mesh_check_keys *k, const uint8_t ufrag[MESH_UFRAG_LEN],
		      struct tt_mono now)
{
	return find(k->local, ufrag, now) != NULL;
}

/* The same at both ends: what belongs to the lower public key comes first. */
static void derive(uint8_t out[32], const struct mesh_pair *pair, const uint8_t local[32],
		   const uint8_t remote[32])
{
	bool first = memcmp(pair->own_key, pair->peer_key, 32) < 0;
	uint8_t info[128];

	memcpy(info, first ? local : remote, 32);
	memcpy(info + 32, first ? remote : local, 32);
	memcpy(info + 64, first ? pair->own_key : pair->peer_key, 32);
	memcpy(info + 96, first ? pair->peer_key : pair->own_key, 32);
	crypto_hkdf(out, 32, LABEL, sizeof(LABEL) - 1, pair->static_static, 32, info, sizeof(info));
	crypto_wipe(info, sizeof(info));
}

/* --- user names ------------------------------------------------------------------------------- */

static void to_hex(char *out, const uint8_t *bytes)
{
	static const char digit[] = "0123456789abcdef";

	for (unsigned i = 0; i < MESH_UFRAG_LEN; i++) {
		*out++ = digit[bytes[i] >> 4];
		*out++ = digit[bytes[i] & 15];
	}
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(uint8_t *out, const uint8_t *text)
{
	for (unsigned i = 0; i < MESH_UFRAG_LEN; i++) {
		int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool mesh_check_ufrags(const struct mesh_stun_msg *m, uint8_t to[MESH_UFRAG_LEN],
		       uint8_t from[MESH_UFRAG_LEN])
{
	const struct mesh_stun_attr *a = mesh_stun_find(m, MESH_STUN_USERNAME);

	return a && a->len == USERNAME_LEN && a->value[UFRAG_TEXT] == ':' &&
	       from_hex(to, a->value) && from_hex(from, a->value + UFRAG_TEXT + 1);
}

/* --- requests --------------------------------------------------------------------------------- */

/* As long as the peer may not have heard of our newest keys, those before have their turn as well.
 */
static const struct mesh_frag *to_ask_with(struct mesh_check_keys *k)
{
	bool both = k->local[1].set && !k->local[0].used;

	return &k->local[both && k->turn++ % 2];
}

size_t mesh_check_request(struct mesh_check_keys *k, const struct mesh_pair *pair,
			  const uint8_t id[MESH_CHECK_ID_LEN], size_t len, uint8_t *out,
			  size_t room)
{
	struct mesh_stun_writer w;
	struct mesh_stun_id sid;
	char username[USERNAME_LEN];
	uint8_t key[32];

	if (!mesh_check_ready(k) || (len && (len % 4 || len < MESH_CHECK_LEN_MIN)))
		return 0;
	const struct mesh_frag *local = to_ask_with(k);

	to_hex(username, k->remote[0].ufrag);
	username[UFRAG_TEXT] = ':';
	to_hex(username + UFRAG_TEXT + 1, local->ufrag);
	memcpy(sid.b, id, sizeof(sid.b));
	mesh_stun_write_begin(&w, out, room, MESH_STUN_REQUEST, MESH_STUN_BINDING, &sid);
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, username, sizeof(username));
	if (len > MESH_CHECK_LEN_MIN)
		mesh_stun_write_zeros(&w, MESH_STUN_PADDING,
				      len - MESH_CHECK_LEN_MIN - MESH_STUN_ATTR_LEN);
	derive(key, pair, local->key, k->remote[0].key);
	mesh_stun_write_sha256(&w, key, sizeof(key));
	crypto_wipe(key, sizeof(key));
	return mesh_stun_write_end(&w);
}

/* Padding is all that a message may have beyond what every STUN implementation knows. */
static bool only_padding_unknown(const struct mesh_stun_msg *m)
{
	for (uint32_t i = 0; i < TT_MIN(m->unknown_count, (uint32_t)MESH_STUN_UNKNOWN_MAX); i++)
		if (m->unknown[i] != MESH_STUN_PADDING)
			return false;
	return true;
}

static enum tt_drop verify(const struct mesh_pair *pair, const struct mesh_stun_msg *m,
			   const struct mesh_frag *local, const struct mesh_frag *remote)
{
	uint8_t key[32];

	derive(key, pair, local->key, remote->key);
	enum tt_drop drop = mesh_stun_check_integrity(m, CRYPTO_HMAC_SHA256, key, sizeof(key));

	crypto_wipe(key, sizeof(key));
	return drop;
}

enum tt_drop mesh_check_verify_request(struct mesh_check_keys *k, const struct mesh_pair *pair,
				       const struct mesh_stun_msg *m, struct tt_mono now)
{
	uint8_t to[MESH_UFRAG_LEN], from[MESH_UFRAG_LEN];

	if (m->class != MESH_STUN_REQUEST || m->method != MESH_STUN_BINDING ||
	    !only_padding_unknown(m) || !mesh_check_ufrags(m, to, from))
		return TT_DROP_STUN_UNEXPECTED;
	const struct mesh_frag *local = find(k->local, to, now),
			       *remote = find(k->remote, from, now);

	if (!local || !remote)
		return TT_DROP_STUN_UNEXPECTED;
	enum tt_drop drop = verify(pair, m, local, remote);

	if (drop == TT_DROP_NONE)
		note_used(k, local, now);
	return drop;
}

/* --- answers ---------------------------------------------------------------------------------- */

size_t mesh_check_answer(const struct mesh_check_keys *k, const struct mesh_pair *pair,
			 const struct mesh_stun_msg *m, const struct tt_endpoint *source,
			 uint8_t *out, size_t room)
{
	uint8_t to[MESH_UFRAG_LEN], from[MESH_UFRAG_LEN], key[32];
	struct mesh_stun_writer w;

	if (!mesh_check_ufrags(m, to, from))
		return 0;
	/* verified just now: both are there, whatever their age */
	unsigned l = crypto_equal(k->local[0].ufrag, to, MESH_UFRAG_LEN) ? 0 : 1;
	unsigned r = crypto_equal(k->remote[0].ufrag, from, MESH_UFRAG_LEN) ? 0 : 1;

	derive(key, pair, k->local[l].key, k->remote[r].key);
	mesh_stun_write_begin(&w, out, room, MESH_STUN_SUCCESS, MESH_STUN_BINDING, &m->id);
	if (source && tt_endpoint_is_set(source))
		mesh_stun_write_address(&w, MESH_STUN_XOR_MAPPED_ADDRESS, source);
	mesh_stun_write_sha256(&w, key, sizeof(key));
	crypto_wipe(key, sizeof(key));
	return mesh_stun_write_end(&w);
}

enum tt_drop mesh_check_verify_answer(struct mesh_check_keys *k, const struct mesh_pair *pair,
				      const struct mesh_stun_msg *m, struct tt_mono now)
{
	if (m->class != MESH_STUN_SUCCESS || m->method != MESH_STUN_BINDING || m->unknown_count)
		return TT_DROP_STUN_UNEXPECTED;
	/* an answer names no keys: it is under those of its request, which may be the old ones */
	for (unsigned i = 0; i < 4; i++) {
		const struct mesh_frag *l = &k->local[i & 1], *r = &k->remote[i >> 1];
		if (alive(l, now) && alive(r, now) && verify(pair, m, l, r) == TT_DROP_NONE) {
			note_used(k, l, now);
			return TT_DROP_NONE;
		}
	}
	return TT_DROP_STUN_INTEGRITY;
}
