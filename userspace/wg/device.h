/* SPDX-License-Identifier: MIT
 *
 * One WireGuard interface without any I/O: our long-term key, the peers, and what judges handshake
 * datagrams (types 1-3). Control thread only. All memory is the caller's.
 *
 * Life of a received datagram: the caller passes it with a zeroed session (`spare`), and does what
 * the result says, in this order: publish result.session to the workers; send result.reply to the
 * source; move the peer's endpoint where result.authenticated; unpublish result.displaced.
 */
#ifndef TT_WG_DEVICE_H
#define TT_WG_DEVICE_H

#include "base/addr.h"
#include "base/drop.h"
#include "base/rng.h"
#include "wg/cookie.h"
#include "wg/index.h"
#include "wg/messages.h"
#include "wg/noise.h"
#include "wg/peer.h"
#include "wg/ratelimit.h"

#define WG_UNDER_LOAD_STICKY_NS TT_NS_PER_SEC

/* Memory of a device; nothing in it needs to be locked but the struct wg_device itself. */
struct wg_device_memory {
	struct wg_peer **peers;		   /* [peer_capacity] */
	uint32_t *peer_buckets;		   /* [peer_capacity] */
	uint32_t peer_capacity;		   /* at most 2^20 */
	struct wg_index_entry *indices;	   /* [index_capacity], zeroed */
	uint32_t index_capacity;	   /* a power of two */
	struct wg_ratelimit_entry *limits; /* [limit_capacity] */
	uint32_t *limit_buckets;	   /* [limit_capacity] */
	uint32_t limit_capacity;	   /* a power of two */
};

struct wg_device {
	bool has_key;
	struct wg_noise_static self;
	struct wg_peer **peers; /* by tt_peer_id; NULL where free */
	uint32_t *peer_buckets;
	uint32_t peer_capacity;
	uint32_t peer_count;
	uint32_t peer_hint; /* no id below it is free */
	uint8_t peer_hash_key[16];
	struct wg_index_table index;
	struct wg_cookie_checker cookie;
	struct wg_ratelimit limit;
	struct tt_mono last_load; /* under load until 1 s after it */

	/* Settings. */
	struct tt_wall stamp_limit; /* no initiation is stamped later; sec 0: no limit */
	uint64_t rekey_after_bytes; /* mean; sessions draw theirs within 1/8 of it. 0: off */

	/* Counters. */
	uint64_t drops[TT_DROP_COUNT];
	uint64_t cookies_sent;
	uint64_t cookies_received;
	uint64_t initiations_sent;
	uint64_t responses_sent;
	uint64_t handshakes_done;
	uint64_t future_stamps; /* accepted initiations stamped more than a day ahead of us */
};

void wg_device_init(struct wg_device *dev, const struct wg_device_memory *memory,
		    const struct tt_rng *rng);
/* Wipes the keys. Peers must have been removed. */
void wg_device_wipe(struct wg_device *dev);

/*
 * Sets (clamped) or, with NULL, removes our private key. Returns the peer whose public key is now
 * our own, which the caller must remove, or TT_PEER_NONE. Where the key changes, initiations under
 * way and the static-static secrets go; the caller then calls wg_peer_expire() for every peer, and
 * wg_timers_want_handshake() for those it wants up again.
 */
tt_peer_id wg_device_set_private_key(struct wg_device *dev, const uint8_t key[WG_KEY_LEN],
				     struct tt_mono now, bool *changed);

enum wg_add_peer_outcome {
	WG_ADD_PEER_OK,
	WG_ADD_PEER_EXISTS, /* *id is the one that has this key; mem stays the caller's */
	WG_ADD_PEER_SELF,   /* our own key: silently none, as the UAPI wants it */
	WG_ADD_PEER_FULL,
};
/* mem: zeroed locked memory for the peer, the device's until wg_device_remove_peer(). *id: the
 * lowest free one. */
enum wg_add_peer_outcome wg_device_add_peer(struct wg_device *dev,
					    const uint8_t public_key[WG_KEY_LEN],
					    struct wg_peer *mem, tt_peer_id *id);
tt_peer_id wg_device_find_peer(const struct wg_device *dev, const uint8_t public_key[WG_KEY_LEN]);
static inline struct wg_peer *wg_device_peer(const struct wg_device *dev, tt_peer_id id)
{
	return id < dev->peer_capacity ? dev->peers[id] : NULL;
}
/* Returns the peer's memory, which the caller wipes; its sessions are in *out. */
struct wg_peer *wg_device_remove_peer(struct wg_device *dev, tt_peer_id id, struct tt_mono now,
				      struct wg_displaced *out);

enum wg_rx_outcome {
	WG_RX_DROP,	     /* for `reason` */
	WG_RX_SEND_COOKIE,   /* send the reply; nothing else happened (reason HS_BAD_MAC2) */
	WG_RX_SEND_RESPONSE, /* publish `session`, then send the reply */
	/* Our initiation was answered: publish `session` and make it the sending one, then send
	 * what is staged, or a keepalive, at once: the responder waits for it. */
	WG_RX_SESSION_READY,
	WG_RX_COOKIE_STORED, /* the next initiation will carry it; keep the 5 s */
};

struct wg_rx_result {
	enum wg_rx_outcome outcome;
	enum tt_drop reason;
	tt_peer_id peer;    /* TT_PEER_NONE where not known */
	bool authenticated; /* the endpoint may move to the source. Never on a cookie reply */
	struct wg_session *session; /* = spare where it was used, else NULL */
	uint8_t reply[sizeof(struct wg_msg_response)];
	uint32_t reply_len;
	struct wg_displaced displaced;
};

/*
 * One datagram of type 1-3 from `source`. under_load: the caller's handshake queue is long; it
 * lasts 1 s on. spare: zeroed, locked. Where the result does not use it, it is untouched.
 */
enum wg_rx_outcome wg_device_receive(struct wg_device *dev, struct tt_mono now, struct tt_wall wall,
				     const struct tt_rng *rng, bool under_load,
				     const struct tt_endpoint *source, const uint8_t *datagram,
				     size_t len, struct wg_session *spare,
				     struct wg_rx_result *out);

bool wg_device_under_load(const struct wg_device *dev, struct tt_mono now);

#endif
