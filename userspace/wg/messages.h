/* SPDX-License-Identifier: MIT
 *
 * WireGuard's wire format (whitepaper section 5.4) and constants (section 6.1). All integers are
 * little-endian on the wire.
 */
#ifndef TT_WG_MESSAGES_H
#define TT_WG_MESSAGES_H

#include "base/types.h"

enum wg_message_type {
	WG_MSG_INITIATION = 1,
	WG_MSG_RESPONSE = 2,
	WG_MSG_COOKIE = 3,
	WG_MSG_DATA = 4,
};

#define WG_KEY_LEN	    32
#define WG_TAG_LEN	    16
#define WG_MAC_LEN	    16
#define WG_TIMESTAMP_LEN    12
#define WG_COOKIE_LEN	    16
#define WG_COOKIE_NONCE_LEN 24

struct wg_msg_macs {
	uint8_t mac1[WG_MAC_LEN];
	uint8_t mac2[WG_MAC_LEN];
};

struct wg_msg_initiation {
	uint8_t type; /* the three bytes behind it are reserved and zero */
	uint8_t reserved[3];
	uint8_t sender_index[4];
	uint8_t ephemeral[WG_KEY_LEN];
	uint8_t encrypted_static[WG_KEY_LEN + WG_TAG_LEN];
	uint8_t encrypted_timestamp[WG_TIMESTAMP_LEN + WG_TAG_LEN];
	struct wg_msg_macs macs;
};

struct wg_msg_response {
	uint8_t type;
	uint8_t reserved[3];
	uint8_t sender_index[4];
	uint8_t receiver_index[4];
	uint8_t ephemeral[WG_KEY_LEN];
	uint8_t encrypted_nothing[WG_TAG_LEN];
	struct wg_msg_macs macs;
};

struct wg_msg_cookie {
	uint8_t type;
	uint8_t reserved[3];
	uint8_t receiver_index[4];
	uint8_t nonce[WG_COOKIE_NONCE_LEN];
	uint8_t encrypted_cookie[WG_COOKIE_LEN + WG_TAG_LEN];
};

struct wg_msg_data {
	uint8_t type;
	uint8_t reserved[3];
	uint8_t receiver_index[4];
	uint8_t counter[8];
	/* ciphertext, then the tag */
};

_Static_assert(sizeof(struct wg_msg_initiation) == 148, "initiation is 148 bytes");
_Static_assert(sizeof(struct wg_msg_response) == 92, "response is 92 bytes");
_Static_assert(sizeof(struct wg_msg_cookie) == 64, "cookie reply is 64 bytes");
_Static_assert(sizeof(struct wg_msg_data) == 16, "data header is 16 bytes");

#define WG_DATA_HEADER	 16
#define WG_DATA_OVERHEAD 32 /* header and tag */
#define WG_DATA_MIN	 32 /* a keepalive */
#define WG_PADDING	 16 /* plaintext is padded to this, clamped to the interface MTU */

/* Largest inner packet: 65535 - IP - UDP - header - tag. */
#define WG_INNER_MAX_V4 (65535 - 20 - 8 - WG_DATA_OVERHEAD) /* 65475 */
#define WG_INNER_MAX_V6 (65535 - 8 - WG_DATA_OVERHEAD)	    /* 65495: IPv6 payload length */

#define WG_REKEY_AFTER_MESSAGES	   (UINT64_C(1) << 60)
#define WG_REJECT_AFTER_MESSAGES   (UINT64_MAX - (UINT64_C(1) << 13)) /* 2^64 - 2^13 - 1 */
#define WG_REKEY_AFTER_TIME_NS	   (120 * TT_NS_PER_SEC)
#define WG_REJECT_AFTER_TIME_NS	   (180 * TT_NS_PER_SEC)
#define WG_REKEY_ATTEMPT_TIME_NS   (90 * TT_NS_PER_SEC)
#define WG_REKEY_TIMEOUT_NS	   (5 * TT_NS_PER_SEC)
#define WG_REKEY_TIMEOUT_JITTER_NS (333 * TT_NS_PER_MS)
#define WG_KEEPALIVE_TIMEOUT_NS	   (10 * TT_NS_PER_SEC)
#define WG_COOKIE_LIFETIME_NS	   (120 * TT_NS_PER_SEC)
#define WG_INITIATION_MIN_GAP_NS   (20 * TT_NS_PER_MS)
/* An initiator rekeys on *receive* from this age on, so that one-way traffic never meets the end.
 */
#define WG_REKEY_ON_RECV_NS \
	(WG_REJECT_AFTER_TIME_NS - WG_KEEPALIVE_TIMEOUT_NS - WG_REKEY_TIMEOUT_NS)
/* Rekey by volume (design section 7). */
#define WG_REKEY_AFTER_BYTES (UINT64_C(1) << 30)

/* First look at a datagram: its message type, or 0 where type or reserved bytes are none of ours.
 */
static inline enum wg_message_type wg_message_type_of(const uint8_t *d, size_t len)
{
	if (len < 4)
		return 0;
	uint32_t word = tt_load_le32(d);
	return word >= WG_MSG_INITIATION && word <= WG_MSG_DATA ? (enum wg_message_type)word : 0;
}

#endif
