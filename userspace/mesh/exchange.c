/* SPDX-License-Identifier: MIT */
#include "mesh/exchange.h"

#include "base/cursor.h"
#include "crypto/hkdf.h"
#include "crypto/mem.h"
#include "crypto/xaead.h"

#define VERSION	  1
#define FLAG_ASKS 1
#define LABEL	  "taltun signal v1"
#define PLAIN_MAX (MESH_EXCHANGE_FIXED + 20 * MESH_CANDIDATES_MAX)

static void derive(uint8_t key[32], const uint8_t static_static[32], const uint8_t sender[32],
		   const uint8_t receiver[32])
{
	uint8_t info[64];

	memcpy(info, sender, 32);
	memcpy(info + 32, receiver, 32);
	crypto_hkdf(key, 32, LABEL, sizeof(LABEL) - 1, static_static, 32, info, sizeof(info));
}

static size_t write_plain(uint8_t *out, const struct mesh_offer *o)
{
	uint8_t *at = out;

	at[0] = VERSION;
	at[1] = o->asks ? FLAG_ASKS : 0;
	at[2] = o->count;
	at[3] = 0;
	tt_store_be64(at + 4, o->generation);
	memcpy(at + 12, o->ufrag, MESH_UFRAG_LEN);
	memcpy(at + 20, o->key, MESH_CHECK_KEY_LEN);
	at += MESH_EXCHANGE_FIXED;
	for (unsigned i = 0; i < o->count; i++) {
		const struct mesh_candidate *c = &o->candidate[i];
		size_t n = c->at.ip.family == TT_FAMILY_V4 ? 4 : 16;

		at[0] = c->kind;
		at[1] = c->at.ip.family;
		tt_store_be16(at + 2, c->at.udp_port);
		memcpy(at + 4, c->at.ip.b, n);
		at += 4 + n;
	}
	return (size_t)(at - out);
}

size_t mesh_exchange_seal(uint8_t *out, const struct mesh_offer *o, const struct mesh_pair *pair,
			  const uint8_t nonce[MESH_EXCHANGE_NONCE])
{
	uint8_t plain[PLAIN_MAX], key[32];

	tt_assert(o->count <= MESH_CANDIDATES_MAX);
	size_t len = write_plain(plain, o);

	derive(key, pair->static_static, pair->own_key, pair->peer_key);
	memcpy(out, nonce, MESH_EXCHANGE_NONCE);
	crypto_xaead_seal(key, nonce, NULL, 0, plain, len, out + MESH_EXCHANGE_NONCE);
	crypto_wipe(key, sizeof(key));
	crypto_wipe(plain, sizeof(plain));
	return MESH_EXCHANGE_NONCE + len + CRYPTO_XAEAD_TAG_LEN;
}

/* Bytes of one candidate, or 0 where it is none. */
static size_t read_candidate(struct mesh_candidate *c, const uint8_t *at, size_t left)
{
	size_t n = left < 4 ? 0 : at[1] == TT_FAMILY_V4 ? 4 : at[1] == TT_FAMILY_V6 ? 16 : 0;

	memset(c, 0, sizeof(*c));
	if (!n || left < 4 + n ||
	    (at[0] != MESH_CANDIDATE_HOST && at[0] != MESH_CANDIDATE_REFLEXIVE))
		return 0;
	c->kind = at[0];
	c->at.udp_port = tt_load_be16(at + 2);
	c->at.ip = n == 4 ? tt_ip_v4(at + 4) : tt_ip_v6(at + 4);
	return 4 + n;
}

static enum mesh_exchange_outcome read_plain(struct mesh_offer *o, const uint8_t *plain, size_t len)
{
	size_t off = MESH_EXCHANGE_FIXED;

	if (plain[0] != VERSION)
		return MESH_EXCHANGE_BAD_VERSION;
	if (plain[2] > MESH_CANDIDATES_MAX)
		return MESH_EXCHANGE_MALFORMED;
	o->asks = plain[1] & FLAG_ASKS;
	o->count = plain[2];
	o->generation = tt_load_be64(plain + 4);
	memcpy(o->ufrag, plain + 12, MESH_UFRAG_LEN);
	memcpy(o->key, plain + 20, MESH_CHECK_KEY_LEN);
	for (unsigned i = 0; i < o->count; i++) {
		size_t n = read_candidate(&o->candidate[i], plain + off, len - off);
		if (!n)
			return MESH_EXCHANGE_MALFORMED;
		off += n;
	}
	return off == len ? MESH_EXCHANGE_OK : MESH_EXCHANGE_MALFORMED;
}

enum mesh_exchange_outcome mesh_exchange_open(struct mesh_offer *o, const uint8_t *sealed,
					      size_t len, const struct mesh_pair *pair)
{
	uint8_t plain[PLAIN_MAX], key[32];
	size_t around = MESH_EXCHANGE_NONCE + CRYPTO_XAEAD_TAG_LEN;
	enum mesh_exchange_outcome outcome = MESH_EXCHANGE_FORGED;

	memset(o, 0, sizeof(*o));
	if (len < around + MESH_EXCHANGE_FIXED || len > MESH_EXCHANGE_MAX)
		return MESH_EXCHANGE_BAD_LENGTH;
	derive(key, pair->static_static, pair->peer_key, pair->own_key);
	if (crypto_xaead_open(key, sealed, NULL, 0, sealed + MESH_EXCHANGE_NONCE, len - around,
			      plain))
		outcome = read_plain(o, plain, len - around);
	if (outcome != MESH_EXCHANGE_OK)
		crypto_wipe(o, sizeof(*o));
	crypto_wipe(key, sizeof(key));
	crypto_wipe(plain, sizeof(plain));
	return outcome;
}
