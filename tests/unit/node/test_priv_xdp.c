/* SPDX-License-Identifier: MIT
 *
 * What an engine without rights gets from the monitor for the way past the kernel: attachments,
 * maps, sockets. On a veth of its own namespace, with the kernel as it is.
 */
#include "monitor_harness.h"

#include "node/config_load.h"
#include "plat/netcfg.h"
#include "plat/xdp.h"
#include "plat/xsk.h"

#define UMEM (4u << 20)

/* Still with rights, and in the monitor's namespace. */
static int prepare_veth(const struct node_engine_start *start)
{
	if (shared->starts == 0 &&
	    system("ip link add v0 type veth peer name v1 && ip link set v0 up && "
		   "ip link set v1 up && ip addr add 10.8.0.1/24 dev v0") != 0)
		return -EIO;
	return harness_prepare(start);
}

static void show_result(int status, int starts)
{
	if (shared->n[0]) {
		tt_test_skip(1, "no XDP here");
		harness_remove_dir();
		return;
	}
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_EQUAL(shared->starts, starts);
	if (status || shared->failed) {
		printf("  status %d, engine failed at line %d, errno %ld\n", status, shared->failed,
		       shared->n[0]);
		harness_show_log();
	}
	harness_remove_dir();
}

/* With these --set flags, up to a NULL, and no file. */
static void run_set(int (*engine)(const struct node_engine_start *), int starts,
		    const char *const *set)
{
	struct node_config_source src = {.set = set};
	struct node_config *settings = NULL;
	struct node_config_error error;

	if (!harness_possible(1))
		return;
	while (set[src.set_count])
		src.set_count++;
	CU_ASSERT_EQUAL_FATAL(node_config_load_settings(&src, &error, &settings), 0);
	harness_reset();
	struct node_monitor_options opt = harness_options(engine);
	opt.settings = settings;
	opt.engine_prepare = prepare_veth;
	show_result(harness_wait(harness_start(&opt)), starts);
	node_config_free(settings);
}

static void run(int (*engine)(const struct node_engine_start *), int starts)
{
	static const char *const set[] = {"datapath.mode=xdp", NULL};

	run_set(engine, starts, set);
}

static uint32_t index_of(const char *name)
{
	struct plat_netcfg_link link;

	return plat_netcfg_link_get(0, name, &link) == 0 ? link.ifindex : 0;
}

static uint32_t program_on(uint32_t ifindex)
{
	struct plat_xdp_held held;

	return plat_xdp_held_get(ifindex, &held) == 0 ? held.program_id : 0;
}

static int ask_attach(uint32_t ifindex, enum plat_xdp_mode mode, struct node_priv_reply *r,
		      int *fds)
{
	struct node_priv_request req = {
		.u.xdp = {.ifindex = ifindex, .mode = mode, .frame_limit = 1518}};

	return ask(NODE_PRIV_XDP_ATTACH, &req, r, fds);
}

/* The first of a test: it tells whether this kernel has native XDP on a veth at all. */
static int ask_attach_first(uint32_t ifindex, struct node_priv_reply *r, int *fds)
{
	int err = ask_attach(ifindex, PLAT_XDP_MODE_DRIVER, r, fds);

	shared->n[0] = err == -EPERM || err == -ENOTSUP ? err : 0;
	return err;
}

static int ask_detach(uint32_t ifindex)
{
	struct node_priv_request req = {.u.xdp.ifindex = ifindex};
	struct node_priv_reply r;

	return ask(NODE_PRIV_XDP_DETACH, &req, &r, NULL);
}

static int ask_threaded(uint32_t ifindex, bool on)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;

	req.u.xdp_threaded.ifindex = ifindex;
	req.u.xdp_threaded.on = on;
	return ask(NODE_PRIV_XDP_THREADED, &req, &r, NULL);
}

/* --- attachments ------------------------------------------------------------------------------ */

