/* SPDX-License-Identifier: MIT
 *
 * Sealed candidates: what goes in comes out, for the right peer alone and in one direction.
 */
#include "tt_test.h"

#include "crypto/hkdf.h"
#include "crypto/xaead.h"
#include "mesh/exchange.h"

static uint8_t dh[32], a_key[32], b_key[32], c_key[32], other_dh[32];
static const struct mesh_pair a_to_b = {dh, a_key, b_key}, b_to_a = {dh, b_key, a_key};
static uint8_t nonce[MESH_EXCHANGE_NONCE], sealed[MESH_EXCHANGE_MAX + 64];
static struct mesh_offer in, out;

static void set_up(void)
{
	memset(dh, 1, sizeof(dh));
	memset(other_dh, 2, sizeof(other_dh));
	memset(a_key, 3, sizeof(a_key));
	memset(b_key, 4, sizeof(b_key));
	memset(c_key, 5, sizeof(c_key));
	memset(nonce, 6, sizeof(nonce));
	memset(&in, 0, sizeof(in));
	in.generation = UINT64_C(0x0123456789abcdef);
	memset(in.ufrag, 7, sizeof(in.ufrag));
	memset(in.key, 8, sizeof(in.key));
}

/* Families by turns. */
static void candidates(unsigned n)
{
	in.count = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		struct mesh_candidate *c = &in.candidate[i];

		tt_endpoint_parse(i & 1 ? "[2001:db8::1:2]:65535" : "192.0.2.77:1", &c->at);
		c->at.ip.b[3] = (uint8_t)i;
		c->kind = i & 2 ? MESH_CANDIDATE_REFLEXIVE : MESH_CANDIDATE_HOST;
	}
}

static bool same(const struct mesh_offer *x, const struct mesh_offer *y)
{
	bool same = x->generation == y->generation && x->asks == y->asks && x->count == y->count &&
		    memcmp(x->ufrag, y->ufrag, sizeof(x->ufrag)) == 0 &&
		    memcmp(x->key, y->key, sizeof(x->key)) == 0;

	for (unsigned i = 0; same && i < x->count; i++)
		same = x->candidate[i].kind == y->candidate[i].kind &&
		       tt_endpoint_equal(&x->candidate[i].at, &y->candidate[i].at);
	return same;
}

static bool is_clean(const struct mesh_offer *o)
{
	static const struct mesh_offer zero;

	return memcmp(o, &zero, sizeof(zero)) == 0;
}

static void round_trips(void)
{
	set_up();
	for (unsigned n = 0; n <= MESH_CANDIDATES_MAX; n++)
		for (int asks = 0; asks < 2; asks++) {
			candidates(n);
			in.asks = asks;
			size_t len = mesh_exchange_seal(sealed, &in, &a_to_b, nonce);
			CU_ASSERT_EQUAL(len, MESH_EXCHANGE_NONCE + MESH_EXCHANGE_FIXED + 16 +
						     (n + 1) / 2 * 8 + n / 2 * 20);
			CU_ASSERT(len <= MESH_EXCHANGE_MAX);
			CU_ASSERT_EQUAL(mesh_exchange_open(&out, sealed, len, &b_to_a),
					MESH_EXCHANGE_OK);
			CU_ASSERT(same(&in, &out));
		}
}

/* 16 IPv6 candidates are the longest that there is. */
static void longest(void)
{
	set_up();
	candidates(MESH_CANDIDATES_MAX);
	for (unsigned i = 0; i < MESH_CANDIDATES_MAX; i++)
		tt_endpoint_parse("[fd00::9]:9", &in.candidate[i].at);
	size_t len = mesh_exchange_seal(sealed, &in, &a_to_b, nonce);
	CU_ASSERT_EQUAL(len, MESH_EXCHANGE_MAX);
	CU_ASSERT(len <= 2048); /* what a signal may hold */
	CU_ASSERT_EQUAL(mesh_exchange_open(&out, sealed, len, &b_to_a), MESH_EXCHANGE_OK);
	CU_ASSERT(same(&in, &out));
}

static void damaged(void)
{
	set_up();
	candidates(3);
	size_t len = mesh_exchange_seal(sealed, &in, &a_to_b, nonce);

	for (size_t n = 0; n < len; n++) {
		enum mesh_exchange_outcome o = mesh_exchange_open(&out, sealed, n, &b_to_a);
		CU_ASSERT(o == MESH_EXCHANGE_BAD_LENGTH || o == MESH_EXCHANGE_FORGED);
		CU_ASSERT(is_clean(&out));
	}
	for (size_t i = 0; i < len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			sealed[i] ^= (uint8_t)(1 << bit);
			CU_ASSERT_EQUAL(mesh_exchange_open(&out, sealed, len, &b_to_a),
					MESH_EXCHANGE_FORGED);
			CU_ASSERT(is_clean(&out));
			sealed[i] ^= (uint8_t)(1 << bit);
		}
	CU_ASSERT_EQUAL(mesh_exchange_open(&out, sealed, MESH_EXCHANGE_MAX + 1, &b_to_a),
			MESH_EXCHANGE_BAD_LENGTH);
	CU_ASSERT_EQUAL(mesh_exchange_open(&out, sealed, len + 1, &b_to_a), MESH_EXCHANGE_FORGED);
}

