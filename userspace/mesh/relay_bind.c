/* SPDX-License-Identifier: MIT */
#include "mesh/relay_bind.h"

#include "crypto/mem.h"
#include "mesh/address.h"

const char *mesh_relay_bind_state_name(enum mesh_relay_bind_state s)
{
	switch (s) {
	case MESH_RELAY_BIND_IDLE:
		return "idle";
	case MESH_RELAY_BIND_REQUESTING:
		return "requesting";
	case MESH_RELAY_BIND_ANSWERING:
		return "answering";
	case MESH_RELAY_BIND_BOUND:
		return "bound";
	case MESH_RELAY_BIND_REFRESHING:
		return "refreshing";
	}
	return "unknown";
}

/* The only place that changes the state. A new message is due at once, and often at first. */
static void enter(struct mesh_relay_bind *b, enum mesh_relay_bind_state state, struct tt_mono now)
{
	b->state = state;
	b->sends = b->tried = 0;
	b->retry_ns = MESH_RELAY_BIND_RETRY_NS;
	switch (state) {
	case MESH_RELAY_BIND_IDLE:
		b->due = (struct tt_mono){0};
		break;
	case MESH_RELAY_BIND_REQUESTING:
	case MESH_RELAY_BIND_ANSWERING:
	case MESH_RELAY_BIND_REFRESHING:
		b->due = now;
		break;
	case MESH_RELAY_BIND_BOUND:
		b->due = tt_mono_add_ns(now, b->idle_ns);
		break;
	}
}

enum mesh_relay_bind_start mesh_relay_bind_start(struct mesh_relay_bind *b, uint32_t tag,
						 const uint8_t key[MESH_RELAY_KEY_LEN],
						 const struct tt_endpoint *addresses, size_t count,
						 bool allow_any, struct tt_mono now)
{
	mesh_relay_bind_stop(b);
	if (tag == 0)
		return MESH_RELAY_BIND_BAD_TAG;
	for (size_t i = 0; i < count && b->count < MESH_RELAY_BIND_ADDRESSES; i++) {
		struct tt_endpoint e = {.ip = mesh_address_normalise(&addresses[i].ip),
					.udp_port = addresses[i].udp_port};

		if (mesh_address_is_target(&e) || (allow_any && tt_endpoint_is_set(&e)))
			b->addresses[b->count++] = e;
	}
	if (b->count == 0)
		return MESH_RELAY_BIND_NO_ADDRESS;
	b->tag = tag;
	memcpy(b->key, key, sizeof(b->key));
	enter(b, MESH_RELAY_BIND_REQUESTING, now);
	return MESH_RELAY_BIND_STARTED;
}

void mesh_relay_bind_stop(struct mesh_relay_bind *b)
{
	crypto_wipe(b, sizeof(*b));
}

void mesh_relay_bind_again(struct mesh_relay_bind *b, struct tt_mono now)
{
	if (b->state != MESH_RELAY_BIND_IDLE)
		enter(b, MESH_RELAY_BIND_REQUESTING, now);
}

/* --- receiving ---------------------------------------------------------------------------------
 */

static enum mesh_relay_bind_event
receive_challenge(struct mesh_relay_bind *b, const struct mesh_relay_message *m, struct tt_mono now)
{
	/* Challenges are not authentic: none may make us send faster than we would by ourselves. */
	if (tt_mono_is_set(b->answered) &&
	    tt_mono_since(now, b->answered) < MESH_RELAY_BIND_RETRY_NS)
		return MESH_RELAY_BIND_NOTHING;
	b->answered = now;
	memcpy(b->cookie, m->cookie, sizeof(b->cookie));
	b->answers_challenge = true;
	if (!mesh_relay_bind_is_usable(b)) {
		enter(b, MESH_RELAY_BIND_ANSWERING, now);
		return MESH_RELAY_BIND_PROGRESS;
	}
	/* A flood of forged ones must not put off for ever that we give up, so sends stays. */
	if (b->state == MESH_RELAY_BIND_REFRESHING)
		b->due = now;
	else
		enter(b, MESH_RELAY_BIND_REFRESHING, now);
	return MESH_RELAY_BIND_PROGRESS;
}

/* True where it proves that the hub has heard what we sent last. */
static bool bound_is_right(const struct mesh_relay_bind *b, const struct mesh_relay_message *m)
{
	if (b->state == MESH_RELAY_BIND_ANSWERING)
		return mesh_relay_bound_check(m, b->key, b->cookie, 0);
	if (b->state != MESH_RELAY_BIND_REFRESHING)
		return false;
	/* A keepalive that crossed a challenge may be answered after all. */
	return (b->answers_challenge && mesh_relay_bound_check(m, b->key, b->cookie, 0)) ||
	       mesh_relay_bound_check(m, b->key, NULL, b->sequence);
}