static int engine_attach(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	uint32_t v0 = index_of("v0"), first;

	(void)start;
	ENGINE_CHECK(v0 > 0);
	ENGINE_CHECK(ask_attach_first(v0, &r, fds) == 0 && r.fds == 4);
	node_wire_close(fds, r.fds);
	first = program_on(v0);
	ENGINE_CHECK(first > 0);
	/* asked again: what is there */
	ENGINE_CHECK(ask_attach(v0, PLAT_XDP_MODE_DRIVER, &r, fds) == 0 && r.fds == 4);
	node_wire_close(fds, r.fds);
	ENGINE_CHECK(program_on(v0) == first);
	/* a thread that receives: kernels before 5.12 have none */
	int threaded = ask_threaded(v0, true);
	ENGINE_CHECK(threaded == 0 || threaded == -ENOTSUP || threaded == -EPERM);
	ENGINE_CHECK(ask_threaded(v0, false) == threaded);
	ENGINE_CHECK(ask_threaded(1, true) == -ENOENT);
	/* in another mode: anew */
	ENGINE_CHECK(ask_attach(v0, PLAT_XDP_MODE_GENERIC, &r, fds) == 0 && r.fds == 4);
	node_wire_close(fds, r.fds);
	ENGINE_CHECK(program_on(v0) != first && program_on(v0) > 0);
	/* a second interface beside it */
	ENGINE_CHECK(ask_attach(index_of("v1"), PLAT_XDP_MODE_DRIVER, &r, fds) == 0);
	node_wire_close(fds, r.fds);
	/* the frame limit of what is attached, and of nothing else */
	struct node_priv_request limit = {.u.xdp = {.ifindex = v0, .frame_limit = 1400}};
	ENGINE_CHECK(ask(NODE_PRIV_XDP_LIMIT, &limit, &r, NULL) == 0);
	limit.u.xdp.ifindex = 9999;
	ENGINE_CHECK(ask(NODE_PRIV_XDP_LIMIT, &limit, &r, NULL) == -ENOENT);
	ENGINE_CHECK(ask_detach(v0) == 0 && program_on(v0) == 0);
	ENGINE_CHECK(ask_detach(v0) == 0);
	ENGINE_CHECK(program_on(index_of("v1")) > 0);
	ENGINE_CHECK(ask_detach(0) == 0 && program_on(index_of("v1")) == 0);
	/* refused with a text */
	ENGINE_CHECK(ask_attach(9999, PLAT_XDP_MODE_DRIVER, &r, fds) < 0 && r.error[0]);
	ENGINE_CHECK(ask_attach(index_of("lo"), PLAT_XDP_MODE_GENERIC, &r, fds) == -EOPNOTSUPP);
	ENGINE_CHECK(strstr(r.error, "no Ethernet"));
	return leave(NODE_EXIT_OK);
}

static void attach_and_detach(void)
{
	run(engine_attach, 1);
}

/* --- what the configuration does not want --------------------------------------------------------
 */

static bool refused(uint32_t ifindex, enum plat_xdp_mode mode)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	return ask_attach(ifindex, mode, &r, fds) == -EPERM && strstr(r.error, "[datapath]") &&
	       r.fds == 0 && program_on(ifindex) == 0;
}

static bool granted(uint32_t ifindex, enum plat_xdp_mode mode)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	if (ask_attach(ifindex, mode, &r, fds) != 0)
		return false;
	node_wire_close(fds, r.fds);
	return program_on(ifindex) > 0 && ask_detach(ifindex) == 0;
}

static int offer(uint32_t bytes)
{
	struct node_priv_request req = {.u.xsk.umem_bytes = bytes};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	int err = ask(NODE_PRIV_XSK_OFFER, &req, &r, fds);

	node_wire_close(fds, err ? 0 : r.fds);
	return err;
}

