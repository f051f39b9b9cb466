/* SPDX-License-Identifier: MIT
 *
 * Why a packet was dropped. Every drop names one of these; every reason is a counter that reaches
 * status and metrics. The names are part of the interface: append, never renumber.
 */
#ifndef TT_BASE_DROP_H
#define TT_BASE_DROP_H

#include "base/types.h"

/* X(symbol, text) */
/* clang-format off */
#define TT_DROP_REASONS(X)                                                                         \
	X(NONE, "none")                                                                            \
	/* any datagram */                                                                         \
	X(RX_TOO_SHORT, "rx_too_short")               /* shorter than the header of its type */    \
	X(RX_BAD_TYPE, "rx_bad_type")                 /* first byte or reserved bytes unknown */   \
	X(RX_TRUNCATED, "rx_truncated")               /* larger than the receive buffer */         \
	/* handshake */                                                                            \
	X(HS_BAD_LENGTH, "hs_bad_length")             /* type 1-3 of a wrong length */             \
	X(HS_BAD_MAC1, "hs_bad_mac1")                                                              \
	X(HS_BAD_MAC2, "hs_bad_mac2")                 /* under load: a cookie reply was sent */    \
	X(HS_RATELIMITED, "hs_ratelimited")           /* under load: this source is too fast */    \
	X(HS_NO_KEY, "hs_no_private_key")                                                          \
	X(HS_BAD_AUTH, "hs_bad_auth")                 /* decryption failed */                      \
	X(HS_UNKNOWN_PEER, "hs_unknown_peer")                                                      \
	X(HS_REPLAY, "hs_replayed_timestamp")                                                      \
	X(HS_FLOOD, "hs_peer_flood")                  /* two initiations within 20 ms */           \
	X(HS_UNKNOWN_INDEX, "hs_unknown_index")                                                    \
	X(HS_WRONG_STATE, "hs_wrong_state")           /* response that nothing waits for */        \
	X(HS_LOW_ORDER, "hs_low_order_point")                                                      \
	X(HS_QUEUE_FULL, "hs_queue_full")                                                          \
	X(COOKIE_INVALID, "cookie_invalid")                                                        \
	X(COOKIE_UNSOLICITED, "cookie_unsolicited")                                                \
	X(HS_NO_INDEX, "hs_no_free_index")                                                         \
	/* transport, inbound */                                                                   \
	X(DATA_UNKNOWN_INDEX, "data_unknown_index")                                                \
	X(DATA_EXPIRED, "data_expired_session")       /* 180 s or the message limit passed */      \
	X(DATA_COUNTER, "data_counter_limit")         /* counter at or past the reject limit */    \
	X(DATA_BAD_AUTH, "data_bad_auth")                                                          \
	X(DATA_REPLAY, "data_replayed")                                                            \
	X(DATA_OLD, "data_too_old")                   /* left of the replay window */              \
	X(INNER_INVALID, "inner_invalid")             /* not an IP packet, or its lengths lie */   \
	X(INNER_SOURCE, "inner_source_not_allowed")                                                \
	X(INNER_ECN, "inner_ecn_invalid")             /* outer CE, inner not ECN-capable */        \
	X(POLICY, "policy_denied")                    /* from one peer to another, not allowed */  \
	X(TTL_EXCEEDED, "ttl_exceeded")                                                            \
	/* transport, outbound */                                                                  \
	X(TX_INNER_INVALID, "tx_inner_invalid")                                                    \
	X(TX_NO_PEER, "tx_no_peer")                                                                \
	X(TX_NO_ENDPOINT, "tx_no_endpoint")                                                        \
	X(TX_NO_KEY, "tx_no_private_key")                                                          \
	X(TX_STAGING_FULL, "tx_staging_full")                                                      \
	X(TX_STAGING_EXPIRED, "tx_staging_expired")   /* no session within the attempt time */     \
	X(TX_COUNTER, "tx_counter_limit")                                                          \
	X(TX_TOO_BIG, "tx_too_big")                                                                \
	X(TX_SOCKET, "tx_socket_error")                                                            \
	X(TX_SOCKET_FULL, "tx_socket_full")           /* ENOBUFS / EAGAIN after one retry */       \
	/* TUN */                                                                                  \
	X(TUN_WRITE, "tun_write_error")                                                            \
	X(TUN_DOWN, "tun_down")                                                                    \
	X(TUN_BAD_VNET_HDR, "tun_bad_vnet_hdr")                                                    \
	/* STUN */                                                                                 \
	X(STUN_MALFORMED, "stun_malformed")           /* lengths that lie, too many attributes */  \
	X(STUN_FINGERPRINT, "stun_bad_fingerprint")                                                \
	X(STUN_INTEGRITY, "stun_bad_integrity")       /* missing, or under another key */          \
	X(STUN_UNEXPECTED, "stun_unexpected")         /* nobody asked, or asked somewhere else */  \
	X(STUN_SOURCE, "stun_bad_source")             /* from where nobody can be answered */      \
	/* relays, and what workers hand to control */                                             \
	X(RX_RELAY_SOURCE, "rx_relay_source")         /* not from an address of a relay in use */  \
	X(RX_RELAY_FULL, "rx_relay_full")             /* the worker's queue from the hub */        \
	X(TX_RELAY_FULL, "tx_relay_full")             /* the worker's queue to the hub */          \
	X(RX_CONTROL_FULL, "rx_control_full")         /* datagrams that a worker hands over */
/* clang-format on */

enum tt_drop {
#define X(sym, text) TT_DROP_##sym,
	TT_DROP_REASONS(X)
#undef X
		TT_DROP_COUNT
};

/* "hs_bad_mac1"; never NULL. */
const char *tt_drop_name(enum tt_drop reason);

#endif
