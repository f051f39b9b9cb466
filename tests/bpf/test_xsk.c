/* SPDX-License-Identifier: MIT
 *
 * AF_XDP sockets, native and generic.
 */
#include "xsk_fixture.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/capability.h>

static void receive_in(enum plat_xdp_mode mode)
{
	struct rig r;

	if (!enter(1500))
		return;
	if (rig_up(&r, mode)) {
		CU_ASSERT_EQUAL(plat_xsk_mode_got(r.xsk), PLAT_XSK_COPY);
		for (unsigned i = 0; i < 3 * RX_FRAMES; i++) {
			send_from_peer(4, INDEX, (uint8_t)i);
			CU_ASSERT_TRUE(xsk_gets(r.xsk, (uint8_t)i, WAIT_MS));
		}
		CU_ASSERT_EQUAL(counter(r.view, STEER_REDIRECTED), 3 * RX_FRAMES);
		CU_ASSERT_EQUAL(plat_xsk_fill_level(r.xsk), RX_FRAMES);
		/* Handshakes and data of nobody. */
		send_from_peer(1, INDEX, 1);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_PASS_TYPE), 1);
		send_from_peer(4, INDEX + 1, 1);
		CU_ASSERT_FALSE(plain_gets(SILENCE_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_UNKNOWN_INDEX), 1);
		plat_xdp_view_set_unknown_pass(r.view, true);
		send_from_peer(4, INDEX + 1, 1);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		plat_xdp_view_set_unknown_pass(r.view, false);
		/* A session that ends. */
		plat_xdp_view_index_clear(r.view, INDEX);
		send_from_peer(4, INDEX, 1);
		CU_ASSERT_FALSE(xsk_gets(r.xsk, 1, SILENCE_MS));
		plat_xdp_view_index_set(r.view, INDEX);
		plat_xdp_view_index_clear_all(r.view);
		send_from_peer(4, INDEX, 1);
		CU_ASSERT_FALSE(xsk_gets(r.xsk, 1, SILENCE_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_UNKNOWN_INDEX), 3);
		rig_down(&r);
	}
	leave();
}

static void receive_native(void)
{
	receive_in(PLAT_XDP_MODE_DRIVER);
}

static void receive_generic(void)
{
	receive_in(PLAT_XDP_MODE_GENERIC);
}

/* Sends n packets and takes all frames back. */
static void send_burst(struct plat_xsk *x, unsigned n)
{
	struct plat_xsk_desc d[RX_FRAMES];
	uint32_t back[RX_FRAMES], bytes;
	bool out[2 * RX_FRAMES] = {0};
	uint8_t *umem = plat_xsk_umem(x, &bytes);
	unsigned got = 0;

	for (unsigned i = 0; i < n; i++) {
		d[i] = (struct plat_xsk_desc){.addr = (RX_FRAMES + i) * PLAT_XSK_FRAME + 6,
					      .len = FRAME_LEN};
		build(plat_xsk_data(umem, d[i].addr), 4, INDEX, (uint8_t)i);
		memcpy(plat_xsk_data(umem, d[i].addr), mac_b, 6);
		memcpy(plat_xsk_data(umem, d[i].addr) + 6, mac_a, 6);
		out[RX_FRAMES + i] = true;
	}
	CU_ASSERT_EQUAL(plat_xsk_tx(x, d, n), n);
	CU_ASSERT_EQUAL(plat_xsk_tx_pending(x), w.tx_room ? 0 : n);
	for (unsigned tries = 0; tries < 1000 && got < n; tries++) {
		int err = plat_xsk_kick(x);
		unsigned k = plat_xsk_complete(x, back, RX_FRAMES);

		CU_ASSERT_TRUE(err == 0 || err == -EAGAIN);
		for (unsigned i = 0; i < k; i++) {
			unsigned f = back[i] / PLAT_XSK_FRAME;

			CU_ASSERT_TRUE(f < TT_ARRAY_LEN(out) && out[f]);
			out[f] = false;
		}
		got += k;
		if (k == 0)
			usleep(1000);
	}
	CU_ASSERT_EQUAL(got, n);
	CU_ASSERT_EQUAL(plat_xsk_tx_pending(x), 0);
}

