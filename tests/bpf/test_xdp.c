/* SPDX-License-Identifier: MIT
 *
 * Steering as the monitor attaches it: who holds an interface, what stays, what is refused.
 */
#include "xsk_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

/* A process that holds everything and is killed: nothing stays. */
static void killed_holder(void)
{
	struct plat_xdp_held held = {0};
	struct rig r;
	int ready[2], status;
	pid_t child;
	char c;

	if (!enter(1500))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(modes); i++) {
		CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
		child = fork();
		if (child == 0) {
			if (!rig_up(&r, modes[i]))
				_exit(0);
			(void)!write(ready[1], "x", 1);
			pause();
			_exit(1);
		}
		close(ready[1]);
		if (read(ready[0], &c, 1) == 1) {
			CU_ASSERT_EQUAL(plat_xdp_held_get(w.ifindex, &held), 0);
			CU_ASSERT_EQUAL(held.mode, modes[i]);
			CU_ASSERT_STRING_EQUAL(held.owner, "tt0");
			send_from_peer(4, INDEX, 1);
			CU_ASSERT_FALSE(plain_gets(SILENCE_MS));
		}
		close(ready[0]);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		for (unsigned k = 0; k < 20 && held.mode != PLAT_XDP_MODE_NONE; k++) {
			usleep(5000);
			CU_ASSERT_EQUAL(plat_xdp_held_get(w.ifindex, &held), 0);
		}
		CU_ASSERT_EQUAL(held.mode, PLAT_XDP_MODE_NONE);
		send_from_peer(4, INDEX, 2);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
	}
	leave();
}

static void second_instance(void)
{
	struct plat_xdp *first, *second = NULL;
	struct plat_xdp_held held;

	if (!enter(1500))
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(modes); i++) {
		if (!attached(modes[i], &first))
			break;
		CU_ASSERT_EQUAL(attach(PLAT_XDP_MODE_DRIVER, "tt1", &second), -EBUSY);
		CU_ASSERT_STRING_EQUAL(w.why, "xa: xdp held by taltund tt0");
		CU_ASSERT_EQUAL(attach(PLAT_XDP_MODE_GENERIC, "tt1", &second), -EBUSY);
		CU_ASSERT_STRING_EQUAL(w.why, "xa: xdp held by taltund tt0");
		CU_ASSERT_TRUE(plat_xdp_is_attached(first));
		plat_xdp_detach(first);
		CU_ASSERT_EQUAL(plat_xdp_held_get(w.ifindex, &held), 0);
		CU_ASSERT_EQUAL(held.mode, PLAT_XDP_MODE_NONE);
	}
	leave();
}

static int foreign_program(void)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT}};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", pass, TT_ARRAY_LEN(pass), NULL);
}

static void foreign(void)
{
	struct plat_xdp_held before, after;
	struct plat_xdp *x = NULL;
	int fd;

	if (!enter(1500))
		return;
	fd = foreign_program();
	if (fd == -EPERM) {
		tt_test_skip(1, "no right to load BPF programs");
		leave();
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		uint32_t flags = i ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;

		CU_ASSERT_EQUAL_FATAL(bpf_xdp_attach((int)w.ifindex, fd, flags, NULL), 0);
		CU_ASSERT_EQUAL(plat_xdp_held_get(w.ifindex, &before), 0);
		CU_ASSERT_STRING_EQUAL(before.program, "foreign");
		CU_ASSERT_STRING_EQUAL(before.owner, "");
		CU_ASSERT_EQUAL(attach(PLAT_XDP_MODE_DRIVER, "tt0", &x), -EBUSY);
		CU_ASSERT_PTR_NOT_NULL(strstr(w.why, "xdp held by program foreign (id "));
		CU_ASSERT_EQUAL(attach(PLAT_XDP_MODE_GENERIC, "tt0", &x), -EBUSY);
		CU_ASSERT_EQUAL(plat_xdp_held_get(w.ifindex, &after), 0);
		CU_ASSERT_EQUAL(after.program_id, before.program_id);
		CU_ASSERT_EQUAL(bpf_xdp_detach((int)w.ifindex, flags, NULL), 0);
	}
	CU_ASSERT_TRUE(attach(PLAT_XDP_MODE_DRIVER, "tt0", &x) == 0);
	plat_xdp_detach(x);
	close(fd);
	leave();
}

static void facts(void)
{
	struct plat_xdp_facts f;

	if (!enter(1500))
		return;
	CU_ASSERT_EQUAL(plat_xdp_facts_get(w.ifindex, &f), 0);
	CU_ASSERT_STRING_EQUAL(f.name, "xa");
	CU_ASSERT_STRING_EQUAL(f.driver, "veth");
	CU_ASSERT_EQUAL(f.mtu, 1500);
	CU_ASSERT_EQUAL(f.queues, 1);
	CU_ASSERT_EQUAL(memcmp(f.mac, mac_a, 6), 0);
	CU_ASSERT_TRUE(f.ethernet && f.up && f.running);
	CU_ASSERT_FALSE(f.zero_copy_listed);
	CU_ASSERT_TRUE(f.offloads & PLAT_XDP_OFFLOAD_TX_UDP_GSO);
	tt_sh("ethtool -K xa tx-udp-segmentation off");
	CU_ASSERT_EQUAL(plat_xdp_facts_get(w.ifindex, &f), 0);
	CU_ASSERT_FALSE(f.offloads & PLAT_XDP_OFFLOAD_TX_UDP_GSO);
	CU_ASSERT_EQUAL(plat_xdp_facts_get(if_nametoindex("lo"), &f), 0);
	CU_ASSERT_FALSE(f.ethernet);
	CU_ASSERT_EQUAL(plat_xdp_facts_get(0, &f), -ENODEV);
	CU_ASSERT_EQUAL(plat_xdp_facts_get(4242, &f), -ENODEV);
	CU_ASSERT_EQUAL(plat_xdp_view_open(&(struct plat_xdp_fds){-1, -1, -1, -1},
					   &(struct plat_xdp_view *){NULL}),
			-EBADF);
	leave();
}

