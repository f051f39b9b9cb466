/* SPDX-License-Identifier: MIT
 *
 * The largest outer packet that a path to a hub peer carries (docs/protocol-paths.md). Pure, like
 * mesh/path.h: events in, probes and a deadline out. One of these for each path that is measured.
 *
 * *Outer size*: the whole IP packet, with its IP header (20 or 40), UDP (8) and, where it goes by
 * the hub's UDP relay, the relay header (8). A probe is a check (mesh/check.h) padded to an outer
 * size and sent with DF; since a STUN message has a length that is a multiple of 4, and so have all
 * headers, outer sizes are rounded down to a multiple of 4.
 *
 * Until the size is known, the link's MTU is assumed and DF is clear. It gets known, and changes,
 * only by probes that were answered; it is lowered only where a larger one went unanswered three
 * times while a smaller one was answered. What ICMP says is a reason to look, and no more. A result
 * is published once its search is over, so that what is inside sees one change and not many.
 *
 * relay_tcp has no path MTU: there the inner MTU is what the TUN and the relay's frames allow.
 */
#ifndef TT_MESH_PMTU_H
#define TT_MESH_PMTU_H

#include "base/addr.h"
#include "base/rng.h"
#include "mesh/path.h"

#define MESH_PMTU_FLOOR_V4 576
#define MESH_PMTU_FLOOR_V6 1280
#define MESH_PMTU_STEP	   4 /* all outer sizes are multiples */
#define MESH_PMTU_GRAIN	   8 /* where no more is in doubt, one step is tried with the confirmation */
#define MESH_PMTU_TRIES	   3
#define MESH_PMTU_SIZES	   9 /* sizes in one volley: the usual ones, a hint, two bounds */

#define MESH_PMTU_RTO_MIN_NS   (200 * TT_NS_PER_MS)
#define MESH_PMTU_RTO_NS       (500 * TT_NS_PER_MS)	 /* as long as no round trip is known */
#define MESH_PMTU_VERIFY_NS    (10 * TT_NS_PER_SEC)	 /* the size in use, while busy */
#define MESH_PMTU_HINT_NS      TT_NS_PER_SEC		 /* hints and suspicion: no more often */
#define MESH_PMTU_RAISE_NS     (10 * 60 * TT_NS_PER_SEC) /* a new look at larger sizes */
#define MESH_PMTU_RETRY_NS     TT_NS_PER_SEC		 /* where nothing was answered; doubles, */
#define MESH_PMTU_RETRY_MAX_NS (8 * TT_NS_PER_SEC)	 /* up to this */

enum mesh_pmtu_state {
	MESH_PMTU_OFF = 0, /* nothing to search: the link is smaller than any probe */
	MESH_PMTU_REST,	   /* no volley is out */
	MESH_PMTU_SEARCH,
	MESH_PMTU_VERIFY, /* is the size in use still carried? */
};

struct mesh_pmtu_size {
	uint16_t outer;
	bool passed;
	uint8_t id[MESH_PMTU_TRIES][MESH_CHECK_ID_LEN];
};

struct mesh_pmtu {
	uint8_t state; /* enum mesh_pmtu_state */
	uint8_t family;
	bool relayed; /* by UDP */
	bool known;
	bool due;     /* a search is to be made (again) */
	bool suspect; /* the size in use is to be looked at soon */
	uint8_t tries, count, confirms;
	uint8_t eager; /* so many sizes go out first; the others once those went unanswered */
	uint16_t floor, ceiling;
	uint16_t outer;	    /* published; while not known: the ceiling */
	uint16_t low, high; /* the search: carried; not carried, or beyond the ceiling */
	uint16_t hint;	    /* from ICMP: one more size to try; 0: none */
	struct mesh_pmtu_size size[MESH_PMTU_SIZES];
	struct tt_mono at;	  /* next try of the volley that is out; or the earliest next one */
	struct tt_mono verify_at; /* while known */
	struct tt_mono raise_at;  /* while known and below the ceiling */
	uint64_t retry_ns;
};

