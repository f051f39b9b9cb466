/* SPDX-License-Identifier: MIT */
#include "wg/noise.h"

#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"

/* Hash of "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", and that hashed with "WireGuard v1 zx2c4
 * Jason@zx2c4.com": where every handshake begins. Constants, so that they are not derived for each
 * datagram of a flood; tests derive them. */
static const struct wg_noise_symmetric wg_noise_start = {
	.chaining_key = {0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35,
			 0xe2, 0xa0, 0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72,
			 0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36},
	.hash = {0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43,
		 0xdb, 0x45, 0x8a, 0xd5, 0x32, 0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93,
		 0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3},
};

/* --- the symmetric state ---------------------------------------------------------------------- */

static void wg_noise_mix_hash(struct wg_noise_symmetric *s, const void *data, size_t len)
{
	struct crypto_blake2s h;

	crypto_blake2s_init(&h, sizeof(s->hash), NULL, 0);
	crypto_blake2s_update(&h, s->hash, sizeof(s->hash));
	crypto_blake2s_update(&h, data, len);
	crypto_blake2s_final(&h, s->hash);
}

/* Both sides hash the responder's static key before the first byte is sent. */
static void wg_noise_begin(struct wg_noise_symmetric *s, const uint8_t responder[WG_KEY_LEN])
{
	*s = wg_noise_start;
	wg_noise_mix_hash(s, responder, WG_KEY_LEN);
}

static void wg_noise_mix_ephemeral(struct wg_noise_symmetric *s, const uint8_t e[WG_KEY_LEN])
{
	wg_noise_mix_hash(s, e, WG_KEY_LEN);
	crypto_blake2s_kdf1(s->chaining_key, s->chaining_key, e, WG_KEY_LEN);
}

/* Mixes a shared secret; key may be NULL where no encryption follows. */
static void wg_noise_mix_key(struct wg_noise_symmetric *s, struct crypto_aead_key *key,
			     const uint8_t secret[WG_KEY_LEN])
{
	if (key)
		crypto_blake2s_kdf2(s->chaining_key, key->bytes, s->chaining_key, secret,
				    WG_KEY_LEN);
	else
		crypto_blake2s_kdf1(s->chaining_key, s->chaining_key, secret, WG_KEY_LEN);
}

static bool wg_noise_mix_dh(struct wg_noise_symmetric *s, struct crypto_aead_key *key,
			    const uint8_t secret[WG_KEY_LEN], const uint8_t public[WG_KEY_LEN])
{
	uint8_t shared[WG_KEY_LEN];
	bool good = crypto_x25519(shared, secret, public);

	if (good)
		wg_noise_mix_key(s, key, shared);
	crypto_wipe(shared, sizeof(shared));
	return good;
}

static void wg_noise_mix_psk(struct wg_noise_symmetric *s, struct crypto_aead_key *key,
			     const uint8_t psk[WG_KEY_LEN])
{
	uint8_t temp[WG_KEY_LEN];

	crypto_blake2s_kdf3(s->chaining_key, temp, key->bytes, s->chaining_key, psk, WG_KEY_LEN);
	wg_noise_mix_hash(s, temp, sizeof(temp));
	crypto_wipe(temp, sizeof(temp));
}

/* Handshake fields use each key once, with counter 0, and the hash so far as associated data. */
static void wg_noise_encrypt(struct wg_noise_symmetric *s, const struct crypto_aead_key *key,
			     const uint8_t *src, size_t len, uint8_t *dst)
{
	crypto_aead_seal(key, 0, s->hash, sizeof(s->hash), src, len, dst);
	wg_noise_mix_hash(s, dst, len + WG_TAG_LEN);
}

static bool wg_noise_decrypt(struct wg_noise_symmetric *s, const struct crypto_aead_key *key,
			     const uint8_t *src, size_t len, uint8_t *dst)
{
	if (!crypto_aead_open(key, 0, s->hash, sizeof(s->hash), src, len, dst))
		return false;
	wg_noise_mix_hash(s, src, len + WG_TAG_LEN);
	return true;
}

static void wg_noise_split(const struct wg_noise_symmetric *s, uint8_t i2r[WG_KEY_LEN],
			   uint8_t r2i[WG_KEY_LEN])
{
	crypto_blake2s_kdf2(i2r, r2i, s->chaining_key, NULL, 0);
}

/* --- initiation ------------------------------------------------------------------------------- */

enum wg_noise_outcome
wg_noise_initiation_create(struct wg_noise_initiator *out, struct wg_msg_initiation *msg,
			   const struct wg_noise_static *self, const struct wg_noise_remote *remote,
			   const uint8_t ephemeral_private[WG_KEY_LEN],
			   const struct wg_tai64n *stamp, uint32_t local_index)
{
	struct wg_noise_symmetric s;
	struct crypto_aead_key key = {0};
	struct wg_msg_initiation m = {.type = WG_MSG_INITIATION};
	enum wg_noise_outcome outcome = WG_NOISE_LOW_ORDER;

	wg_noise_begin(&s, remote->public_key);
	tt_store_le32(m.sender_index, local_index);
	crypto_x25519_base(m.ephemeral, ephemeral_private);
	wg_noise_mix_ephemeral(&s, m.ephemeral);
	if (!wg_noise_mix_dh(&s, &key, ephemeral_private, remote->public_key))
		goto out;
	wg_noise_encrypt(&s, &key, self->public_key, WG_KEY_LEN, m.encrypted_static);
	if (crypto_is_zero(remote->static_static, WG_KEY_LEN))
		goto out;
	wg_noise_mix_key(&s, &key, remote->static_static);
	wg_noise_encrypt(&s, &key, stamp->b, sizeof(stamp->b), m.encrypted_timestamp);

	out->sym = s;
	memcpy(out->ephemeral_private, ephemeral_private, WG_KEY_LEN);
	out->local_index = local_index;
	*msg = m;
	outcome = WG_NOISE_OK;
out:
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(&key, sizeof(key));
	return outcome;
}

