/* SPDX-License-Identifier: MIT
 *
 * Who receives on a veth. There is no NIC whose interrupt would do it: it is the sender's own CPU,
 * within its system call, packet by packet, and on one host that is the CPU that encrypts. A
 * kernel thread takes it off its hands, and takes packets by the dozen: more comes through, of TCP
 * and of UDP (docs/performance.md). A sender by AF_XDP sees how full the driver is and waits for
 * the thread (xdp_queue.c); others throw away what it is too late for. For few packets waking it
 * is only one more wake-up, so it is there while they come in bulk.
 */
#include <limits.h>

#include "node/xdp_impl.h"
#include "plat/thread.h"

#define BULK_PER_TICK 3000 /* packets: 30,000 a second */
#define TICKS_TO_ON   2
#define TICKS_TO_OFF  20

bool node_xdp_bulk_tick(struct xdp_bulk *b, uint64_t packets)
{
	bool bulk = packets - b->packets >= BULK_PER_TICK;

	b->packets = packets;
	b->busy = bulk ? b->busy + 1 : 0;
	b->idle = bulk ? 0 : b->idle + 1;
	if (b->busy >= TICKS_TO_ON)
		b->on = true;
	if (b->idle >= TICKS_TO_OFF)
		b->on = false;
	return b->on;
}

static bool gains(const struct xdp_interface *i)
{
	return i->kind == NODE_XDP_NATIVE_COPY && strcmp(i->facts.driver, "veth") == 0;
}

static void set(struct node_xdp *x, struct xdp_interface *i, bool on)
{
	struct node_priv_request req = {.op = NODE_PRIV_XDP_THREADED};

	req.u.xdp_threaded.ifindex = i->ifindex;
	req.u.xdp_threaded.on = on;
	/* where it cannot be had, nothing is lost */
	if (node_priv_send(x->opt.priv, &req, -1, NULL, NULL) == 0)
		i->threaded = on;
}

void node_xdp_threaded_tick(struct node_xdp *x)
{
	struct dp_stats s;

	if (plat_thread_cpus() < 2)
		return;
	dp_plane_stats(x->opt.plane, UINT_MAX, &s);
	node_xdp_bulk_tick(&x->bulk, s.tun_tx_packets);
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		struct xdp_interface *i = &x->at[k];
		bool on = x->bulk.on && gains(i);

		if (xdp_is_attached(i) && i->threaded != on)
			set(x, i, on);
	}
}
