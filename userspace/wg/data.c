/* SPDX-License-Identifier: MIT */
#include "wg/data.h"

enum wg_session_use wg_data_seal(struct wg_session *s, struct tt_mono now, const uint8_t *plaintext,
				 size_t len, size_t mtu, uint8_t *out)
{
	size_t padded = wg_data_padded_len(len, mtu);
	uint64_t counter;
	enum wg_session_use use = wg_session_reserve(s, now, 1, padded, &counter);

	if (use == WG_SESSION_DEAD)
		return use;
	wg_data_header_write(out, s->remote_index, counter);
	if (len)
		memcpy(out + WG_DATA_HEADER, plaintext, len);
	memset(out + WG_DATA_HEADER + len, 0, padded - len);
	crypto_aead_seal(&s->send_key, counter, NULL, 0, out + WG_DATA_HEADER, padded,
			 out + WG_DATA_HEADER);
	return use;
}

enum tt_drop wg_data_open(struct wg_session *s, struct tt_mono now, const uint8_t *packet,
			  size_t packet_len, uint8_t *out, struct wg_data_opened *opened)
{
	if (wg_message_type_of(packet, packet_len) != WG_MSG_DATA)
		return TT_DROP_RX_BAD_TYPE;
	if (packet_len < WG_DATA_MIN)
		return TT_DROP_RX_TOO_SHORT;
	if (tt_load_le32(packet + 4) != s->local_index)
		return TT_DROP_DATA_UNKNOWN_INDEX;
	if (wg_session_expired(s, now))
		return TT_DROP_DATA_EXPIRED;
	uint64_t counter = tt_load_le64(packet + 8);
	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return TT_DROP_DATA_COUNTER;
	size_t len = packet_len - WG_DATA_OVERHEAD;
	if (!crypto_aead_open(&s->recv_key, counter, NULL, 0, packet + WG_DATA_HEADER, len, out))
		return TT_DROP_DATA_BAD_AUTH;

	switch (wg_replay_accept(&s->replay, counter)) {
	case WG_REPLAY_SEEN:
		return TT_DROP_DATA_REPLAY;
	case WG_REPLAY_OLD:
		return TT_DROP_DATA_OLD;
	case WG_REPLAY_LIMIT:
		return TT_DROP_DATA_COUNTER;
	case WG_REPLAY_OK:
		*opened = (struct wg_data_opened){len, false};
		break;
	case WG_REPLAY_OK_NEWEST:
		*opened = (struct wg_data_opened){len, true};
		break;
	}
	atomic_store_explicit(&s->confirmed, true, memory_order_relaxed);
	return TT_DROP_NONE;
}