static enum mesh_relay_bind_event
receive_bound(struct mesh_relay_bind *b, const struct mesh_relay_message *m, struct tt_mono now)
{
	bool was_usable = mesh_relay_bind_is_usable(b);

	if (!bound_is_right(b, m) || m->expires_s == 0)
		return MESH_RELAY_BIND_NOTHING;
	b->idle_ns = TT_MIN(MESH_RELAY_BIND_IDLE_NS, m->expires_s * TT_NS_PER_SEC / 2);
	b->last_heard = now;
	b->answers_challenge = false;
	enter(b, MESH_RELAY_BIND_BOUND, now);
	return was_usable ? MESH_RELAY_BIND_ALIVE : MESH_RELAY_BIND_DONE;
}

enum mesh_relay_bind_event mesh_relay_bind_receive(struct mesh_relay_bind *b,
						   const struct mesh_relay_message *m,
						   const struct tt_endpoint *from,
						   struct tt_mono now)
{
	if (b->state == MESH_RELAY_BIND_IDLE || m->tag != b->tag ||
	    !tt_endpoint_equal(from, mesh_relay_bind_address(b)))
		return MESH_RELAY_BIND_NOTHING;
	if (m->type == MESH_RELAY_BIND_CHALLENGE)
		return receive_challenge(b, m, now);
	if (m->type == MESH_RELAY_BOUND)
		return receive_bound(b, m, now);
	return MESH_RELAY_BIND_NOTHING;
}

/* --- sending -----------------------------------------------------------------------------------
 */

/* What was sent often enough without an answer leads to the next thing to try. */
static void give_up(struct mesh_relay_bind *b, struct tt_mono now)
{
	if (b->state != MESH_RELAY_BIND_REQUESTING) {
		enter(b, MESH_RELAY_BIND_REQUESTING, now);
		return;
	}
	b->current = (uint8_t)((b->current + 1) % b->count);
	b->sends = 0;
	/* Each address gets a quick start once; after that the relay may be gone. */
	if (b->tried < b->count && ++b->tried < b->count)
		b->retry_ns = MESH_RELAY_BIND_RETRY_NS;
}

static bool spent(const struct mesh_relay_bind *b)
{
	return b->sends >= (b->state == MESH_RELAY_BIND_REQUESTING ? MESH_RELAY_BIND_REQUESTS
								   : MESH_RELAY_BIND_UNHEARD);
}

static void write_due(struct mesh_relay_bind *b, struct mesh_relay_bind_send *out)
{
	out->to = *mesh_relay_bind_address(b);
	if (b->state == MESH_RELAY_BIND_REQUESTING) {
		mesh_relay_request_write(out->bytes, b->tag);
		out->len = MESH_RELAY_REQUEST_LEN;
	} else if (b->state == MESH_RELAY_BIND_ANSWERING || b->answers_challenge) {
		mesh_relay_answer_write(out->bytes, b->tag, b->cookie, b->key);
		out->len = MESH_RELAY_ANSWER_LEN;
	} else {
		mesh_relay_keepalive_write(out->bytes, b->tag, b->sequence, b->key);
		out->len = MESH_RELAY_KEEPALIVE_LEN;
	}
}

/* BOUND: a keepalive where nothing went, or nothing came, for long enough; otherwise later. */
static void look_for_idleness(struct mesh_relay_bind *b, struct tt_mono now,
			      struct tt_mono last_sent, struct tt_mono last_received)
{
	struct tt_mono last = last_sent.ns < last_received.ns ? last_sent : last_received;

	if (tt_mono_before(last, b->last_heard))
		last = b->last_heard;
	if (tt_mono_since(now, last) < b->idle_ns) {
		b->due = tt_mono_add_ns(last, b->idle_ns);
		return;
	}
	b->sequence++;
	b->answers_challenge = false;
	enter(b, MESH_RELAY_BIND_REFRESHING, now);
}

bool mesh_relay_bind_poll(struct mesh_relay_bind *b, struct tt_mono now, struct tt_mono last_sent,
			  struct tt_mono last_received, struct mesh_relay_bind_send *out)
{
	if (b->state == MESH_RELAY_BIND_IDLE || tt_mono_before(now, b->due))
		return false;
	if (b->state == MESH_RELAY_BIND_BOUND)
		look_for_idleness(b, now, last_sent, last_received);
	if (b->state == MESH_RELAY_BIND_BOUND)
		return false;
	if (spent(b))
		give_up(b, now);
	write_due(b, out);
	b->sends++;
	b->due = tt_mono_add_ns(now, b->retry_ns);
	b->retry_ns = TT_MIN(2 * b->retry_ns, MESH_RELAY_BIND_RETRY_MAX_NS);
	return true;
}

struct tt_mono mesh_relay_bind_deadline(const struct mesh_relay_bind *b)
{
	return b->due;
}
