/* SPDX-License-Identifier: MIT
 *
 * A session: the result of one handshake. Made by wg/noise on the control thread, published to the
 * workers, used by both, wiped on the control thread after the workers' grace period.
 *
 * Fields are grouped by who writes them. wg/ takes no lock: whoever calls the receive side holds
 * the data path's lock of this session (`rx_lock` belongs to the data path alone).
 */
#ifndef TT_WG_SESSION_H
#define TT_WG_SESSION_H

#include <stdatomic.h>
#include "base/types.h"
#include "crypto/aead.h"
#include "wg/messages.h"
#include "wg/replay.h"

struct wg_session {
	/* Constant after creation. */
	struct crypto_aead_key send_key;
	struct crypto_aead_key recv_key;
	uint32_t local_index;  /* what the peer writes as receiver index; low bits: our slot */
	uint32_t remote_index; /* what we write */
	tt_peer_id peer;
	bool initiator;
	struct tt_mono born;
	uint64_t rekey_after_bytes; /* drawn around WG_REKEY_AFTER_BYTES */

	/* Send side: any thread. Counters are reserved with one fetch_add per batch. */
	_Alignas(TT_CACHELINE) _Atomic uint64_t send_counter;
	_Atomic uint64_t tx_bytes;

	/* Receive side: one batch at a time, under rx_lock, after the tags were verified. */
	_Alignas(TT_CACHELINE) atomic_flag rx_lock;
	struct wg_replay replay;

	/* Level-triggered facts for the control thread; set by workers, cleared by control. */
	_Alignas(TT_CACHELINE) _Atomic bool confirmed; /* a packet arrived: `next` may become
							  current */
	_Atomic bool rekey_asked; /* this session has asked for its successor */
};

/* What the send side may do with this session now. */
enum wg_session_use {
	WG_SESSION_USABLE,
	WG_SESSION_USABLE_REKEY, /* usable, and a new handshake is due */
	WG_SESSION_DEAD,	 /* too old or out of counters: handshake first */
};

/*
 * Reserves n counters. On USABLE*, *first is the first of n consecutive counters. `bytes` is the
 * plaintext volume of the batch, for the rekey by volume.
 */
enum wg_session_use wg_session_reserve(struct wg_session *s, struct tt_mono now, uint32_t n,
				       uint64_t bytes, uint64_t *first);

/* Whether an initiator must rekey because of what it received now (one-way traffic). */
static inline bool wg_session_rekey_on_receive(const struct wg_session *s, struct tt_mono now)
{
	return s->initiator && tt_mono_since(now, s->born) >= WG_REKEY_ON_RECV_NS;
}

static inline bool wg_session_expired(const struct wg_session *s, struct tt_mono now)
{
	return tt_mono_since(now, s->born) >= WG_REJECT_AFTER_TIME_NS;
}

static inline void wg_data_header_write(uint8_t *p, uint32_t remote_index, uint64_t counter)
{
	tt_store_le32(p, WG_MSG_DATA);
	tt_store_le32(p + 4, remote_index);
	tt_store_le64(p + 8, counter);
}

#endif
