/* SPDX-License-Identifier: MIT */
#include "wg/cookie.h"

#include "crypto/blake2s.h"
#include "crypto/mem.h"
#include "crypto/xaead.h"

static void wg_cookie_key(uint8_t out[WG_KEY_LEN], const char label[8],
			  const uint8_t public_key[WG_KEY_LEN])
{
	uint8_t text[8 + WG_KEY_LEN];

	memcpy(text, label, 8);
	memcpy(text + 8, public_key, WG_KEY_LEN);
	crypto_blake2s(out, WG_KEY_LEN, NULL, 0, text, sizeof(text));
}

void wg_cookie_keys_init(struct wg_cookie_keys *k, const uint8_t public_key[WG_KEY_LEN])
{
	wg_cookie_key(k->mac1, "mac1----", public_key);
	wg_cookie_key(k->cookie, "cookie--", public_key);
}

/* Both macs lie at the end of the message and cover all that is before them. */
#define MAC1_BEHIND (2 * WG_MAC_LEN)
#define MAC2_BEHIND WG_MAC_LEN

static void wg_cookie_mac1(uint8_t mac[WG_MAC_LEN], const struct wg_cookie_keys *k,
			   const uint8_t *msg, size_t len)
{
	crypto_blake2s(mac, WG_MAC_LEN, k->mac1, WG_KEY_LEN, msg, len - MAC1_BEHIND);
}

static void wg_cookie_mac2(uint8_t mac[WG_MAC_LEN], const uint8_t cookie[WG_COOKIE_LEN],
			   const uint8_t *msg, size_t len)
{
	crypto_blake2s(mac, WG_MAC_LEN, cookie, WG_COOKIE_LEN, msg, len - MAC2_BEHIND);
}

/* --- receiving -------------------------------------------------------------------------------- */

bool wg_cookie_check_mac1(const struct wg_cookie_keys *own, const uint8_t *msg, size_t len)
{
	uint8_t mac[WG_MAC_LEN];

	if (len < sizeof(struct wg_msg_macs))
		return false;
	wg_cookie_mac1(mac, own, msg, len);
	return crypto_equal(mac, msg + len - MAC1_BEHIND, WG_MAC_LEN);
}

/* The cookie of a source: a MAC over its address and udp_port, under a secret of two minutes. */
static void wg_cookie_make(struct wg_cookie_checker *c, uint8_t cookie[WG_COOKIE_LEN],
			   const struct tt_endpoint *source, struct tt_mono now,
			   const struct tt_rng *rng)
{
	uint8_t text[1 + 16 + 2];

	if (!tt_mono_is_set(c->secret_born) ||
	    tt_mono_since(now, c->secret_born) >= WG_COOKIE_SECRET_LIFE_NS) {
		tt_rng_fill(rng, c->secret, sizeof(c->secret));
		c->secret_born = now;
	}
	text[0] = source->ip.family;
	memcpy(text + 1, source->ip.b, 16);
	tt_store_be16(text + 17, source->udp_port);
	crypto_blake2s(cookie, WG_COOKIE_LEN, c->secret, sizeof(c->secret), text, sizeof(text));
}

enum wg_cookie_verdict wg_cookie_check(struct wg_cookie_checker *c, const uint8_t *msg, size_t len,
				       const struct tt_endpoint *source, struct tt_mono now,
				       const struct tt_rng *rng)
{
	uint8_t cookie[WG_COOKIE_LEN], mac[WG_MAC_LEN];

	if (!wg_cookie_check_mac1(&c->keys, msg, len))
		return WG_COOKIE_BAD_MAC1;
	wg_cookie_make(c, cookie, source, now, rng);
	wg_cookie_mac2(mac, cookie, msg, len);
	bool proved = crypto_equal(mac, msg + len - MAC2_BEHIND, WG_MAC_LEN);
	crypto_wipe(cookie, sizeof(cookie));
	crypto_wipe(mac, sizeof(mac));
	return proved ? WG_COOKIE_MAC2 : WG_COOKIE_MAC1_ONLY;
}

void wg_cookie_reply_create(struct wg_cookie_checker *c, struct wg_msg_cookie *reply,
			    uint32_t sender_index, const uint8_t *msg, size_t len,
			    const struct tt_endpoint *source, struct tt_mono now,
			    const struct tt_rng *rng)
{
	uint8_t cookie[WG_COOKIE_LEN];

	*reply = (struct wg_msg_cookie){.type = WG_MSG_COOKIE};
	tt_store_le32(reply->receiver_index, sender_index);
	tt_rng_fill(rng, reply->nonce, sizeof(reply->nonce));
	wg_cookie_make(c, cookie, source, now, rng);
	crypto_xaead_seal(c->keys.cookie, reply->nonce, msg + len - MAC1_BEHIND, WG_MAC_LEN, cookie,
			  sizeof(cookie), reply->encrypted_cookie);
	crypto_wipe(cookie, sizeof(cookie));
}

/* --- sending ---------------------------------------------------------------------------------- */

void wg_cookie_stamp(struct wg_cookie *c, uint8_t *msg, size_t len, struct tt_mono now)
{
	uint8_t *mac1 = msg + len - MAC1_BEHIND, *mac2 = msg + len - MAC2_BEHIND;

	wg_cookie_mac1(mac1, &c->keys, msg, len);
	memcpy(c->sent_mac1, mac1, WG_MAC_LEN);
	c->reply_expected = true;
	memset(mac2, 0, WG_MAC_LEN);
	if (!tt_mono_is_set(c->received))
		return;
	if (tt_mono_since(now, c->received) >= WG_COOKIE_LIFETIME_NS) {
		crypto_wipe(c->cookie, sizeof(c->cookie));
		c->received = (struct tt_mono){0};
		return;
	}
	wg_cookie_mac2(mac2, c->cookie, msg, len);
}

enum wg_cookie_consumed
wg_cookie_reply_consume(struct wg_cookie *c, const struct wg_msg_cookie *reply, struct tt_mono now)
{
	uint8_t cookie[WG_COOKIE_LEN];

	if (!c->reply_expected)
		return WG_COOKIE_UNEXPECTED;
	if (!crypto_xaead_open(c->keys.cookie, reply->nonce, c->sent_mac1, WG_MAC_LEN,
			       reply->encrypted_cookie, sizeof(cookie), cookie))
		return WG_COOKIE_FORGED;
	memcpy(c->cookie, cookie, sizeof(cookie));
	crypto_wipe(cookie, sizeof(cookie));
	c->received = now;
	c->reply_expected = false;
	return WG_COOKIE_STORED;
}
