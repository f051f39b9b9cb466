/* SPDX-License-Identifier: MIT
 *
 * The paths to one hub peer, and which of them is sent on (docs/protocol-paths.md). Pure: events
 * and facts in, actions and a deadline out; the caller sends, and tells what came.
 *
 * Order of kinds: direct, punched, relay_udp, relay_tcp. A direct or punched path is used only
 * after a check over it was answered with the exchanged keys; relay_tcp once the hub says that it
 * stands; relay_udp then as well where there is nothing else, and otherwise after an answer, since
 * the peer's end of it may not stand yet. One exception: where nothing else is left, the address at
 * which the peer is heard, or was last seen, may be used, because the WireGuard handshake proves
 * the peer by itself.
 *
 * Nothing is sent for a peer that nobody has wanted for MESH_ACTIVE_NS. Then there is no deadline
 * either: the caller says when there is traffic again (mesh_paths_wanted()).
 *
 * Calling mesh_paths_run() late or more often than needed is harmless: every rule looks at levels.
 * One thread; nothing is allocated.
 */
#ifndef TT_MESH_PATH_H
#define TT_MESH_PATH_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/types.h"

enum mesh_path_kind {
	MESH_PATH_NONE = 0,
	MESH_PATH_DIRECT,    /* to an address of the peer's own interfaces */
	MESH_PATH_PUNCHED,   /* to an address that a NAT gave it */
	MESH_PATH_RELAY_UDP, /* by the hub's UDP relay */
	MESH_PATH_RELAY_TCP, /* inside the TLS connection to the hub */
};

enum mesh_path_state {
	MESH_PATH_UNUSED = 0,
	MESH_PATH_HINT,	   /* the peer was here once; nothing is known since */
	MESH_PATH_PROBING, /* checks are on their way */
	MESH_PATH_ALIVE,   /* a check was answered, or the relay stands */
	MESH_PATH_FAILED,  /* checks had no answer; tried again at the next occasion */
};

/* Why the path that is sent on has changed. */
enum mesh_path_cause {
	MESH_CAUSE_FIRST,	/* there was none */
	MESH_CAUSE_BETTER_KIND, /* proved, and of a better kind */
	MESH_CAUSE_FASTER,	/* of the same kind, faster by 20 % and 10 ms at least */
	MESH_CAUSE_SILENT,	/* the old one had no answer while we were sending */
	MESH_CAUSE_LEFT,	/* the peer has left the old one */
	MESH_CAUSE_RELAY_GONE,	/* the old one was a relay that is no more */
	MESH_CAUSE_NETWORK,	/* our addresses or routes have changed */
	MESH_CAUSE_NARROW,	/* the old one carries less than has to pass whole */
	MESH_CAUSE_NONE_LEFT,	/* there is none now */
};

#define MESH_PATHS_MAX	    16 /* two relays, then addresses of the peer */
#define MESH_PATH_NO	    0xff
#define MESH_CHECK_ID_LEN   12 /* of a STUN transaction */
#define MESH_CHECKS_PENDING 4

/* Timers (design section 7). */
#define MESH_QUIET_NS	   TT_NS_PER_SEC	 /* unanswered sending before the first check */
#define MESH_SILENT_NS	   (500 * TT_NS_PER_MS)	 /* from then to the next path, at least */
#define MESH_RECHECK_NS	   (250 * TT_NS_PER_MS)	 /* between checks of a quiet path */
#define MESH_REPROBE_NS	   (60 * TT_NS_PER_SEC)	 /* of better kinds while relayed */
#define MESH_RTT_NS	   (15 * TT_NS_PER_SEC)	 /* between measurements of a busy path */
#define MESH_ACTIVE_NS	   (180 * TT_NS_PER_SEC) /* the peer is wanted this long after traffic */
#define MESH_FRESH_NS	   (5 * TT_NS_PER_SEC)	 /* a proof is good for a change this long */
#define MESH_STALE_NS	   (60 * TT_NS_PER_SEC)	 /* after that a path may give its place away */
#define MESH_DOUBT_NS	   (3 * TT_NS_PER_SEC)	 /* between two doubts for what came another way */
#define MESH_DOUBTED_NS	   (200 * TT_NS_PER_MS)	 /* in doubt: to the next path, instead of SILENT */
#define MESH_SETTLED_NS	   (2 * TT_NS_PER_SEC)	 /* both use it: nothing is under way elsewhere */
#define MESH_FOLLOW_NS	   (10 * TT_NS_PER_SEC)	 /* between two times that a peer is followed */
#define MESH_NARROW_NS	   (3600 * TT_NS_PER_SEC) /* a path that carries too little */
#define MESH_EXCHANGE_NS   TT_NS_PER_SEC	  /* between two exchanges, between two answers */
#define MESH_REASK_NS	   (2 * TT_NS_PER_SEC)	  /* an exchange without answer; then twice that */
#define MESH_REASKS_MAX	   2
#define MESH_RELAY_ASK_NS  (10 * TT_NS_PER_SEC) /* for the UDP relay; doubles up to */
#define MESH_RELAY_ASK_MAX (160 * TT_NS_PER_SEC)
#define MESH_STUCK_NS	   (2 * TT_NS_PER_SEC) /* nothing answers: look again; doubles up to 64 s */

