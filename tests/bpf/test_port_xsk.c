/* SPDX-License-Identifier: MIT
 *
 * The AF_XDP port of a worker while another thread looks at it: what status shows adds up to all
 * frames, at any time within what is on its way, and exactly when nothing is. Meant for
 * ThreadSanitizer too.
 */
#include "datapath/port_xsk.h"

#include "plat/clock.h"
#include "plat/thread.h"
#include "xsk_fixture.h"

#define MESSAGES 2000
#define BURST	 16

static struct {
	struct dp_port_udp udp;
	struct dp_port_xsk port;
	struct tt_mono now;
	struct plat_xsk *xsk;
	struct dp_path path;
	struct dp_peer peer;
	_Atomic int set_result;
	_Atomic bool done;
	uint64_t got;
} t;

/* From xa to xb; nobody there answers, which does not matter. */
static void build_path(void)
{
	struct plat_nexthop hop = {.verdict = PLAT_NEXTHOP_RESOLVED,
				   .ifindex = w.ifindex,
				   .path_mtu = 1500,
				   .from = tt_ip_v4((uint8_t[]){10, 7, 0, 1})};
	struct tt_endpoint to = {.ip = tt_ip_v4((uint8_t[]){10, 7, 0, 2}), .udp_port = 40000};

	memcpy(hop.src_mac, mac_a, 6);
	memcpy(hop.dst_mac, mac_b, 6);
	memset(&t.path, 0, sizeof(t.path));
	CU_ASSERT_TRUE_FATAL(dp_link_build(&t.path.link, &hop, &to, UDP_PORT));
	t.path.kernel_at = t.now.ns; /* no packet by the kernel */
}

static void send_burst(struct dp_outer_port *port)
{
	struct dp_tx_report report = {0};

	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *m = port->ops->tx_slot(port, &t.peer, &t.path, 0, MESSAGE);
		if (m)
			memset(m, (int)i, MESSAGE);
	}
	port->ops->tx_commit(port);
	port->ops->tx_flush(port, &report);
}

static void receive_burst(struct dp_outer_port *port)
{
	struct dp_frame f[BURST];
	unsigned n;

	while ((n = port->ops->rx(port, DP_UDP_LANES, f, BURST)))
		t.got += n;
	port->ops->rx_release(port);
}

static void worker(void *arg)
{
	struct dp_outer_port *port = &t.port.port;

	(void)arg;
	t.set_result = dp_port_xsk_set(&t.port, &t.xsk, &w.ifindex, 1);
	for (unsigned i = 0; !t.set_result && i < BURST; i++)
		send_from_peer(4, INDEX, (uint8_t)i);
	for (unsigned i = 0; !t.set_result && i < MESSAGES / BURST; i++) {
		send_burst(port);
		receive_burst(port);
	}
	/* until all that was sent has come back, and all that was received was taken */
	for (unsigned i = 0; i < WAIT_MS && t.port.queue[0].out; i++) {
		poll(NULL, 0, 1);
		send_burst(port);
	}
	receive_burst(port);
	t.done = true;
}

static void look(struct dp_xsk_stats *s)
{
	CU_ASSERT_TRUE(dp_port_xsk_stats(&t.port, s, 1) <= 1);
	(void)plat_xsk_fill_level(t.xsk);
	(void)plat_xsk_rx_pending(t.xsk);
	(void)plat_xsk_tx_pending(t.xsk);
}

/* As rig_up(), with all frames left to the port. */
static bool rig_for_port(struct rig *r)
{
	if (!attached(PLAT_XDP_MODE_DRIVER, &r->xdp))
		return false;
	r->view = view_of(r->xdp);
	CU_ASSERT_EQUAL_FATAL(start(PLAT_XSK_COPY, 0, &r->xsk), 0);
	plat_xdp_view_index_set(r->view, INDEX);
	CU_ASSERT_EQUAL(plat_xdp_view_queue_set(r->view, 0, plat_xsk_fd(r->xsk)), 0);
	return true;
}

