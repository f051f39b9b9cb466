/* SPDX-License-Identifier: MIT */
#include "wg/replay.h"

#include "wg/messages.h"

_Static_assert((WG_REPLAY_WORDS & (WG_REPLAY_WORDS - 1)) == 0, "the ring is masked");

void wg_replay_init(struct wg_replay *r)
{
	memset(r, 0, sizeof(*r));
}

/* Clears the words between the newest counter and this one: at most the whole ring, however far
 * the jump. */
static void wg_replay_advance(struct wg_replay *r, uint64_t counter)
{
	uint64_t from = r->next ? (r->next - 1) >> 6 : 0;
	uint64_t words = TT_MIN((counter >> 6) - from, (uint64_t)WG_REPLAY_WORDS);

	for (uint64_t i = 1; i <= words; i++)
		r->bits[(from + i) & (WG_REPLAY_WORDS - 1)] = 0;
	r->next = counter + 1;
}

enum wg_replay_verdict wg_replay_accept(struct wg_replay *r, uint64_t counter)
{
	if (tt_unlikely(counter >= WG_REJECT_AFTER_MESSAGES))
		return WG_REPLAY_LIMIT;
	bool newest = counter >= r->next;
	if (newest)
		wg_replay_advance(r, counter);
	else if (r->next - 1 - counter > WG_REPLAY_WINDOW)
		return WG_REPLAY_OLD;

	uint64_t *word = &r->bits[(counter >> 6) & (WG_REPLAY_WORDS - 1)];
	uint64_t bit = UINT64_C(1) << (counter & 63);
	if (*word & bit)
		return WG_REPLAY_SEEN;
	*word |= bit;
	return newest ? WG_REPLAY_OK_NEWEST : WG_REPLAY_OK;
}