enum wg_noise_outcome wg_noise_initiation_open(struct wg_noise_responder *out,
					       const struct wg_msg_initiation *msg,
					       const struct wg_noise_static *self)
{
	struct wg_noise_responder r = {.remote_index = tt_load_le32(msg->sender_index)};
	struct crypto_aead_key key = {0};
	enum wg_noise_outcome outcome = WG_NOISE_LOW_ORDER;

	wg_noise_begin(&r.sym, self->public_key);
	memcpy(r.remote_ephemeral, msg->ephemeral, WG_KEY_LEN);
	wg_noise_mix_ephemeral(&r.sym, msg->ephemeral);
	if (!wg_noise_mix_dh(&r.sym, &key, self->private_key, msg->ephemeral))
		goto out;
	outcome = WG_NOISE_BAD_AUTH;
	if (!wg_noise_decrypt(&r.sym, &key, msg->encrypted_static, WG_KEY_LEN, r.remote_static))
		goto out;
	*out = r;
	outcome = WG_NOISE_OK;
out:
	crypto_wipe(&r, sizeof(r));
	crypto_wipe(&key, sizeof(key));
	return outcome;
}

enum wg_noise_outcome wg_noise_initiation_verify(struct wg_noise_responder *r,
						 struct wg_tai64n *stamp,
						 const struct wg_msg_initiation *msg,
						 const struct wg_noise_remote *remote)
{
	struct wg_noise_symmetric s = r->sym;
	struct crypto_aead_key key = {0};
	struct wg_tai64n t;
	enum wg_noise_outcome outcome = WG_NOISE_LOW_ORDER;

	if (crypto_is_zero(remote->static_static, WG_KEY_LEN))
		goto out;
	wg_noise_mix_key(&s, &key, remote->static_static);
	outcome = WG_NOISE_BAD_AUTH;
	if (!wg_noise_decrypt(&s, &key, msg->encrypted_timestamp, sizeof(t.b), t.b))
		goto out;
	r->sym = s;
	*stamp = t;
	outcome = WG_NOISE_OK;
out:
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(&key, sizeof(key));
	return outcome;
}

/* --- response --------------------------------------------------------------------------------- */

enum wg_noise_outcome
wg_noise_response_create(struct wg_noise_keys *keys, struct wg_msg_response *msg,
			 const struct wg_noise_responder *r, const struct wg_noise_remote *remote,
			 const uint8_t ephemeral_private[WG_KEY_LEN], uint32_t local_index)
{
	struct wg_noise_symmetric s = r->sym;
	struct crypto_aead_key key = {0};
	struct wg_msg_response m = {.type = WG_MSG_RESPONSE};
	enum wg_noise_outcome outcome = WG_NOISE_LOW_ORDER;

	tt_store_le32(m.sender_index, local_index);
	tt_store_le32(m.receiver_index, r->remote_index);
	crypto_x25519_base(m.ephemeral, ephemeral_private);
	wg_noise_mix_ephemeral(&s, m.ephemeral);
	if (!wg_noise_mix_dh(&s, NULL, ephemeral_private, r->remote_ephemeral))
		goto out;
	if (!wg_noise_mix_dh(&s, NULL, ephemeral_private, remote->public_key))
		goto out;
	wg_noise_mix_psk(&s, &key, remote->psk);
	wg_noise_encrypt(&s, &key, NULL, 0, m.encrypted_nothing);

	wg_noise_split(&s, keys->recv, keys->send);
	keys->local_index = local_index;
	keys->remote_index = r->remote_index;
	*msg = m;
	outcome = WG_NOISE_OK;
out:
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(&key, sizeof(key));
	return outcome;
}

enum wg_noise_outcome wg_noise_response_consume(struct wg_noise_keys *keys,
						const struct wg_msg_response *msg,
						const struct wg_noise_initiator *i,
						const struct wg_noise_static *self,
						const struct wg_noise_remote *remote)
{
	struct wg_noise_symmetric s = i->sym;
	struct crypto_aead_key key = {0};
	enum wg_noise_outcome outcome = WG_NOISE_LOW_ORDER;
	uint8_t nothing[1]; /* of length zero */

	wg_noise_mix_ephemeral(&s, msg->ephemeral);
	if (!wg_noise_mix_dh(&s, NULL, i->ephemeral_private, msg->ephemeral))
		goto out;
	if (!wg_noise_mix_dh(&s, NULL, self->private_key, msg->ephemeral))
		goto out;
	wg_noise_mix_psk(&s, &key, remote->psk);
	outcome = WG_NOISE_BAD_AUTH;
	if (!wg_noise_decrypt(&s, &key, msg->encrypted_nothing, 0, nothing))
		goto out;

	wg_noise_split(&s, keys->send, keys->recv);
	keys->local_index = i->local_index;
	keys->remote_index = tt_load_le32(msg->sender_index);
	outcome = WG_NOISE_OK;
out:
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(&key, sizeof(key));
	return outcome;
}
