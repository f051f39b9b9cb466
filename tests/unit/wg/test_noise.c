/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include <ctype.h>
#include <string.h>
#include <jansson.h>
#include "base/rng.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "wg/cookie.h"
#include "wg/data.h"
#include "wg/noise.h"

static size_t unhex(const char *text, uint8_t *out, size_t room)
{
	size_t n = 0;

	for (; text[0] && text[1]; text += 2, n++) {
		unsigned v = 0;
		CU_ASSERT_FATAL(n < room && sscanf(text, "%2x", &v) == 1);
		out[n] = (uint8_t)v;
	}
	return n;
}

static size_t field(const json_t *o, const char *name, uint8_t *out, size_t room)
{
	const char *text = json_string_value(json_object_get(o, name));

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	return unhex(text, out, room);
}

/* --- a pair of identities --------------------------------------------------------------------- */

struct side {
	struct wg_noise_static self;
	struct wg_noise_remote remote;
};

static void side_init(struct side *s, const uint8_t private_key[32], const uint8_t other[32],
		      const uint8_t psk[32])
{
	memcpy(s->self.private_key, private_key, 32);
	crypto_x25519_base(s->self.public_key, private_key);
	crypto_x25519_base(s->remote.public_key, other);
	memcpy(s->remote.psk, psk, 32);
	CU_ASSERT(crypto_x25519(s->remote.static_static, private_key, s->remote.public_key));
}

static struct side I, R;
static struct wg_tai64n stamp;
static uint8_t Ei[32], Er[32];

/* --- known answers ---------------------------------------------------------------------------- */

static void kat_transport(const json_t *packets, struct wg_session *i, struct wg_session *r)
{
	uint8_t packet[2048], plain[2048], out[2048];
	size_t index;
	json_t *p;

	json_array_foreach(packets, index, p)
	{
		bool i2r = strcmp(json_string_value(json_object_get(p, "dir")), "i2r") == 0;
		struct wg_session *from = i2r ? i : r, *to = i2r ? r : i;
		size_t len = field(p, "packet", packet, sizeof(packet));
		size_t plain_len = field(p, "plaintext", plain, sizeof(plain));
		struct tt_mono now = {TT_NS_PER_SEC};
		struct wg_data_opened opened;

		from->send_counter = (uint64_t)json_integer_value(json_object_get(p, "counter"));
		CU_ASSERT_EQUAL(wg_data_seal(from, now, plain, plain_len, 1420, out),
				WG_SESSION_USABLE);
		CU_ASSERT_EQUAL(wg_data_padded_len(plain_len, 1420) + WG_DATA_OVERHEAD, len);
		CU_ASSERT(memcmp(out, packet, len) == 0);
		CU_ASSERT_EQUAL(wg_data_open(to, now, packet, len, out, &opened), TT_DROP_NONE);
		CU_ASSERT_EQUAL(opened.len, plain_len);
		CU_ASSERT(memcmp(out, plain, plain_len) == 0);
		CU_ASSERT_EQUAL(wg_data_open(to, now, packet, len, out, &opened),
				TT_DROP_DATA_REPLAY);
	}
}

static void session_of(struct wg_session *s, const struct wg_noise_keys *k)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->send_key.bytes, k->send, 32);
	memcpy(s->recv_key.bytes, k->recv, 32);
	s->local_index = k->local_index;
	s->remote_index = k->remote_index;
	s->born = (struct tt_mono){TT_NS_PER_SEC};
}