/*
 * Checks of one peer: MESH_CHECKS_BURST at once, and one more each MESH_CHECK_GAP_NS after that,
 * whatever the peer names, sends or asks. A path by itself: one in MESH_PATH_GAP_NS.
 */
#define MESH_CHECKS_BURST 64
#define MESH_CHECK_GAP_NS (TT_NS_PER_SEC / 32)
#define MESH_PATH_GAP_NS  (100 * TT_NS_PER_MS)

/* A STUN transaction id that waits for its answer. */
struct mesh_check_sent {
	uint8_t id[MESH_CHECK_ID_LEN];
	struct tt_mono at; /* 0: none */
};

struct mesh_path {
	uint8_t kind;		     /* enum mesh_path_kind */
	uint8_t state;		     /* enum mesh_path_state */
	uint8_t tries;		     /* checks since the last answer */
	uint8_t proofs;		     /* answers still wanted before it may be chosen */
	bool named;		     /* in the peer's last exchange */
	uint32_t rtt_us;	     /* smoothed; 0: not measured */
	struct tt_endpoint remote;   /* unset for relays */
	struct tt_mono heard;	     /* last authenticated packet or answer over it */
	struct tt_mono proved;	     /* last answer to a check of ours */
	struct tt_mono checked;	     /* last check sent */
	struct tt_mono check_at;     /* next check; 0: none planned */
	struct tt_mono narrow_until; /* it carries too little: anything else is better */
	struct mesh_check_sent sent[MESH_CHECKS_PENDING];
	uint8_t sent_next;
};

struct mesh_paths {
	struct mesh_path path[MESH_PATHS_MAX];
	uint8_t selected;  /* index, or MESH_PATH_NO */
	uint8_t announced; /* what the caller was told last */
	uint8_t cause;	   /* enum mesh_path_cause of the last change */
	bool answer_due;   /* the peer asked for our candidates */
	bool exchange_due;
	bool exchange_came;
	bool moved;	/* our network has changed, and the path in use was not heard since */
	uint8_t stuck;	/* how often all paths were tried in vain since anything was heard */
	uint8_t reasks; /* exchanges since the peer's last */
	struct tt_mono selected_at;
	bool left;		  /* the peer has left the path in use */
	bool doubt;		  /* it may have: only an answer ends that */
	struct tt_mono doubted;	  /* the last time */
	struct tt_mono followed;  /* the last time that what a peer had left was left */
	struct tt_mono shared_at; /* since when the peer sends by the path in use; 0: it does not */
	struct tt_mono quiet_since; /* first unanswered packet on the selected path; 0: none */
	struct tt_mono wanted_at;   /* traffic, or a wish for it */
	struct tt_mono exchanged_at, answered_at;
	struct tt_mono reprobe_at; /* 0: not planned */
	struct tt_mono relay_ask_at;
	uint64_t relay_ask_ns;
	struct tt_mono checks_at; /* when the next check would be due at the sustained rate */
};

enum mesh_candidate_kind { MESH_CANDIDATE_HOST = 1, MESH_CANDIDATE_REFLEXIVE = 2 };

struct mesh_candidate {
	uint8_t kind; /* enum mesh_candidate_kind */
	struct tt_endpoint at;
};

enum mesh_path_act {
	MESH_ACT_CHECK = 1,  /* send a check over path[index] with this id */
	MESH_ACT_SELECT,     /* send on path[index] from now on; MESH_PATH_NO: nowhere */
	MESH_ACT_EXCHANGE,   /* send our candidates, and ask for the peer's */
	MESH_ACT_ANSWER,     /* send our candidates, because the peer asked */
	MESH_ACT_OPEN_RELAY, /* ask the hub for an allocation of the UDP relay */
};

