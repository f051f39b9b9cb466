/* SPDX-License-Identifier: MIT */
#include "wg/session.h"

/* Both ends may rekey by volume or by messages; by age only the initiator, so that the two do not
 * start at the same moment. */
static bool wg_session_rekey_due(const struct wg_session *s, uint64_t age, uint64_t counter,
				 uint64_t bytes)
{
	if (s->initiator && age >= WG_REKEY_AFTER_TIME_NS)
		return true;
	if (counter >= WG_REKEY_AFTER_MESSAGES)
		return true;
	return s->rekey_after_bytes && bytes >= s->rekey_after_bytes && age >= WG_REKEY_TIMEOUT_NS;
}

enum wg_session_use wg_session_reserve(struct wg_session *s, struct tt_mono now, uint32_t n,
				       uint64_t bytes, uint64_t *first)
{
	uint64_t age = tt_mono_since(now, s->born);
	uint64_t counter = atomic_load_explicit(&s->send_counter, memory_order_relaxed);

	if (age >= WG_REJECT_AFTER_TIME_NS)
		return WG_SESSION_DEAD;
	/* Compare-and-swap rather than an addition: a failed reservation must not move the
	 * counter, or enough of them would wrap it. */
	do {
		if (counter >= WG_REJECT_AFTER_MESSAGES || n > WG_REJECT_AFTER_MESSAGES - counter)
			return WG_SESSION_DEAD;
	} while (!atomic_compare_exchange_weak_explicit(&s->send_counter, &counter, counter + n,
							memory_order_relaxed,
							memory_order_relaxed));
	bytes += atomic_fetch_add_explicit(&s->tx_bytes, bytes, memory_order_relaxed);
	*first = counter;
	return wg_session_rekey_due(s, age, counter + n, bytes) ? WG_SESSION_USABLE_REKEY
								: WG_SESSION_USABLE;
}