static void wrong_people(void)
{
	const struct mesh_pair wrong[] = {
		{dh, a_key, b_key},	  /* our own, reflected */
		{dh, b_key, c_key},	  /* said to be from somebody else */
		{dh, c_key, a_key},	  /* for somebody else */
		{other_dh, b_key, a_key}, /* without the secret */
	};

	set_up();
	candidates(2);
	size_t len = mesh_exchange_seal(sealed, &in, &a_to_b, nonce);
	for (size_t i = 0; i < TT_ARRAY_LEN(wrong); i++) {
		CU_ASSERT_EQUAL(mesh_exchange_open(&out, sealed, len, &wrong[i]),
				MESH_EXCHANGE_FORGED);
		CU_ASSERT(is_clean(&out));
	}
}

/* As a peer might that has the key and no manners. */
static size_t seal_plain(const uint8_t *plain, size_t len)
{
	uint8_t info[64], key[32];

	memcpy(info, a_key, 32);
	memcpy(info + 32, b_key, 32);
	crypto_hkdf(key, 32, "taltun signal v1", 16, dh, 32, info, sizeof(info));
	memcpy(sealed, nonce, sizeof(nonce));
	crypto_xaead_seal(key, nonce, NULL, 0, plain, len, sealed + sizeof(nonce));
	return sizeof(nonce) + len + CRYPTO_XAEAD_TAG_LEN;
}

static enum mesh_exchange_outcome open_plain(const uint8_t *plain, size_t len)
{
	enum mesh_exchange_outcome o =
		mesh_exchange_open(&out, sealed, seal_plain(plain, len), &b_to_a);

	CU_ASSERT(o == MESH_EXCHANGE_OK || is_clean(&out));
	return o;
}

static void authentic_nonsense(void)
{
	uint8_t p[MESH_EXCHANGE_FIXED + 8 + 21] = {1, 0, 1};
	uint8_t *c = p + MESH_EXCHANGE_FIXED;
	const size_t len = MESH_EXCHANGE_FIXED + 8;

	set_up();
	memcpy(c, (uint8_t[]){1, 4, 0, 9, 192, 0, 2, 1}, 8);
	CU_ASSERT_EQUAL(open_plain(p, len), MESH_EXCHANGE_OK);
	CU_ASSERT_EQUAL(open_plain(p, len - 1), MESH_EXCHANGE_MALFORMED);
	CU_ASSERT_EQUAL(open_plain(p, len + 1), MESH_EXCHANGE_MALFORMED);
	CU_ASSERT_EQUAL(open_plain(p, MESH_EXCHANGE_FIXED), MESH_EXCHANGE_MALFORMED);
	CU_ASSERT_EQUAL(open_plain(p, MESH_EXCHANGE_FIXED - 1), MESH_EXCHANGE_BAD_LENGTH);
	for (unsigned v = 0; v < 256; v++) {
		p[0] = (uint8_t)v;
		CU_ASSERT_EQUAL(open_plain(p, len),
				v == 1 ? MESH_EXCHANGE_OK : MESH_EXCHANGE_BAD_VERSION);
		p[0] = 1;
		p[2] = (uint8_t)v;
		CU_ASSERT_EQUAL(open_plain(p, len),
				v == 1 ? MESH_EXCHANGE_OK : MESH_EXCHANGE_MALFORMED);
		p[2] = 1;
		c[0] = (uint8_t)v;
		CU_ASSERT_EQUAL(open_plain(p, len),
				v == 1 || v == 2 ? MESH_EXCHANGE_OK : MESH_EXCHANGE_MALFORMED);
		c[0] = 1;
		c[1] = (uint8_t)v;
		CU_ASSERT_EQUAL(open_plain(p, len),
				v == 4 ? MESH_EXCHANGE_OK : MESH_EXCHANGE_MALFORMED);
		c[1] = 4;
		/* flags and the zero are for later versions of this one */
		p[1] = (uint8_t)v;
		p[3] = (uint8_t)v;
		CU_ASSERT_EQUAL(open_plain(p, len), MESH_EXCHANGE_OK);
		CU_ASSERT_EQUAL(out.asks, v & 1);
	}
}

/* ::ffff:127.0.0.1 is the address that it says. */
static void mapped(void)
{
	uint8_t p[MESH_EXCHANGE_FIXED + 20] = {1, 0, 1};

	set_up();
	memcpy(p + MESH_EXCHANGE_FIXED,
	       (uint8_t[]){1, 6, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}, 20);
	CU_ASSERT_EQUAL(open_plain(p, sizeof(p)), MESH_EXCHANGE_OK);
	CU_ASSERT_EQUAL(out.candidate[0].at.ip.family, TT_FAMILY_V4);
}

TT_TESTS("exchange", {"round trips", round_trips}, {"longest", longest}, {"damaged", damaged},
	 {"wrong people", wrong_people}, {"authentic nonsense", authentic_nonsense},
	 {"mapped addresses", mapped})