static void kat_one(const json_t *v)
{
	static const struct tt_mono now = {TT_NS_PER_SEC};
	uint8_t si[32], sr[32], psk[32], want[148], t[32], index[4];
	struct wg_msg_initiation m1;
	struct wg_msg_response m2;
	struct wg_noise_initiator hi;
	struct wg_noise_responder hr;
	struct wg_noise_keys ki, kr;
	struct wg_cookie cookie = {0};
	struct wg_tai64n seen;
	static struct wg_session ssi, ssr;

	field(v, "Si", si, 32);
	field(v, "Sr", sr, 32);
	field(v, "Ei", Ei, 32);
	field(v, "Er", Er, 32);
	field(v, "psk", psk, 32);
	field(v, "timestamp", stamp.b, 12);
	side_init(&I, si, sr, psk);
	side_init(&R, sr, si, psk);

	field(v, "sender_i", index, 4);
	CU_ASSERT_EQUAL(wg_noise_initiation_create(&hi, &m1, &I.self, &I.remote, Ei, &stamp,
						   tt_load_le32(index)),
			WG_NOISE_OK);
	wg_cookie_keys_init(&cookie.keys, I.remote.public_key);
	wg_cookie_stamp(&cookie, (uint8_t *)&m1, sizeof(m1), now);
	CU_ASSERT_EQUAL(field(v, "msg1", want, sizeof(want)), sizeof(m1));
	CU_ASSERT(memcmp(&m1, want, sizeof(m1)) == 0);

	CU_ASSERT_EQUAL(wg_noise_initiation_open(&hr, &m1, &R.self), WG_NOISE_OK);
	CU_ASSERT(memcmp(hr.remote_static, I.self.public_key, 32) == 0);
	CU_ASSERT_EQUAL(wg_noise_initiation_verify(&hr, &seen, &m1, &R.remote), WG_NOISE_OK);
	CU_ASSERT(memcmp(&seen, &stamp, sizeof(stamp)) == 0);

	field(v, "sender_r", index, 4);
	CU_ASSERT_EQUAL(wg_noise_response_create(&kr, &m2, &hr, &R.remote, Er, tt_load_le32(index)),
			WG_NOISE_OK);
	wg_cookie_keys_init(&cookie.keys, R.remote.public_key);
	wg_cookie_stamp(&cookie, (uint8_t *)&m2, sizeof(m2), now);
	CU_ASSERT_EQUAL(field(v, "msg2", want, sizeof(want)), sizeof(m2));
	CU_ASSERT(memcmp(&m2, want, sizeof(m2)) == 0);

	CU_ASSERT_EQUAL(wg_noise_response_consume(&ki, &m2, &hi, &I.self, &I.remote), WG_NOISE_OK);
	field(v, "T_i2r", t, 32);
	CU_ASSERT(memcmp(ki.send, t, 32) == 0 && memcmp(kr.recv, t, 32) == 0);
	field(v, "T_r2i", t, 32);
	CU_ASSERT(memcmp(ki.recv, t, 32) == 0 && memcmp(kr.send, t, 32) == 0);
	session_of(&ssi, &ki);
	session_of(&ssr, &kr);
	kat_transport(json_object_get(v, "transport"), &ssi, &ssr);
}