static void send_in(enum plat_xdp_mode mode)
{
	uint8_t buf[2048];
	struct plat_xsk_stats s;
	struct rig r;

	if (!enter(1500))
		return;
	if (rig_up(&r, mode)) {
		for (unsigned n = 1; n <= RX_FRAMES; n *= 2) {
			send_burst(r.xsk, n);
			for (unsigned i = 0; i < n; i++) {
				CU_ASSERT_EQUAL(receive(w.peer, buf, sizeof(buf), WAIT_MS),
						FRAME_LEN);
				CU_ASSERT_EQUAL(buf[FRAME_LEN - 1], (uint8_t)i);
			}
		}
		CU_ASSERT_EQUAL(plat_xsk_stats_get(r.xsk, &s), 0);
		CU_ASSERT_TRUE(s.kicks >= 8);
		printf("  8 bursts, %u packets: %llu kicks\n", 2 * RX_FRAMES - 1,
		       (unsigned long long)s.kicks);
		CU_ASSERT_EQUAL(s.tx_invalid_desc, 0);
		CU_ASSERT_EQUAL(s.lost, 0);
		CU_ASSERT_EQUAL(plat_xsk_kick(r.xsk), 0);
		rig_down(&r);
	}
	leave();
}

/* No more than 64 at a time are the driver's: the ring holds the others. */
static void send_with_little_room(void)
{
	w.tx_room = 64;
	send_in(PLAT_XDP_MODE_DRIVER);
	w.tx_room = 0;
}

static void send_native(void)
{
	send_in(PLAT_XDP_MODE_DRIVER);
}

static void send_generic(void)
{
	send_in(PLAT_XDP_MODE_GENERIC);
}

/* The kernel socket serves again when the worker's place in the map is empty, however it came. */
static void falls_back(void)
{
	struct rig r;

	if (!enter(1500))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(modes); i++) {
		if (!rig_up(&r, modes[i]))
			break;
		send_from_peer(4, INDEX, 1);
		CU_ASSERT_TRUE(xsk_gets(r.xsk, 1, WAIT_MS));
		CU_ASSERT_EQUAL(plat_xdp_view_queue_clear(r.view, 0), 0);
		CU_ASSERT_EQUAL(plat_xdp_view_queue_clear(r.view, 0), 0);
		send_from_peer(4, INDEX, 2);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_PASS_NO_SOCKET), 1);
		CU_ASSERT_EQUAL(plat_xdp_view_queue_set(r.view, 0, plat_xsk_fd(r.xsk)), 0);
		send_from_peer(4, INDEX, 3);
		CU_ASSERT_TRUE(xsk_gets(r.xsk, 3, WAIT_MS));
		/* The socket goes without a word. */
		plat_xsk_stop(r.xsk);
		r.xsk = NULL;
		send_from_peer(4, INDEX, 4);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		rig_down(&r);
		send_from_peer(4, INDEX, 5);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
	}
	leave();
}

static void rebind_loop(void)
{
	struct plat_xsk *second;
	struct rig r;
	unsigned before;

	if (!enter(1500))
		return;
	before = open_descriptors();
	if (rig_up(&r, PLAT_XDP_MODE_DRIVER)) {
		for (unsigned i = 0; i < 50; i++) {
			CU_ASSERT_EQUAL(plat_xdp_view_queue_clear(r.view, 0), 0);
			plat_xsk_stop(r.xsk);
			CU_ASSERT_EQUAL_FATAL(start(PLAT_XSK_COPY, 0, &r.xsk), 0);
			fill_all(r.xsk);
			CU_ASSERT_EQUAL(plat_xdp_view_queue_set(r.view, 0, plat_xsk_fd(r.xsk)), 0);
			send_from_peer(4, INDEX, (uint8_t)i);
			CU_ASSERT_TRUE(xsk_gets(r.xsk, (uint8_t)i, WAIT_MS));
		}
		/* A queue that is taken stays so: an error in the end. */
		struct plat_xsk_options o = {.ifindex = w.ifindex,
					     .fill = 64,
					     .rx = 64,
					     .tx = 64,
					     .completion = 64,
					     .bind_wait_ms = 30};

		CU_ASSERT_EQUAL_FATAL(plat_xsk_offer_open(UMEM, &o.offer), 0);
		CU_ASSERT_EQUAL(plat_xsk_start(&o, &second), -EBUSY);
		rig_down(&r);
		CU_ASSERT_EQUAL(open_descriptors(), before);
	}
	leave();
}

