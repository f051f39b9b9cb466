/* SPDX-License-Identifier: MIT
 *
 * The two ends of bench xdp: one queue that sends one packet again and again as fast as it goes,
 * and one that counts what steering gives to it. Each end is used by one thread, but for
 * `received`.
 */
#ifndef TT_TALTUN_BENCH_WIRE_H
#define TT_TALTUN_BENCH_WIRE_H

#include <stdatomic.h>
#include "plat/xdp.h"
#include "plat/xsk.h"

#define BENCH_WIRE_WHY_MAX 256
/* Ethernet, IPv4 and UDP header, WireGuard's header and tag. */
#define BENCH_WIRE_HEADERS  (14 + 20 + 8)
#define BENCH_WIRE_OVERHEAD (BENCH_WIRE_HEADERS + 16 + 16)

struct bench_wire {
	struct plat_xdp_facts facts;
	enum plat_xsk_mode mode;
	struct plat_xsk *xsk;
	uint8_t *umem;

	/* sending */
	uint32_t *free_frame;
	unsigned free_count;

	/* receiving */
	enum plat_xdp_mode steering;
	struct plat_xdp *xdp;
	struct plat_xdp_view *view;
	_Atomic uint64_t received; /* any thread */

	char why[BENCH_WIRE_WHY_MAX]; /* after a failure: what, and what to do */
};

/* Fills facts. 0 or -errno with why, as all here do. */
int bench_wire_find(struct bench_wire *e, const char *interface);

/* Queue 0 in this mode, for sending. */
int bench_wire_open_send(struct bench_wire *e, enum plat_xsk_mode mode);
/* All frames become this packet: the tunnel's message for `bytes` inside, to mac. */
void bench_wire_fill(struct bench_wire *e, const uint8_t mac[6], unsigned bytes);
/* Sends until ns have passed; *sent without what the driver threw away, *ns becomes what it took.
 */
int bench_wire_send(struct bench_wire *e, unsigned bytes, uint64_t *ns, uint64_t *sent);

/* Queue 0 in this mode behind the steering program: native, or where there is none, generic. */
int bench_wire_open_receive(struct bench_wire *e, enum plat_xsk_mode mode);
/* Counts and gives frames back, without blocking. Returns how many packets there were. */
unsigned bench_wire_receive(struct bench_wire *e);

/* Whatever is open; everything it attached is gone afterwards. */
void bench_wire_close(struct bench_wire *e);

#endif