static void known_answers(void)
{
	const char *dir = tt_test_vectors();
	char path[4096];
	size_t i, packets = 0;
	json_t *v;

	if (!dir) {
		tt_test_skip(22, "no shared vectors");
		return;
	}
	snprintf(path, sizeof(path), "%s/wireguard_kat.json", dir);
	json_t *all = json_load_file(path, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	json_array_foreach(all, i, v)
	{
		kat_one(v);
		packets += json_array_size(json_object_get(v, "transport"));
	}
	printf("  %zu handshakes, %zu transport packets\n", json_array_size(all), packets);
	CU_ASSERT_EQUAL(json_array_size(all), 4);
	CU_ASSERT_EQUAL(packets, 18);
	json_decref(all);
}

/* --- our own pair ----------------------------------------------------------------------------- */

static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct wg_noise_initiator hi;
static struct wg_msg_initiation m1;
static struct wg_msg_response m2;

static void random_pair(void)
{
	uint8_t a[32], b[32], psk[32];

	rng = tt_rng_seeded_init(&seed, 5);
	tt_rng_fill(&rng, a, 32);
	tt_rng_fill(&rng, b, 32);
	tt_rng_fill(&rng, psk, 32);
	tt_rng_fill(&rng, Ei, 32);
	tt_rng_fill(&rng, Er, 32);
	tt_rng_fill(&rng, stamp.b, sizeof(stamp.b));
	side_init(&I, a, b, psk);
	side_init(&R, b, a, psk);
	CU_ASSERT_EQUAL(wg_noise_initiation_create(&hi, &m1, &I.self, &I.remote, Ei, &stamp,
						   0x01020304),
			WG_NOISE_OK);
}

static void respond(struct wg_noise_keys *kr)
{
	struct wg_noise_responder hr;
	struct wg_tai64n seen;

	CU_ASSERT_EQUAL(wg_noise_initiation_open(&hr, &m1, &R.self), WG_NOISE_OK);
	CU_ASSERT_EQUAL(wg_noise_initiation_verify(&hr, &seen, &m1, &R.remote), WG_NOISE_OK);
	CU_ASSERT_EQUAL(wg_noise_response_create(kr, &m2, &hr, &R.remote, Er, 77), WG_NOISE_OK);
}

/* The start constants are the hashes that the whitepaper names. */
static void start_constants(void)
{
	static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
	static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
	struct crypto_blake2s h;
	uint8_t hash[32], ck[32], e[32], shared[32], key[32], open[32];

	random_pair();
	crypto_blake2s(ck, 32, NULL, 0, construction, strlen(construction));
	memcpy(hash, ck, 32);
	const void *parts[] = {identifier, I.remote.public_key, m1.ephemeral};
	const size_t lens[] = {strlen(identifier), 32, 32};
	for (int i = 0; i < 3; i++) {
		crypto_blake2s_init(&h, 32, NULL, 0);
		crypto_blake2s_update(&h, hash, 32);
		crypto_blake2s_update(&h, parts[i], lens[i]);
		crypto_blake2s_final(&h, hash);
	}
	crypto_x25519_base(e, Ei);
	CU_ASSERT(memcmp(e, m1.ephemeral, 32) == 0);
	crypto_blake2s_kdf1(ck, ck, e, 32);
	CU_ASSERT(crypto_x25519(shared, Ei, I.remote.public_key));
	crypto_blake2s_kdf2(ck, key, ck, shared, 32);
	struct crypto_aead_key k = {0};
	memcpy(k.bytes, key, 32);
	CU_ASSERT(crypto_aead_open(&k, 0, hash, 32, m1.encrypted_static, 32, open));
	CU_ASSERT(memcmp(open, I.self.public_key, 32) == 0);
}

/* Which fields the noise layer authenticates: all but the sender index, which is a plain number of
 * the other side's, and the reserved bytes, which the dispatcher looks at. */
static void every_byte_of_initiation(void)
{
	size_t accepted = 0;

	random_pair();
	for (size_t at = offsetof(struct wg_msg_initiation, ephemeral);
	     at < offsetof(struct wg_msg_initiation, macs); at++) {
		struct wg_msg_initiation m = m1;
		struct wg_noise_responder hr, before;
		struct wg_tai64n seen = {{0}};
		((uint8_t *)&m)[at] ^= 1 << (at % 8);
		/* X25519 ignores the top bit of the last byte, yet the hash does not. */
		if (wg_noise_initiation_open(&hr, &m, &R.self) != WG_NOISE_OK)
			continue;
		before = hr;
		if (wg_noise_initiation_verify(&hr, &seen, &m, &R.remote) == WG_NOISE_OK)
			accepted++;
		CU_ASSERT(crypto_is_zero(&seen, sizeof(seen)));
		CU_ASSERT(memcmp(&before, &hr, sizeof(hr)) == 0);
	}
	CU_ASSERT_EQUAL(accepted, 0);
}

static void every_byte_of_response(void)
{
	struct wg_noise_keys kr, ki, zero;
	size_t accepted = 0;

	random_pair();
	respond(&kr);
	memset(&zero, 0, sizeof(zero));
	struct wg_noise_initiator before = hi;
	for (size_t at = offsetof(struct wg_msg_response, ephemeral);
	     at < offsetof(struct wg_msg_response, macs); at++) {
		struct wg_msg_response m = m2;
		((uint8_t *)&m)[at] ^= 1 << (at % 8);
		ki = zero;
		accepted +=
			wg_noise_response_consume(&ki, &m, &hi, &I.self, &I.remote) == WG_NOISE_OK;
		CU_ASSERT(memcmp(&ki, &zero, sizeof(ki)) == 0);
		CU_ASSERT(memcmp(&before, &hi, sizeof(hi)) == 0);
	}
	CU_ASSERT_EQUAL(accepted, 0);
	CU_ASSERT_EQUAL(wg_noise_response_consume(&ki, &m2, &hi, &I.self, &I.remote), WG_NOISE_OK);
	CU_ASSERT(memcmp(ki.send, kr.recv, 32) == 0 && memcmp(ki.recv, kr.send, 32) == 0);
}

static void wrong_psk(void)
{
	struct wg_noise_keys kr, ki;

	random_pair();
	respond(&kr);
	I.remote.psk[31] ^= 0x80;
	CU_ASSERT_EQUAL(wg_noise_response_consume(&ki, &m2, &hi, &I.self, &I.remote),
			WG_NOISE_BAD_AUTH);
}

/* The seven points of small order, canonical and not. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void low_order_points(void)
{
	struct wg_noise_keys keys;
	struct wg_noise_responder hr;

	for (size_t i = 0; i < TT_ARRAY_LEN(low_order); i++) {
		struct wg_msg_initiation out, zero = {0};
		struct wg_noise_initiator before;
		random_pair();
		respond(&keys);

		/* as ephemeral of an initiation and of a response */
		struct wg_msg_initiation bad1 = m1;
		unhex(low_order[i], bad1.ephemeral, 32);
		CU_ASSERT_EQUAL(wg_noise_initiation_open(&hr, &bad1, &R.self), WG_NOISE_LOW_ORDER);
		struct wg_msg_response bad2 = m2;
		unhex(low_order[i], bad2.ephemeral, 32);
		CU_ASSERT_EQUAL(wg_noise_response_consume(&keys, &bad2, &hi, &I.self, &I.remote),
				WG_NOISE_LOW_ORDER);

		/* as the peer's static key: nothing is written */
		unhex(low_order[i], I.remote.public_key, 32);
		before = hi;
		out = zero;
		CU_ASSERT_EQUAL(wg_noise_initiation_create(&hi, &out, &I.self, &I.remote, Ei,
							   &stamp, 9),
				WG_NOISE_LOW_ORDER);
		CU_ASSERT(memcmp(&out, &zero, sizeof(out)) == 0);
		CU_ASSERT(memcmp(&hi, &before, sizeof(hi)) == 0);

		/* as remote ephemeral in what the responder computes */
		CU_ASSERT_EQUAL(wg_noise_initiation_open(&hr, &m1, &R.self), WG_NOISE_OK);
		unhex(low_order[i], hr.remote_ephemeral, 32);
		struct wg_msg_response none = {0}, made = {0};
		CU_ASSERT_EQUAL(wg_noise_response_create(&keys, &made, &hr, &R.remote, Er, 3),
				WG_NOISE_LOW_ORDER);
		CU_ASSERT(memcmp(&made, &none, sizeof(made)) == 0);
	}
	/* a static-static secret that does not exist */
	random_pair();
	memset(I.remote.static_static, 0, 32);
	memset(R.remote.static_static, 0, 32);
	CU_ASSERT_EQUAL(wg_noise_initiation_create(&hi, &m1, &I.self, &I.remote, Ei, &stamp, 9),
			WG_NOISE_LOW_ORDER);
	random_pair();
	memset(R.remote.static_static, 0, 32);
	struct wg_tai64n seen;
	CU_ASSERT_EQUAL(wg_noise_initiation_open(&hr, &m1, &R.self), WG_NOISE_OK);
	CU_ASSERT_EQUAL(wg_noise_initiation_verify(&hr, &seen, &m1, &R.remote), WG_NOISE_LOW_ORDER);
}

TT_TESTS("noise", {"known answers: 4 handshakes, 18 packets", known_answers},
	 {"start constants are the whitepaper's hashes", start_constants},
	 {"every byte of message 1 flipped", every_byte_of_initiation},
	 {"every byte of message 2 flipped", every_byte_of_response},
	 {"wrong preshared key", wrong_psk},
	 {"case 09: low-order points emit nothing", low_order_points})
