/* SPDX-License-Identifier: MIT
 *
 * The node's side of one leg: request -> challenge -> answer -> bound, kept alive, and bound again
 * after a change of address. What is due is asked for with poll(), what comes is told to receive().
 * Pure; one thread.
 *
 *	IDLE --start--> REQUESTING --challenge--> ANSWERING --BOUND--> BOUND
 *	                    ^                         |                  | idle for 25 s, either way
 *	                    +--- 4 answers unheard ---+                  v
 *	                    +------ 4 keepalives unheard -------- REFRESHING --BOUND--> BOUND
 *
 * What is unanswered is sent again after 250 ms, doubling to 5 s; after 3 requests the relay's next
 * address is tried, in turn. A relay that forgets legs sooner than after 50 s is kept alive at half
 * of that. A challenge while BOUND or REFRESHING (the hub does not know our
 *source address any more: a NAT has changed it) is answered at once, at most every 250 ms; data may
 *still be sent meanwhile.
 */
#ifndef TT_MESH_RELAY_BIND_H
#define TT_MESH_RELAY_BIND_H

#include "mesh/relay.h"

#define MESH_RELAY_BIND_ADDRESSES    4
#define MESH_RELAY_BIND_RETRY_NS     (250 * TT_NS_PER_MS)
#define MESH_RELAY_BIND_RETRY_MAX_NS (5 * TT_NS_PER_SEC)
#define MESH_RELAY_BIND_IDLE_NS	     (25 * TT_NS_PER_SEC)
#define MESH_RELAY_BIND_REQUESTS     3 /* to one address */
#define MESH_RELAY_BIND_UNHEARD	     4 /* answers or keepalives */

enum mesh_relay_bind_state {
	MESH_RELAY_BIND_IDLE,
	MESH_RELAY_BIND_REQUESTING,
	MESH_RELAY_BIND_ANSWERING,
	MESH_RELAY_BIND_BOUND,
	MESH_RELAY_BIND_REFRESHING, /* bound; a keepalive or an answer is unanswered */
};

const char *mesh_relay_bind_state_name(enum mesh_relay_bind_state s);

/* All zero: IDLE. The fields are the machine's own, to be read. */
struct mesh_relay_bind {
	enum mesh_relay_bind_state state;
	struct tt_endpoint addresses[MESH_RELAY_BIND_ADDRESSES];
	uint8_t count, current; /* which of them is used */
	uint8_t sends;		/* of the message at hand */
	uint8_t tried;		/* addresses, since requesting began */
	bool answers_challenge; /* REFRESHING: with an answer; otherwise with a keepalive */
	uint32_t tag;
	uint8_t key[MESH_RELAY_KEY_LEN];
	uint8_t cookie[MESH_RELAY_COOKIE_LEN];
	uint64_t sequence;
	uint64_t retry_ns;
	uint64_t idle_ns;	   /* so long without traffic, and a keepalive is due */
	struct tt_mono due;	   /* of the next send; 0: nothing */
	struct tt_mono answered;   /* when the last challenge was */
	struct tt_mono last_heard; /* any BOUND */
};

enum mesh_relay_bind_start {
	MESH_RELAY_BIND_STARTED,
	MESH_RELAY_BIND_BAD_TAG,
	MESH_RELAY_BIND_NO_ADDRESS, /* none that packets may go to: mesh_address_is_target() */
};

/*
 * Begins with the first usable address (others are left out), whatever was before. allow_any also
 * takes addresses that are not targets, loopback above all: for tests.
 */
enum mesh_relay_bind_start mesh_relay_bind_start(struct mesh_relay_bind *b, uint32_t tag,
						 const uint8_t key[MESH_RELAY_KEY_LEN],
						 const struct tt_endpoint *addresses, size_t count,
						 bool allow_any, struct tt_mono now);

/* IDLE, and the key wiped. */
void mesh_relay_bind_stop(struct mesh_relay_bind *b);

/* Our own address changed, or the path is silent: bind again at once, with the same leg. */
void mesh_relay_bind_again(struct mesh_relay_bind *b, struct tt_mono now);

enum mesh_relay_bind_event {
	MESH_RELAY_BIND_NOTHING,  /* not for this leg, or of no meaning now: a counted drop */
	MESH_RELAY_BIND_PROGRESS, /* poll() has something to send */
	MESH_RELAY_BIND_DONE,	  /* bound: data may be sent from now on */
	MESH_RELAY_BIND_ALIVE,	  /* still bound */
};

/* A parsed message of another type than DATA, and the address that it came from. */
enum mesh_relay_bind_event mesh_relay_bind_receive(struct mesh_relay_bind *b,
						   const struct mesh_relay_message *m,
						   const struct tt_endpoint *from,
						   struct tt_mono now);

struct mesh_relay_bind_send {
	uint8_t bytes[MESH_RELAY_MESSAGE_MAX];
	size_t len;
	struct tt_endpoint to;
};

/*
 * Time passed. True: send it; ask again until false. last_sent, last_received: when DATA last went
 * to and came from the relay on this leg, 0 for never; the older of them says whether it is idle.
 */
bool mesh_relay_bind_poll(struct mesh_relay_bind *b, struct tt_mono now, struct tt_mono last_sent,
			  struct tt_mono last_received, struct mesh_relay_bind_send *out);

/* When to poll at the latest; 0: not before something is received or started. */
struct tt_mono mesh_relay_bind_deadline(const struct mesh_relay_bind *b);

/* True where data may be sent, to mesh_relay_bind_address() with b->tag. */
static inline bool mesh_relay_bind_is_usable(const struct mesh_relay_bind *b)
{
	return b->state == MESH_RELAY_BIND_BOUND || b->state == MESH_RELAY_BIND_REFRESHING;
}

static inline const struct tt_endpoint *mesh_relay_bind_address(const struct mesh_relay_bind *b)
{
	return &b->addresses[b->current];
}

#endif