static void statistics_while_it_works(void)
{
	struct dp_xsk_stats s, last = {0};
	struct plat_thread thread;
	struct rig r;

	if (!enter(1500))
		return;
	if (!rig_for_port(&r)) {
		leave();
		return;
	}
	memset(&t, 0, sizeof(t));
	t.now = plat_clock_mono();
	t.xsk = r.xsk;
	build_path();
	CU_ASSERT_EQUAL_FATAL(dp_port_udp_init(&t.udp, 0), 0);
	dp_port_xsk_init(&t.port, &t.udp, &t.now);
	CU_ASSERT_EQUAL(dp_port_xsk_stats(&t.port, &s, 1), 0);
	CU_ASSERT_EQUAL_FATAL(plat_thread_start(&thread, "test-worker", worker, NULL), 0);
	while (!t.done) {
		look(&s);
		CU_ASSERT_TRUE(s.tx >= last.tx && s.rx >= last.rx);
		last = s;
	}
	plat_thread_join(&thread);
	look(&s);
	CU_ASSERT_EQUAL(t.set_result, 0);
	CU_ASSERT_EQUAL(s.ifindex, w.ifindex);
	CU_ASSERT_TRUE(s.tx >= MESSAGES);
	CU_ASSERT_EQUAL(s.rx, t.got);
	CU_ASSERT_EQUAL(s.rx, BURST);
	CU_ASSERT_EQUAL(s.frames, UMEM / PLAT_XSK_FRAME);
	CU_ASSERT_EQUAL(s.free_frames + s.out + plat_xsk_fill_level(t.xsk) +
				plat_xsk_rx_pending(t.xsk),
			s.frames);
	dp_port_xsk_destroy(&t.port);
	dp_port_udp_destroy(&t.udp);
	rig_down(&r);
	leave();
}

/* --- the kernel's turn ------------------------------------------------------------------------ */

/* Which way one packet takes now: what the port counts as left to the sockets. */
static bool goes_by_kernel(uint64_t *before)
{
	struct dp_outer_port *port = &t.port.port;
	struct dp_tx_report report = {0};
	uint8_t *m = port->ops->tx_slot(port, &t.peer, &t.path, 0, MESSAGE);
	uint64_t now = t.port.by_kernel, was = *before;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memset(m, 0, MESSAGE);
	port->ops->tx_abort(port);
	port->ops->tx_flush(port, &report);
	*before = now;
	return now != was;
}

/* One packet per peer every 20 s keeps the kernel's entries alive for the fallback. */
static void one_in_20_s_by_the_kernel(void)
{
	uint64_t by_kernel = 0;
	struct rig r;

	if (!enter(1500))
		return;
	if (!rig_for_port(&r)) {
		leave();
		return;
	}
	memset(&t, 0, sizeof(t));
	/* Its 20 s are over, however short a time ago the machine was switched on. */
	t.now = tt_mono_add_ns(plat_clock_mono(), 20 * TT_NS_PER_SEC);
	t.xsk = r.xsk;
	build_path();
	CU_ASSERT_EQUAL_FATAL(dp_port_udp_init(&t.udp, 0), 0);
	dp_port_xsk_init(&t.port, &t.udp, &t.now);
	CU_ASSERT_EQUAL_FATAL(dp_port_xsk_set(&t.port, &t.xsk, &w.ifindex, 1), 0);
	t.path.kernel_at = 0; /* as control publishes it: the first packet of all */
	CU_ASSERT_TRUE(goes_by_kernel(&by_kernel));
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned second = 1; second < 20; second++) {
			t.now.ns += TT_NS_PER_SEC;
			CU_ASSERT_FALSE(goes_by_kernel(&by_kernel));
		}
		t.now.ns += TT_NS_PER_SEC;
		CU_ASSERT_TRUE(goes_by_kernel(&by_kernel));
		CU_ASSERT_FALSE(goes_by_kernel(&by_kernel));
	}
	CU_ASSERT_EQUAL(by_kernel, 4);
	dp_port_xsk_destroy(&t.port);
	dp_port_udp_destroy(&t.udp);
	rig_down(&r);
	leave();
}

TT_TESTS("port_xsk", {"one in 20 s by the kernel", one_in_20_s_by_the_kernel},
	 {"statistics while it works", statistics_while_it_works})
