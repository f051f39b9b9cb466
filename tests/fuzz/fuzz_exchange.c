/* SPDX-License-Identifier: MIT
 *
 * What a peer may send in an exchange and as checks. The first byte says how the rest is taken:
 *
 *	0: a sealed exchange as it comes
 *	1: the plain text of one, sealed with the right keys, so that the parser behind the seal is
 *	   reached; what comes out must come out again when it is sealed anew
 *	2: a datagram, as a check and as an answer; without the keys nothing is believed
 *	3: attributes of a check, under the right keys and user name
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/hkdf.h"
#include "crypto/xaead.h"
#include "mesh/check.h"
#include "mesh/stun_write.h"

#define LEN_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t dh[32] = {1}, a_key[32] = {2}, b_key[32] = {3};
static const struct mesh_pair a_to_b = {dh, a_key, b_key}, b_to_a = {dh, b_key, a_key};
static const uint8_t nonce[MESH_EXCHANGE_NONCE] = {4};
static const struct tt_mono now = {TT_NS_PER_SEC};

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void open_it(const uint8_t *sealed, size_t len, bool ours)
{
	uint8_t again[MESH_EXCHANGE_MAX];
	struct mesh_offer o, same;

	if (mesh_exchange_open(&o, sealed, len, &b_to_a) != MESH_EXCHANGE_OK)
		return;
	require(ours && o.count <= MESH_CANDIDATES_MAX);
	size_t n = mesh_exchange_seal(again, &o, &a_to_b, nonce);
	require(n <= len); /* shorter where an address was IPv4 in disguise */
	require(mesh_exchange_open(&same, again, n, &b_to_a) == MESH_EXCHANGE_OK);
	require(same.count == o.count && same.generation == o.generation && same.asks == o.asks);
	for (unsigned i = 0; i < o.count; i++)
		require(same.candidate[i].kind == o.candidate[i].kind &&
			tt_endpoint_equal(&same.candidate[i].at, &o.candidate[i].at));
}

static void seal_and_open(const uint8_t *plain, size_t len)
{
	uint8_t key[32], info[64], *sealed = malloc(len + sizeof(nonce) + CRYPTO_XAEAD_TAG_LEN);

	memcpy(info, a_key, 32);
	memcpy(info + 32, b_key, 32);
	crypto_hkdf(key, 32, "taltun signal v1", 16, dh, 32, info, sizeof(info));
	memcpy(sealed, nonce, sizeof(nonce));
	crypto_xaead_seal(key, nonce, NULL, 0, plain, len, sealed + sizeof(nonce));
	open_it(sealed, len + sizeof(nonce) + CRYPTO_XAEAD_TAG_LEN, true);
	free(sealed);
}

/* Keys of b, that a has, too. */
static void keys(struct mesh_check_keys *a, struct mesh_check_keys *b)
{
	struct mesh_frag x = {.set = true, .ufrag = {5}, .key = {6}};
	struct mesh_frag y = {.set = true, .ufrag = {7}, .key = {8}};

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	a->local[0] = b->remote[0] = x;
	a->remote[0] = b->local[0] = y;
}

static void check(const uint8_t *bytes, size_t len, bool ours)
{
	static const uint8_t v6[16] = {0x20, 1};
	const struct tt_endpoint source = {tt_ip_v6(v6), 9, 0};
	struct mesh_check_keys a, b;
	struct mesh_stun_msg m;
	uint8_t out[LEN_MAX];

	keys(&a, &b);
	if (mesh_stun_parse(&m, bytes, len) != TT_DROP_NONE)
		return;
	if (mesh_check_verify_request(&b, &b_to_a, &m, now) == TT_DROP_NONE) {
		size_t n = mesh_check_answer(&b, &b_to_a, &m, &source, out, sizeof(out));

		require(ours && n > 0 && n <= len);
		require(mesh_stun_parse(&m, out, n) == TT_DROP_NONE);
		require(mesh_check_verify_answer(&a, &a_to_b, &m, now) == TT_DROP_NONE);
		return;
	}
	require(mesh_check_verify_answer(&a, &a_to_b, &m, now) != TT_DROP_NONE);
}

/* type (2), length (1), value; then the right integrity. */
static void build_check(const uint8_t *data, size_t size)
{
	struct mesh_check_keys a, b;
	struct mesh_stun_writer w;
	struct mesh_stun_id id = {{9}};
	struct mesh_stun_msg m;
	uint8_t request[LEN_MAX], out[LEN_MAX], key[32], info[128];

	keys(&a, &b);
	size_t n = mesh_check_request(&a, &a_to_b, id.b, 0, request, sizeof(request));
	require(n == MESH_CHECK_LEN_MIN && mesh_stun_parse(&m, request, n) == TT_DROP_NONE);
	const struct mesh_stun_attr *user = mesh_stun_find(&m, MESH_STUN_USERNAME);

	mesh_stun_write_begin(&w, out, sizeof(out), MESH_STUN_REQUEST, MESH_STUN_BINDING, &id);
	mesh_stun_write_attr(&w, MESH_STUN_USERNAME, user->value, user->len);
	while (size >= 3) {
		uint16_t type = tt_load_be16(data);
		size_t len = TT_MIN((size_t)data[2], size - 3);
		mesh_stun_write_attr(&w, type, data + 3, len);
		data += 3 + len;
		size -= 3 + len;
	}
	/* as in mesh/check.c: what belongs to the lower public key comes first */
	memcpy(info, a.local[0].key, 32);
	memcpy(info + 32, a.remote[0].key, 32);
	memcpy(info + 64, a_key, 32);
	memcpy(info + 96, b_key, 32);
	crypto_hkdf(key, 32, "taltun check v1", 15, dh, 32, info, sizeof(info));
	mesh_stun_write_sha256(&w, key, sizeof(key));
	n = mesh_stun_write_end(&w);
	if (n)
		check(out, n, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > LEN_MAX / 2)
		return 0;
	switch (data[0] & 3) {
	case 0:
		open_it(data + 1, size - 1, false);
		break;
	case 1:
		seal_and_open(data + 1, size - 1);
		break;
	case 2:
		check(data + 1, size - 1, false);
		break;
	default:
		build_check(data + 1, size - 1);
	}
	return 0;
}
