/* SPDX-License-Identifier: MIT
 *
 * Outer port over a worker's AF_XDP queues, beside its UDP sockets: one port for the worker, which
 * sends each message the way its path says. Lanes 0 and 1 are the sockets, lane 2 + i is queue i.
 *
 * Frames of a queue have one owner at all times: its rings, this port's free stack, the batch that
 * is being received, or the messages that are being built. A debug build (make DEBUG=1) keeps the
 * owner of each and asserts every hand-over; dp_port_xsk_stats() adds up to all frames whenever
 * nothing is on its way.
 */
#ifndef TT_DATAPATH_PORT_XSK_H
#define TT_DATAPATH_PORT_XSK_H

#include "datapath/plane.h"
#include "datapath/port_udp.h"
#include "plat/xsk.h"

#define DP_XSK_BATCH   256 /* received frames held at the same time, per queue */
#define DP_XSK_MESSAGE 256 /* messages being built, per worker */
#define DP_XSK_TX_MAX  2048u

/* Who has a frame; kept by debug builds alone. */
enum dp_frame_owner {
	DP_FRAME_FREE,	  /* the free stack */
	DP_FRAME_BUILT,	  /* a message that is not submitted yet */
	DP_FRAME_SENDING, /* the tx or completion ring */
	DP_FRAME_FILL,	  /* the fill or rx ring, or owed to the fill ring */
	DP_FRAME_HELD,	  /* the batch being received */
};

struct dp_xsk_queue {
	struct plat_xsk *xsk; /* control's; NULL: no queue in this lane */
	uint32_t ifindex;
	uint8_t *umem;
	uint32_t frames;
	uint8_t *owner; /* enum dp_frame_owner by frame; NULL but in debug builds */

	/* free frames for sending */
	uint32_t *free_frame;
	uint32_t free_count;
	uint32_t out; /* frames in the tx and completion rings */

	/* frames of the batch that is out */
	unsigned held;
	uint32_t held_addr[DP_XSK_BATCH];
	struct dp_origin origin[DP_XSK_BATCH];
	bool more;	    /* the batch ended because it was full */
	uint32_t fill_owed; /* frames that the fill ring did not take yet, in owed_addr */
	uint32_t *owed_addr;
	bool stalled;	/* the kernel left messages in the tx ring */
	unsigned built; /* messages being built that go by this queue */
	uint64_t sent, received;
};

/* Of one queue, for other threads: the owner writes it after each batch. */
struct dp_xsk_seen {
	_Atomic uint32_t ifindex, frames, free_frames, out;
	_Atomic uint64_t sent, received;
};

struct dp_xsk_message {
	struct dp_path *path;
	uint8_t *message;
	uint32_t len;
	uint8_t queue;
	uint8_t ecn;
};

struct dp_port_xsk {
	struct dp_outer_port port;
	struct dp_port_udp *udp;
	const struct tt_mono *now; /* the worker's */
	struct dp_xsk_queue queue[DP_XSK_LANES];
	unsigned queues;
	uint16_t ip_id;

	struct dp_xsk_message tx[DP_XSK_MESSAGE];
	unsigned tx_count, done_count;
	uint32_t tx_bytes, done_bytes;
	uint64_t by_kernel; /* messages that went by the socket */

	_Atomic unsigned seen_queues;
	struct dp_xsk_seen seen[DP_XSK_LANES];
};

/* udp is initialised and stays the caller's. */
void dp_port_xsk_init(struct dp_port_xsk *x, struct dp_port_udp *udp, const struct tt_mono *now);
void dp_port_xsk_destroy(struct dp_port_xsk *x);

/*
 * Owner thread, between batches. Takes queue i of n into use: half of its frames go to the fill
 * ring, half wait for sending. One that is in use already stays as it is, its frames are all over
 * its rings; one that is not among them is forgotten (control stops it afterwards). 0 or -ENOMEM
 * (then there is none).
 */
int dp_port_xsk_set(struct dp_port_xsk *x, struct plat_xsk *const *xsk, const uint32_t *ifindex,
		    unsigned n);
/* Any thread; the numbers are those after the last batch. */
unsigned dp_port_xsk_stats(const struct dp_port_xsk *x, struct dp_xsk_stats *out, unsigned max);

#endif
