/* SPDX-License-Identifier: MIT
 *
 * What a packet costs: whole workers, from port to port, on ports in memory that hand frames over
 * without copying them, beside the bare AEAD bursts of the same packets in the same memory. System
 * calls, drivers and waiting are not in it; the reading of the clock once a turn is.
 */
#ifndef TT_DATAPATH_BENCH_H
#define TT_DATAPATH_BENCH_H

#include "base/types.h"
#include "datapath/peer.h"

#define DP_BENCH_BYTES_MIN    28u /* an IPv4 and a UDP header */
#define DP_BENCH_BYTES_MAX    1500u
#define DP_BENCH_BATCH_MAX    64u
#define DP_BENCH_SESSIONS_MAX 4096u /* of one worker; each is another peer's */

struct dp_bench_case {
	bool inbound;	   /* from the wire to the TUN; else the other way */
	unsigned bytes;	   /* of the inner packet: UDP over IPv4, one flow per session */
	unsigned batch;	   /* packets that a turn of the worker finds */
	unsigned sessions; /* of each worker; its packets take turns among them */
	unsigned
		workers; /* threads, each with its own ports; pinned where there is more than one */
	uint64_t duration_ns;
};

struct dp_bench_result {
	double ns;	/* per packet in one worker: median over samples, mean over workers */
	double aead_ns; /* the same for a bare burst of `batch` packets of one session */
	double mpps;	/* millions of packets per second, all workers together */
	uint64_t packets;
};

/*
 * Blocks for about twice the duration. Uses the backend that crypto_aead_select() chose. 0;
 * -EINVAL: a number above is out of bounds; -ENOMEM; -errno of threads; -EIO: packets were lost on
 * the way, which is a bug.
 */
int dp_bench_run(const struct dp_bench_case *c, struct dp_bench_result *out);

#endif