static int engine_socket_mode(const struct node_engine_start *start)
{
	(void)start;
	ENGINE_CHECK(refused(index_of("v0"), PLAT_XDP_MODE_DRIVER));
	ENGINE_CHECK(refused(index_of("v0"), PLAT_XDP_MODE_GENERIC));
	ENGINE_CHECK(offer(UMEM) == -EPERM);
	return leave(NODE_EXIT_OK);
}

static int engine_auto_mode(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(ask_attach_first(index_of("v0"), &r, fds) == 0);
	ENGINE_CHECK(ask_detach(index_of("v0")) == 0);
	ENGINE_CHECK(refused(index_of("v0"), PLAT_XDP_MODE_GENERIC));
	ENGINE_CHECK(offer(UMEM) == 0);
	return leave(NODE_EXIT_OK);
}

static int engine_named(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(ask_attach_first(index_of("v1"), &r, fds) == 0);
	ENGINE_CHECK(ask_detach(index_of("v1")) == 0);
	ENGINE_CHECK(granted(index_of("v1"), PLAT_XDP_MODE_GENERIC));
	ENGINE_CHECK(refused(index_of("v0"), PLAT_XDP_MODE_DRIVER));
	ENGINE_CHECK(refused(index_of("v0"), PLAT_XDP_MODE_GENERIC));
	return leave(NODE_EXIT_OK);
}

static void settings_without_a_file_are_kept(void)
{
	static const char *const sockets[] = {"datapath.mode=socket", NULL};
	static const char *const automatic[] = {NULL};
	static const char *const named[] = {"datapath.mode=xdp", "datapath.interfaces=v1,nosuch",
					    NULL};

	run_set(engine_socket_mode, 1, sockets);
	run_set(engine_auto_mode, 1, automatic);
	run_set(engine_named, 1, named);
}

static void write_config(const char *datapath)
{
	FILE *f = fopen(harness_path("node.toml"), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fchmod(fileno(f), 0600);
	fprintf(f,
		"[interface]\nname = \"ttest0\"\n"
		"private_key = \"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\"\n"
		"[datapath]\n%s\n",
		datapath);
	fclose(f);
}

static int load_config(void)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	int err = ask(NODE_PRIV_CONFIG_LOAD, &req, &r, fds);

	node_wire_close(fds, err ? 0 : r.fds);
	return err;
}

static int engine_reload(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	uint32_t v0 = index_of("v0"), v1 = index_of("v1");

	(void)start;
	/* nothing was loaded: nothing is wanted */
	ENGINE_CHECK(ask_attach(v0, PLAT_XDP_MODE_DRIVER, &r, fds) < 0 && program_on(v0) == 0);
	ENGINE_CHECK(load_config() == 0);
	ENGINE_CHECK(ask_attach_first(v0, &r, fds) == 0);
	node_wire_close(fds, r.fds);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0 && program_on(v0) > 0);
	ENGINE_CHECK(refused(v1, PLAT_XDP_MODE_DRIVER));
	shared->step = 1;
	while (shared->go < 1)
		nap_ms(5);
	/* until the new file is in force, both are */
	ENGINE_CHECK(load_config() == 0 && program_on(v0) > 0);
	ENGINE_CHECK(ask_attach(v1, PLAT_XDP_MODE_DRIVER, &r, fds) == 0);
	node_wire_close(fds, r.fds);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	ENGINE_CHECK(program_on(v0) == 0 && program_on(v1) > 0);
	ENGINE_CHECK(refused(v0, PLAT_XDP_MODE_DRIVER));
	return leave(NODE_EXIT_OK);
}