/* One probe to send over the path, with DF: a check with this id and of this length. */
struct mesh_pmtu_probe {
	uint16_t outer;
	uint16_t check_len; /* for mesh_check_request(): outer size less the headers */
	uint8_t id[MESH_CHECK_ID_LEN];
};
#define MESH_PMTU_PROBES_MAX MESH_PMTU_SIZES

/*
 * A path that nothing is known of. link_mtu: of the link, or less where more is of no use (the
 * TUN's MTU with everything around it). relayed: by the hub's UDP relay.
 */
void mesh_pmtu_start(struct mesh_pmtu *p, enum tt_family family, bool relayed, uint32_t link_mtu);
/* The link's MTU is another one now. */
void mesh_pmtu_link_changed(struct mesh_pmtu *p, uint32_t link_mtu, struct tt_mono now);

/* --- events ----------------------------------------------------------------------------------- */

/* ICMP (or the kernel) says that no more than this outer size passes. Anybody can say that. */
void mesh_pmtu_too_big(struct mesh_pmtu *p, uint32_t outer);
/* Small checks are answered while data is not. */
void mesh_pmtu_suspect(struct mesh_pmtu *p);
/*
 * An authenticated answer to a check. False: it is not about a probe. True: the caller also reports
 * the path as heard (mesh_paths_heard()), and runs.
 */
bool mesh_pmtu_answered(struct mesh_pmtu *p, const uint8_t id[MESH_CHECK_ID_LEN],
			struct tt_mono now);

/* Whether a probe with this id is out. */
bool mesh_pmtu_awaits(const struct mesh_pmtu *p, const uint8_t id[MESH_CHECK_ID_LEN]);

/* --- time ------------------------------------------------------------------------------------- */

/*
 * Fills out (MESH_PMTU_PROBES_MAX); returns the number. busy: data was sent over the path within
 * the last few seconds; nothing is begun without. rtt_us: of the path, 0 where not measured.
 * Afterwards the results below may be others.
 */
unsigned mesh_pmtu_run(struct mesh_pmtu *p, bool busy, uint32_t rtt_us, struct tt_mono now,
		       const struct tt_rng *rng, struct mesh_pmtu_probe *out);
/* When to run again if nothing happens; ns UINT64_MAX: no need. After a run always later. */
struct tt_mono mesh_pmtu_next_deadline(const struct mesh_pmtu *p, bool busy);

/* --- results ---------------------------------------------------------------------------------- */

/* The size was measured: DF is to be set. Else it is the ceiling, and DF clear. */
static inline bool mesh_pmtu_is_known(const struct mesh_pmtu *p)
{
	return p->known;
}

/* Headers around a WireGuard message: IP, UDP, and the relay's. */
static inline uint16_t mesh_pmtu_headers(enum tt_family family, bool relayed)
{
	return (uint16_t)((family == TT_FAMILY_V4 ? 28 : 48) + (relayed ? 8 : 0));
}

/* Inner MTU: the outer size less all headers and WireGuard's 32 bytes. */
static inline uint16_t mesh_pmtu_inner(const struct mesh_pmtu *p)
{
	uint16_t around = (uint16_t)(mesh_pmtu_headers((enum tt_family)p->family, p->relayed) + 32);

	return p->outer > around ? (uint16_t)(p->outer - around) : 0;
}

/* Inner IPv6 may always send this much (RFC 8200). */
#define MESH_PMTU_INNER_V6_MIN 1280

/*
 * Inner IPv6 needs fragments of the outer packet, and no router makes them: only the kernel here,
 * where it knows how little the path carries.
 */
static inline bool mesh_pmtu_is_narrow(const struct mesh_pmtu *p)
{
	return p->known && p->state == MESH_PMTU_REST && p->family == TT_FAMILY_V6 &&
	       mesh_pmtu_inner(p) < MESH_PMTU_INNER_V6_MIN;
}

#endif