static void mtu_is_checked(unsigned mtu, int native, int generic)
{
	struct plat_xdp *x = NULL;
	int err;

	if (!enter(mtu))
		return;
	err = attach(PLAT_XDP_MODE_DRIVER, "tt0", &x);
	if (err == -EPERM) {
		tt_test_skip(1, "no right to load BPF programs");
		leave();
		return;
	}
	CU_ASSERT_EQUAL(err, native);
	if (err == 0)
		plat_xdp_detach(x);
	else
		CU_ASSERT_PTR_NOT_NULL(strstr(w.why, "MTU"));
	err = attach(PLAT_XDP_MODE_GENERIC, "tt0", &x);
	CU_ASSERT_EQUAL(err, generic);
	if (err == 0)
		plat_xdp_detach(x);
	leave();
}

static void mtu(void)
{
	mtu_is_checked(1280, 0, 0);
	mtu_is_checked(3400, 0, 0);
	mtu_is_checked(3800, -ERANGE, 0); /* veth's own limit */
	mtu_is_checked(9000, -ERANGE, -ERANGE);
}

/* Two interfaces of one daemon: one set of sessions. */
static void shared_maps(void)
{
	struct plat_xdp_options o = {.mode = PLAT_XDP_MODE_GENERIC, .owner = "tt0"};
	struct plat_xdp *second = NULL;
	struct plat_xdp_view *v;
	struct rig r;

	if (!enter(1500))
		return;
	tt_sh("ip link add ya type veth peer name yb && ip link set ya up");
	o.ifindex = if_nametoindex("ya");
	if (rig_up(&r, PLAT_XDP_MODE_DRIVER)) {
		o.share = r.xdp;
		CU_ASSERT_EQUAL_FATAL(plat_xdp_attach(&o, &second, w.why), 0);
		v = view_of(second);
		plat_xdp_view_index_clear(v, INDEX);
		send_from_peer(4, INDEX, 1);
		CU_ASSERT_FALSE(xsk_gets(r.xsk, 1, SILENCE_MS));
		plat_xdp_view_index_set(v, INDEX);
		send_from_peer(4, INDEX, 2);
		CU_ASSERT_TRUE(xsk_gets(r.xsk, 2, WAIT_MS));
		CU_ASSERT_EQUAL(counter(v, STEER_REDIRECTED), 0);
		CU_ASSERT_EQUAL(counter(r.view, STEER_REDIRECTED), 1);
		CU_ASSERT_EQUAL(plat_xdp_set_udp_ports(second, NULL, 0), 0);
		send_from_peer(4, INDEX, 3);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		rig_down(&r);
		CU_ASSERT_TRUE(plat_xdp_is_attached(second));
		plat_xdp_detach(second);
		plat_xdp_view_close(v);
	}
	leave();
}

static void settings(void)
{
	struct tt_ip ips[1100];
	struct rig r;

	if (!enter(1500))
		return;
	if (rig_up(&r, PLAT_XDP_MODE_DRIVER)) {
		for (unsigned i = 0; i < TT_ARRAY_LEN(ips); i++)
			ips[i] = tt_ip_v4_host(0x0a070001 + i);
		CU_ASSERT_EQUAL(plat_xdp_set_addresses(r.xdp, ips + 1, 50), 0);
		send_from_peer(4, INDEX, 1);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_PASS_ADDRESS), 1);
		CU_ASSERT_EQUAL(plat_xdp_set_addresses(r.xdp, ips, 1100), -E2BIG);
		CU_ASSERT_EQUAL(plat_xdp_set_addresses(r.xdp, ips, 1), 0);
		send_from_peer(4, INDEX, 2);
		CU_ASSERT_TRUE(xsk_gets(r.xsk, 2, WAIT_MS));
		plat_xdp_set_frame_limit(r.xdp, FRAME_LEN - 1);
		send_from_peer(4, INDEX, 3);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_PASS_TOO_LONG), 1);
		plat_xdp_set_frame_limit(r.xdp, FRAME_LEN);
		/* A small index table, whose slots are other bits. */
		plat_xdp_view_index_clear_all(r.view);
		plat_xdp_view_set_capacity(r.view, 16);
		plat_xdp_view_index_set(r.view, INDEX);
		send_from_peer(4, INDEX, 4);
		CU_ASSERT_TRUE(xsk_gets(r.xsk, 4, WAIT_MS));
		/* A large one: what is beyond the map is the kernel's. */
		plat_xdp_view_set_capacity(r.view, 1u << 24);
		plat_xdp_view_index_set(r.view, INDEX | PLAT_XDP_SLOTS << 2);
		send_from_peer(4, INDEX | PLAT_XDP_SLOTS << 2, 5);
		CU_ASSERT_TRUE(plain_gets(WAIT_MS));
		CU_ASSERT_EQUAL(counter(r.view, STEER_PASS_SLOT), 1);
		CU_ASSERT_STRING_EQUAL(plat_xdp_reason_name(0), "redirected");
		CU_ASSERT_PTR_NULL(plat_xdp_reason_name(STEER_REASON_COUNT));
		rig_down(&r);
	}
	leave();
}

TT_TESTS("xdp", {"killed holder", killed_holder}, {"second instance", second_instance},
	 {"foreign", foreign}, {"facts", facts}, {"mtu", mtu}, {"shared maps", shared_maps},
	 {"settings", settings})