static void starvation(void)
{
	struct plat_xsk_stats s;
	struct plat_xsk_desc d;
	struct rig r;
	uint32_t frame = 0;

	if (!enter(1500))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(modes); i++) {
		if (!attached(modes[i], &r.xdp))
			break;
		r.view = view_of(r.xdp);
		CU_ASSERT_EQUAL_FATAL(start(PLAT_XSK_COPY, 0, &r.xsk), 0);
		plat_xdp_view_index_set(r.view, INDEX);
		CU_ASSERT_EQUAL(plat_xdp_view_queue_set(r.view, 0, plat_xsk_fd(r.xsk)), 0);
		CU_ASSERT_EQUAL(plat_xsk_fill_level(r.xsk), 0);
		for (unsigned k = 0; k < 10; k++)
			send_from_peer(4, INDEX, 1);
		CU_ASSERT_FALSE(rx_one(r.xsk, &d, SILENCE_MS));
		CU_ASSERT_FALSE(plain_gets(0)); /* lost, not passed: that is why frames matter */
		CU_ASSERT_EQUAL(plat_xsk_stats_get(r.xsk, &s), 0);
		CU_ASSERT_TRUE(s.rx_fill_empty + s.rx_dropped >= 10);
		CU_ASSERT_TRUE(s.rx_fill_empty > 0);
		CU_ASSERT_EQUAL(plat_xsk_fill(r.xsk, &frame, 1), 1);
		send_from_peer(4, INDEX, 2);
		CU_ASSERT_TRUE(xsk_gets(r.xsk, 2, WAIT_MS));
		rig_down(&r);
	}
	leave();
}

/* The rx ring has room for 128: what does not fit is counted, and gone. */
static void overload(void)
{
	struct plat_xsk_desc d[RX_FRAMES];
	struct plat_xsk_stats s;
	struct rig r;

	if (!enter(1500))
		return;
	if (rig_up(&r, PLAT_XDP_MODE_DRIVER)) {
		for (unsigned i = 0; i < 2 * RX_FRAMES; i++)
			send_from_peer(4, INDEX, 1);
		usleep(20000);
		CU_ASSERT_EQUAL(plat_xsk_rx_pending(r.xsk), RX_FRAMES);
		CU_ASSERT_EQUAL(plat_xsk_rx(r.xsk, d, RX_FRAMES), RX_FRAMES);
		CU_ASSERT_EQUAL(plat_xsk_rx(r.xsk, d, RX_FRAMES), 0);
		CU_ASSERT_EQUAL(plat_xsk_stats_get(r.xsk, &s), 0);
		CU_ASSERT_TRUE(s.rx_ring_full + s.rx_fill_empty + s.rx_dropped >= RX_FRAMES);
		rig_down(&r);
	}
	leave();
}

/* The engine's rights: none. Exit status 0 where everything worked. */
static int engine_without_rights(const struct plat_xdp_fds *fds, const struct plat_xsk_options *o)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	struct plat_xdp_view *v;
	struct plat_xsk *x;
	uint64_t n[PLAT_XDP_REASONS_MAX];
	struct plat_xsk_stats s;

	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
	    syscall(SYS_capset, &h, none))
		return 1;
	if (plat_xdp_view_open(fds, &v))
		return 2;
	if (plat_xsk_start(o, &x))
		return 3;
	fill_all(x);
	plat_xdp_view_index_set(v, INDEX);
	for (unsigned i = 0; i < 3; i++) {
		if (plat_xdp_view_queue_set(v, 0, plat_xsk_fd(x)))
			return 4;
		send_from_peer(4, INDEX, 9);
		if (!xsk_gets(x, 9, WAIT_MS))
			return 5;
		if (plat_xdp_view_queue_clear(v, 0))
			return 6;
	}
	send_burst(x, 64);
	if (plat_xsk_stats_get(x, &s) || plat_xdp_view_counters(v, 0, n, PLAT_XDP_REASONS_MAX) < 1)
		return 7;
	return CU_get_number_of_failures() == 0 && n[STEER_REDIRECTED] == 3 ? 0 : 8;
}

static void without_rights(void)
{
	struct plat_xsk_options o = {.ifindex = 0,
				     .fill = 256,
				     .rx = 128,
				     .tx = 128,
				     .completion = 256,
				     .bind_wait_ms = PLAT_XSK_REBIND_MS};
	struct plat_xdp_fds fds;
	struct plat_xdp *x;
	int status;
	pid_t child;

	if (!enter(1500))
		return;
	if (attached(PLAT_XDP_MODE_DRIVER, &x)) {
		plat_xdp_fds_get(x, &fds);
		o.ifindex = w.ifindex;
		CU_ASSERT_EQUAL_FATAL(plat_xsk_offer_open(UMEM, &o.offer), 0);
		child = fork();
		if (child == 0)
			_exit(engine_without_rights(&fds, &o));
		plat_xsk_offer_close(&o.offer);
		CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
		CU_ASSERT_TRUE(WIFEXITED(status));
		CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
		/* It died with its socket in the map, and was the only one to hold it. */
		plat_xdp_detach(x);
	}
	leave();
}

