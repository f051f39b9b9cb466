/* SPDX-License-Identifier: MIT
 *
 * mac1, mac2 and cookie replies (whitepaper sections 5.3 and 5.4.4).
 *
 * struct wg_cookie_checker is ours, one per device: it judges what we receive. struct wg_cookie is
 * one peer's: it stamps what we send to it.
 */
#ifndef TT_WG_COOKIE_H
#define TT_WG_COOKIE_H

#include "base/addr.h"
#include "base/rng.h"
#include "wg/messages.h"

#define WG_COOKIE_SECRET_LEN	 32
#define WG_COOKIE_SECRET_LIFE_NS (120 * TT_NS_PER_SEC)

/* Keys derived from a public key; not secret. */
struct wg_cookie_keys {
	uint8_t mac1[WG_KEY_LEN];
	uint8_t cookie[WG_KEY_LEN];
};

struct wg_cookie_checker {
	struct wg_cookie_keys keys; /* of our own public key */
	uint8_t secret[WG_COOKIE_SECRET_LEN];
	struct tt_mono secret_born;
};

struct wg_cookie {
	struct wg_cookie_keys keys; /* of the peer's public key */
	uint8_t cookie[WG_COOKIE_LEN];
	struct tt_mono received;       /* 0: none */
	uint8_t sent_mac1[WG_MAC_LEN]; /* of the last message we sent */
	bool reply_expected;	       /* one cookie reply for that mac1 is welcome */
};

enum wg_cookie_verdict {
	WG_COOKIE_BAD_MAC1,
	WG_COOKIE_MAC1_ONLY, /* genuine, but the source is not proved */
	WG_COOKIE_MAC2,	     /* a cookie that we gave to this address not long ago */
};

void wg_cookie_keys_init(struct wg_cookie_keys *k, const uint8_t public_key[WG_KEY_LEN]);

/* Judges an initiation or response (len >= 32, macs last). Stateless towards the source. */
bool wg_cookie_check_mac1(const struct wg_cookie_keys *own, const uint8_t *msg, size_t len);
enum wg_cookie_verdict wg_cookie_check(struct wg_cookie_checker *c, const uint8_t *msg, size_t len,
				       const struct tt_endpoint *source, struct tt_mono now,
				       const struct tt_rng *rng);

/* Answers msg (genuine by mac1), whose sender is sender_index, with a cookie. */
void wg_cookie_reply_create(struct wg_cookie_checker *c, struct wg_msg_cookie *reply,
			    uint32_t sender_index, const uint8_t *msg, size_t len,
			    const struct tt_endpoint *source, struct tt_mono now,
			    const struct tt_rng *rng);

/* Writes mac1, and mac2 where a cookie is at hand, into a message that is otherwise complete. */
void wg_cookie_stamp(struct wg_cookie *c, uint8_t *msg, size_t len, struct tt_mono now);

enum wg_cookie_consumed {
	WG_COOKIE_STORED,
	WG_COOKIE_UNEXPECTED, /* we sent nothing that it could answer, or it was answered */
	WG_COOKIE_FORGED,     /* does not decrypt */
};
enum wg_cookie_consumed
wg_cookie_reply_consume(struct wg_cookie *c, const struct wg_msg_cookie *reply, struct tt_mono now);

#endif