static void a_file_says_what_is_attached(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	write_config("mode = \"xdp\"\ninterfaces = [\"v0\"]");
	struct node_monitor_options opt = harness_options(engine_reload);
	opt.mode = NODE_MODE_CONFIG;
	opt.name = NULL;
	opt.config_path = harness_path("node.toml");
	opt.engine_prepare = prepare_veth;
	pid_t pid = harness_start(&opt);
	for (int i = 0; i < 500 && shared->step < 1 && !shared->failed; i++)
		nap_ms(10);
	write_config("mode = \"xdp\"\ninterfaces = [\"v1\"]");
	shared->go = 1;
	show_result(harness_wait(pid), 1);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int ask_offer(struct plat_xsk_offer *out)
{
	struct node_priv_request req = {.u.xsk.umem_bytes = UMEM};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	int err = ask(NODE_PRIV_XSK_OFFER, &req, &r, fds);

	if (err || r.fds != 2)
		return err ? err : -EBADMSG;
	*out = (struct plat_xsk_offer){.fd = fds[0], .umem_fd = fds[1], .umem_bytes = UMEM};
	return 0;
}

static int engine_socket(const struct node_engine_start *start)
{
	struct plat_xsk_options opt = {.queue = 0,
				       .mode = PLAT_XSK_COPY,
				       .fill = 512,
				       .rx = 512,
				       .tx = 512,
				       .completion = 512,
				       .bind_wait_ms = 1000};
	struct node_priv_reply r;
	struct plat_xdp_view *view;
	struct plat_xsk *xsk;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	opt.ifindex = index_of("v0");
	ENGINE_CHECK(ask_udp(&r, fds, 0, 1) == 0);
	ENGINE_CHECK(ask_attach_first(opt.ifindex, &r, fds) == 0);
	struct plat_xdp_fds maps = {fds[0], fds[1], fds[2], fds[3]};
	ENGINE_CHECK(plat_xdp_view_open(&maps, &view) == 0);
	plat_xdp_view_set_capacity(view, PLAT_XDP_SLOTS);
	plat_xdp_view_index_set(view, 0x12345678);
	for (int i = 0; i < 3; i++) {
		/* the monitor keeps nothing that would hold the queue */
		ENGINE_CHECK(ask_offer(&opt.offer) == 0);
		ENGINE_CHECK(plat_xsk_start(&opt, &xsk) == 0);
		ENGINE_CHECK(plat_xdp_view_queue_set(view, 0, plat_xsk_fd(xsk)) == 0);
		ENGINE_CHECK(plat_xdp_view_queue_clear(view, 0) == 0);
		plat_xsk_stop(xsk);
	}
	plat_xdp_view_close(view);
	return leave(NODE_EXIT_OK);
}

static void sockets_of_an_engine_without_rights(void)
{
	run(engine_socket, 1);
}

/* --- over a crash ----------------------------------------------------------------------------- */

static int engine_crash(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	uint32_t v0 = index_of("v0");

	ENGINE_CHECK(ask_attach_first(v0, &r, fds) == 0 && r.fds == 4);
	if (!start->restarts) {
		shared->n[1] = program_on(v0);
		abort();
	}
	ENGINE_CHECK(shared->n[1] > 0 && shared->n[1] == (long)program_on(v0));
	return leave(NODE_EXIT_OK);
}

static void attachments_outlive_an_engine(void)
{
	run(engine_crash, 2);
}

/* --- TUN queues ------------------------------------------------------------------------------- */

static int tun_queue(uint32_t queue, bool on)
{
	struct node_priv_request req = {.u.tun_queue = {.queue = queue, .on = on}};
	struct node_priv_reply r;

	return ask(NODE_PRIV_TUN_QUEUE, &req, &r, NULL);
}

static int engine_tun_queue(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(tun_queue(0, false) == -ENODEV);
	ENGINE_CHECK(ask_tun(&r, fds, 2) == 0);
	ENGINE_CHECK(tun_queue(1, false) == 0);
	ENGINE_CHECK(tun_queue(1, false) == 0);
	/* it is out: nobody can take it out again */
	ENGINE_CHECK(plat_tun_queue_detach(fds[1]) == -EINVAL);
	ENGINE_CHECK(tun_queue(1, true) == 0);
	ENGINE_CHECK(plat_tun_queue_detach(fds[1]) == 0);
	ENGINE_CHECK(tun_queue(2, true) == -ENODEV);
	return leave(NODE_EXIT_OK);
}

static void tun_queues_out_and_in(void)
{
	if (harness_portable()) {
		tt_test_skip(1, "a TUN has one queue on this platform");
		return;
	}
	run(engine_tun_queue, 1);
}

/* --- what no sound engine asks for --------------------------------------------------------------
 */

static const struct {
	const char *name;
	struct node_priv_request req;
} bad[] = {
	{"no interface", {.op = NODE_PRIV_XDP_ATTACH, .u.xdp = {0, 1, 1518}}},
	{"no mode", {.op = NODE_PRIV_XDP_ATTACH, .u.xdp = {2, 0, 1518}}},
	{"offload", {.op = NODE_PRIV_XDP_ATTACH, .u.xdp = {2, PLAT_XDP_MODE_OFFLOAD, 1518}}},
	{"unknown mode", {.op = NODE_PRIV_XDP_ATTACH, .u.xdp = {2, 77, 1518}}},
	{"no limit", {.op = NODE_PRIV_XDP_ATTACH, .u.xdp = {2, 1, 0}}},
	{"limit beyond a frame", {.op = NODE_PRIV_XDP_LIMIT, .u.xdp = {2, 0, 4097}}},
	{"thread of none", {.op = NODE_PRIV_XDP_THREADED, .u.xdp_threaded = {0, 1}}},
	{"half a thread", {.op = NODE_PRIV_XDP_THREADED, .u.xdp_threaded = {2, 2}}},
	{"limit of none", {.op = NODE_PRIV_XDP_LIMIT, .u.xdp = {0, 0, 1518}}},
	{"detach with more", {.op = NODE_PRIV_XDP_DETACH, .u.xdp = {2, 1, 0}}},
	{"no memory", {.op = NODE_PRIV_XSK_OFFER}},
	{"half a frame", {.op = NODE_PRIV_XSK_OFFER, .u.xsk.umem_bytes = UMEM + 2048}},
	{"too much memory", {.op = NODE_PRIV_XSK_OFFER, .u.xsk.umem_bytes = 1u << 30}},
	{"queue 16", {.op = NODE_PRIV_TUN_QUEUE, .u.tun_queue = {16, 0}}},
	{"on is 2", {.op = NODE_PRIV_TUN_QUEUE, .u.tun_queue = {0, 2}}},
};
static unsigned bad_index; /* inherited by the engine */

static int engine_bad(const struct node_engine_start *start)
{
	if (start->restarts)
		return leave(NODE_EXIT_OK);
	node_wire_send(start->priv_fd, &bad[bad_index].req, sizeof(bad[0].req), NULL, 0);
	nap_ms(10000); /* killed while it sleeps */
	shared->failed = __LINE__;
	return NODE_EXIT_FAILED;
}

static void malformed_requests_end_the_engine(void)
{
	if (!harness_possible(TT_ARRAY_LEN(bad)))
		return;
	for (bad_index = 0; bad_index < TT_ARRAY_LEN(bad); bad_index++) {
		harness_reset();
		int status = harness_run(engine_bad);
		bool ok = status == 0 && shared->starts == 2 && !shared->failed &&
			  harness_logged("priv.malformed");
		CU_ASSERT_TRUE(ok);
		if (!ok) {
			printf("  %s: status %d\n", bad[bad_index].name, status);
			harness_show_log();
		}
		harness_remove_dir();
	}
}

TT_TESTS("priv_xdp", {"attach and detach", attach_and_detach},
	 {"settings without a file are kept", settings_without_a_file_are_kept},
	 {"a file says what is attached", a_file_says_what_is_attached},
	 {"sockets of an engine without rights", sockets_of_an_engine_without_rights},
	 {"attachments outlive an engine", attachments_outlive_an_engine},
	 {"TUN queues out and in", tun_queues_out_and_in},
	 {"malformed requests end the engine", malformed_requests_end_the_engine})