static void refusals(void)
{
	struct plat_xdp_options lo = {.mode = PLAT_XDP_MODE_GENERIC, .owner = "tt0"};
	struct plat_xsk_offer o;
	struct plat_xsk *x = NULL;
	struct plat_xdp *p = NULL;

	if (!enter(1500))
		return;
	CU_ASSERT_EQUAL(plat_xsk_offer_open(0, &o), -EINVAL);
	CU_ASSERT_EQUAL(plat_xsk_offer_open(PLAT_XSK_FRAME + 1, &o), -EINVAL);
	CU_ASSERT_EQUAL(plat_xsk_offer_open(PLAT_XSK_UMEM_MAX + PLAT_XSK_FRAME, &o), -EINVAL);
	plat_xsk_offer_close(&o);
	if (plat_xsk_offer_open(UMEM, &o) == -EPERM) {
		tt_test_skip(1, "no right to make AF_XDP sockets");
		leave();
		return;
	}
	plat_xsk_offer_close(&o);
	plat_xsk_offer_close(&o);
	CU_ASSERT_EQUAL(start(PLAT_XSK_ZERO_COPY, 0, &x), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(start(PLAT_XSK_COPY, 7, &x), -EINVAL);
	lo.ifindex = if_nametoindex("lo");
	CU_ASSERT_EQUAL(plat_xdp_attach(&lo, &p, w.why), -EOPNOTSUPP);
	CU_ASSERT_STRING_EQUAL(w.why, "lo is no Ethernet interface");
	lo.ifindex = 4242;
	CU_ASSERT_EQUAL(plat_xdp_attach(&lo, &p, w.why), -ENODEV);
	plat_xdp_detach(NULL);
	plat_xsk_stop(NULL);
	leave();
}

static void self_test(void)
{
	uint8_t buf[128];
	struct rig r;

	if (!enter(1500))
		return;
	if (rig_up(&r, PLAT_XDP_MODE_DRIVER)) {
		uint32_t frame = RX_FRAMES * PLAT_XSK_FRAME;

		CU_ASSERT_EQUAL(plat_xsk_self_test(r.xsk, mac_a, frame), 0);
		CU_ASSERT_EQUAL(receive(w.peer, buf, sizeof(buf), WAIT_MS), 60);
		CU_ASSERT_EQUAL(memcmp(buf, mac_a, 6), 0);
		CU_ASSERT_EQUAL(tt_load_be16(buf + 12), 0x88b5);
		tt_sh("ip link set xa down");
		CU_ASSERT_TRUE(plat_xsk_self_test(r.xsk, mac_a, frame) < 0);
		rig_down(&r);
	}
	leave();
}

/* The interface goes while everything is in use. */
static void vanished_interface(void)
{
	struct plat_xsk_desc d = {.addr = RX_FRAMES * PLAT_XSK_FRAME, .len = FRAME_LEN};
	struct rig r;
	int err;

	if (!enter(1500))
		return;
	if (rig_up(&r, PLAT_XDP_MODE_DRIVER)) {
		CU_ASSERT_TRUE(plat_xdp_is_attached(r.xdp));
		CU_ASSERT_EQUAL(tt_sh("ip link del xa"), 0);
		CU_ASSERT_FALSE(plat_xdp_is_attached(r.xdp));
		CU_ASSERT_EQUAL(plat_xsk_tx(r.xsk, &d, 1), 1);
		err = plat_xsk_kick(r.xsk);
		CU_ASSERT_TRUE(err == -ENXIO || err == -ENETDOWN);
		rig_down(&r);
	}
	leave();
}

TT_TESTS("xsk", {"receive native", receive_native}, {"receive generic", receive_generic},
	 {"send native", send_native}, {"send with little room", send_with_little_room},
	 {"send generic", send_generic}, {"falls back", falls_back}, {"rebind loop", rebind_loop},
	 {"starvation", starvation}, {"overload", overload}, {"without rights", without_rights},
	 {"refusals", refusals}, {"self test", self_test},
	 {"vanished interface", vanished_interface})