struct mesh_path_action {
	enum mesh_path_act act;
	uint8_t index;
	uint8_t id[MESH_CHECK_ID_LEN];
};
/* At most so many from one run: a check for each path, and each of the others once. */
#define MESH_PATH_ACTIONS_MAX (MESH_PATHS_MAX + 4)

/* What the workers know (datapath/peer.h), as levels. */
struct mesh_path_facts {
	struct tt_mono last_data_tx;	    /* keepalives are not data */
	struct tt_mono unanswered_tx_since; /* first data sent since anything came; 0: none */
};

void mesh_paths_init(struct mesh_paths *ps);

/* --- events ----------------------------------------------------------------------------------- */

/* There is traffic for the peer, or a handshake with it is wanted. */
void mesh_paths_wanted(struct mesh_paths *ps, struct tt_mono now);
/* The peer can be reached by this kind of relay, or no more. */
void mesh_paths_relay(struct mesh_paths *ps, enum mesh_path_kind kind, bool up, struct tt_mono now);
/* Where the peer was last seen by an earlier process of ours. */
void mesh_paths_hint(struct mesh_paths *ps, const struct tt_endpoint *remote);
/* An exchange of the peer, authenticated and newer than the last: what it names is checked at once.
 * asks: it wants ours. Addresses that no packet may go to (mesh/address.h) are passed over. */
void mesh_paths_exchange(struct mesh_paths *ps, const struct mesh_candidate *c, unsigned n,
			 bool asks, struct tt_mono now);
/* Our addresses or routes have changed: what was proved must be proved again. The path in use stays
 * in use meanwhile. */
void mesh_paths_network_changed(struct mesh_paths *ps, struct tt_mono now);
/* An authenticated WireGuard packet came this way. An address that was not known is checked before
 * it is used, unless there is no other path. */
void mesh_paths_heard(struct mesh_paths *ps, enum mesh_path_kind kind,
		      const struct tt_endpoint *remote, struct tt_mono now);
/* An authenticated check of the peer came this way (the caller answers it). */
void mesh_paths_check_came(struct mesh_paths *ps, enum mesh_path_kind kind,
			   const struct tt_endpoint *remote, struct tt_mono now);
/* An authenticated answer to a check. False: it answers none that is under way over this path. */
bool mesh_paths_check_answered(struct mesh_paths *ps, enum mesh_path_kind kind,
			       const struct tt_endpoint *remote,
			       const uint8_t id[MESH_CHECK_ID_LEN], struct tt_mono now);

/* Whether this id is of a check under way over this path: whose answer it may be. */
bool mesh_paths_awaits(const struct mesh_paths *ps, enum mesh_path_kind kind,
		       const struct tt_endpoint *remote, const uint8_t id[MESH_CHECK_ID_LEN]);
/* What has to pass whole does not fit the path in use, as was measured: it is left, unless there is
 * nothing else, and not taken again for MESH_NARROW_NS or until the network changes. False: that
 * was known. */
bool mesh_paths_too_narrow(struct mesh_paths *ps, struct tt_mono now);
/* What we told the peer of ourselves is out of date: it is told anew where that may help. */
void mesh_paths_offer_again(struct mesh_paths *ps);

/* --- time ------------------------------------------------------------------------------------- */

/* Fills out (MESH_PATH_ACTIONS_MAX) in the order in which to act; returns the number. */
unsigned mesh_paths_run(struct mesh_paths *ps, const struct mesh_path_facts *f, struct tt_mono now,
			const struct tt_rng *rng, struct mesh_path_action *out);
/* When to run again if nothing happens; ns UINT64_MAX: no need. Right after a run always later than
 * now; past where an event has come since. */
struct tt_mono mesh_paths_next_deadline(const struct mesh_paths *ps,
					const struct mesh_path_facts *f, struct tt_mono now);

/* The path in use, or NULL. */
const struct mesh_path *mesh_paths_selected(const struct mesh_paths *ps);
const char *mesh_path_kind_name(enum mesh_path_kind kind);    /* "relay_udp"; never NULL */
const char *mesh_path_cause_text(enum mesh_path_cause cause); /* a few words; never NULL */
/* Why the path in use is not a direct one, in a few words for people; "" where it is. */
const char *mesh_paths_why_not_direct(const struct mesh_paths *ps);

#endif
