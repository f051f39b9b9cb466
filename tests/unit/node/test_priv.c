/* SPDX-License-Identifier: MIT
 *
 * The privilege channel: what an engine without any right gets from the monitor, and what happens
 * to an engine that asks for what no engine asks for.
 */
#include "monitor_harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "node/resolver.h"
#include "plat/netcfg.h"
#include "plat/udp_io.h"

/* --- the engine's rights
 * --------------------------------------------------------------------------- */

static long status_field(const char *field, int base)
{
	char line[256];
	long value = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			value = (long)strtoull(line + strlen(field), NULL, base);
	if (f)
		fclose(f);
	return value;
}

static int engine_rights(const struct node_engine_start *start)
{
	(void)start;
	ENGINE_CHECK(getuid() != 0 && geteuid() != 0 && getgid() != 0);
	ENGINE_CHECK(getgroups(0, NULL) == 0);
	ENGINE_CHECK(setuid(0) < 0);
	if (!harness_portable()) {
		ENGINE_CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
		ENGINE_CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
		ENGINE_CHECK(status_field("CapBnd:", 16) == 0);
	}
	ENGINE_CHECK(status_field("CapEff:", 16) == 0);
	ENGINE_CHECK(status_field("CapPrm:", 16) == 0);
	ENGINE_CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0);
	/* nothing but what it was given: 0, 1, 2 and four descriptors */
	int open_fds = 0;
	for (int fd = 0; fd < 256; fd++)
		open_fds += fcntl(fd, F_GETFD) >= 0;
	ENGINE_CHECK(open_fds == 7);
	return leave(NODE_EXIT_OK);
}

static void engine_has_no_rights(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_rights, 0);
	if (harness_portable())
		tt_test_skip(1, "no bounding set and no \"no new privileges\" on this platform");
}

/* --- TUN
 * --------------------------------------------------------------------------------------------- */

static int engine_tun(const struct node_engine_start *start)
{
	struct node_priv_reply a, b;
	int fds[NODE_PRIV_FDS_MAX];
	unsigned queues = harness_portable() ? 1 : 2;

	(void)start;
	ENGINE_CHECK(ask_tun(&a, fds, 2) == 0);
	ENGINE_CHECK(a.fds == queues && a.u.tun.queues == queues && a.u.tun.ifindex > 0);
	ENGINE_CHECK(!strcmp(a.u.tun.name, "ttest0") && a.u.tun.mtu == 1500);
	ENGINE_CHECK(ask_tun(&b, fds, 1) == 0);
	ENGINE_CHECK(b.fds == queues && b.u.tun.ifindex == a.u.tun.ifindex);
	ENGINE_CHECK(plat_tun_state(fds[queues - 1]) == PLAT_TUN_DOWN);
	return leave(NODE_EXIT_OK);
}

static void tun_is_opened_once(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_tun, 0);
}

/* --- the interface seen from the host
 * ------------------------------------------------------------- */

static int net(uint32_t op, bool on, const char *prefix, uint32_t mtu,
	       struct node_priv_reply *reply)
{
	struct node_priv_request req = {0};

	req.u.net.on = on;
	req.u.net.mtu = mtu;
	if (prefix && tt_cidr_parse(prefix, &req.u.net.prefix))
		return -EBADMSG;
	return ask(op, &req, reply, NULL);
}

static bool load_config(void)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	if (ask(NODE_PRIV_CONFIG_LOAD, &req, &r, fds) != 0)
		return false;
	close(fds[0]);
	return true;
}

/* The monitor's options for an engine with a configuration. */
static struct node_monitor_options with_config(int (*run)(const struct node_engine_start *),
					       const char *routes)
{
	struct node_monitor_options opt = harness_options(run);
	FILE *f = fopen(harness_path("node.toml"), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fchmod(fileno(f), 0600);
	fprintf(f,
		"[interface]\nname = \"ttest0\"\naddress = [\"10.77.0.1/24\"]\n%s"
		"private_key = \"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\"\n"
		"[[peer]]\npublic_key = \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"\n"
		"allowed_ips = [\"192.168.50.0/24\", \"::/0\"]\n",
		routes);
	fclose(f);
	opt.mode = NODE_MODE_CONFIG;
	opt.name = NULL;
	opt.config_path = harness_path("node.toml");
	return opt;
}

/* Whether packets to `to` leave by the interface ifindex, whose address is 10.77.0.1. */
static bool leaves_by(const struct tt_ip *to, unsigned ifindex)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	unsigned found, mtu;
	socklen_t len = sizeof(a);

	if (!harness_portable())
		return plat_netcfg_route_get(to, 0, &found, &mtu) == 0 && found == ifindex;
	/* no look at the table there: the source address tells */
	memcpy(&a.sin_addr, to->b, 4);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool ours = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		    getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
		    a.sin_addr.s_addr == inet_addr("10.77.0.1");
	close(fd);
	return ours;
}

static int engine_net(const struct node_engine_start *start)
{
	struct plat_netcfg_link link;
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	struct tt_ip to;

	(void)start;
	ENGINE_CHECK(net(NODE_PRIV_NET_UP, true, NULL, 0, &r) == -ENODEV && r.error[0]);
	ENGINE_CHECK(load_config());
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	unsigned ours = r.u.tun.ifindex;
	ENGINE_CHECK(net(NODE_PRIV_NET_MTU, false, NULL, 1380, &r) == 0);
	ENGINE_CHECK(net(NODE_PRIV_NET_UP, true, NULL, 0, &r) == 0);
	ENGINE_CHECK(plat_netcfg_link_get(ours, NULL, &link) == 0);
	ENGINE_CHECK(link.mtu == 1380 && link.up);
	ENGINE_CHECK(plat_tun_state(fds[0]) == PLAT_TUN_UP);
	ENGINE_CHECK(net(NODE_PRIV_ADDR, true, "10.77.0.1/24", 0, &r) == 0);
	ENGINE_CHECK(net(NODE_PRIV_ADDR, true, "10.77.0.1/24", 0, &r) == 0);
	ENGINE_CHECK(net(NODE_PRIV_ROUTE, true, "192.168.50.0/24", 0, &r) == 0);
	ENGINE_CHECK(tt_ip_parse("192.168.50.9", &to) == 0);
	ENGINE_CHECK(leaves_by(&to, ours));
	ENGINE_CHECK(net(NODE_PRIV_ROUTE, false, "192.168.50.0/24", 0, &r) == 0);
	ENGINE_CHECK(!leaves_by(&to, ours));
	ENGINE_CHECK(net(NODE_PRIV_ROUTE, false, "192.168.51.0/24", 0, &r) == -ENOENT);
	ENGINE_CHECK(strstr(r.error, "192.168.51.0/24"));
	return leave(NODE_EXIT_OK);
}

static void net_requests_are_done(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	struct node_monitor_options opt = with_config(engine_net, "");
	CU_ASSERT_EQUAL(harness_wait(harness_start(&opt)), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	if (shared->failed) {
		printf("  engine failed at line %d\n", shared->failed);
		harness_show_log();
	}
	harness_remove_dir();
}

/* --- the log --------------------------------------------------------------------------------- */

/* The monitor's own lines follow the level. */
static int engine_log_level(const struct node_engine_start *start)
{
	struct node_priv_request req = {.u.log.level = TT_LOG_DEBUG};
	struct node_priv_reply r;

	(void)start;
	ENGINE_CHECK(ask(NODE_PRIV_LOG_LEVEL, &req, &r, NULL) == 0);
	req.u.log.level = TT_LOG_ERROR;
	ENGINE_CHECK(ask(NODE_PRIV_LOG_LEVEL, &req, &r, NULL) == 0);
	return leave(NODE_EXIT_OK);
}

static void the_level_is_the_monitors(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	CU_ASSERT_EQUAL(harness_run(engine_log_level), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT(harness_logged("event=log.level is=debug"));
	CU_ASSERT(!harness_logged("is=error") && !harness_logged("monitor.stopped"));
	harness_remove_dir();
}

/* --- UDP
 * -----------------------------------------------------------------------------------------------
 */

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static int bind_port(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	int err = -errno;
	close(fd);
	return err;
}

static unsigned fds_of(const struct node_priv_reply *r)
{
	unsigned each = r->u.udp.steered ? r->u.udp.workers + 1u : 1;

	return each * ((unsigned)r->u.udp.have_v4 + r->u.udp.have_v6);
}

static int engine_udp(const struct node_engine_start *start)
{
	struct node_priv_reply a, b, c;
	int fds[NODE_PRIV_FDS_MAX], other[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(ask_udp(&a, fds, 0, 2) == 0);
	ENGINE_CHECK(a.u.udp.have_v4 && a.u.udp.udp_port && a.fds == fds_of(&a));
	for (unsigned i = 0; i < a.fds; i++)
		ENGINE_CHECK(port_of(fds[i]) == a.u.udp.udp_port);
	/* asked again, by either name: the same */
	ENGINE_CHECK(ask_udp(&b, other, 0, 2) == 0 && b.u.udp.udp_port == a.u.udp.udp_port);
	node_wire_close(other, b.fds);
	ENGINE_CHECK(ask_udp(&b, other, a.u.udp.udp_port, 2) == 0 && b.fds == a.fds);
	node_wire_close(other, b.fds);
	ENGINE_CHECK(ask_udp(&b, other, 0, 3) == -EINVAL);
	/* a taken number leaves the open group in place */
	int taken = bind_port(0);
	ENGINE_CHECK(ask_udp(&b, other, port_of(taken), 2) == -EADDRINUSE);
	ENGINE_CHECK(strstr(b.error, "in use"));
	uint16_t free_port = port_of(taken);
	close(taken);
	/* another number: beside the old one until commit */
	ENGINE_CHECK(ask_udp(&c, other, free_port, 2) == 0 && c.u.udp.udp_port == free_port);
	ENGINE_CHECK(bind_port(a.u.udp.udp_port) == -EADDRINUSE);
	node_wire_close(fds, a.fds);
	ENGINE_CHECK(bind_port(a.u.udp.udp_port) == -EADDRINUSE);
	ENGINE_CHECK(tell(NODE_PRIV_UDP_COMMIT) == 0);
	ENGINE_CHECK(bind_port(a.u.udp.udp_port) >= 0);
	ENGINE_CHECK(bind_port(free_port) == -EADDRINUSE);
	struct node_priv_request mark = {.u.udp.fwmark = 0x1234};
	uint32_t got = 0;
	socklen_t len = sizeof(got);
	if (harness_portable()) {
		ENGINE_CHECK(ask(NODE_PRIV_UDP_FWMARK, &mark, &b, NULL) == -ENOTSUP);
		return leave(NODE_EXIT_OK);
	}
	ENGINE_CHECK(ask(NODE_PRIV_UDP_FWMARK, &mark, &b, NULL) == 0);
	ENGINE_CHECK(getsockopt(other[0], SOL_SOCKET, SO_MARK, &got, &len) == 0 && got == 0x1234);
	return leave(NODE_EXIT_OK);
}

static void udp_group_moves_to_another_port(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_udp, 0);
	if (harness_portable())
		tt_test_skip(1, "no fwmark on this platform");
}

/* --- malformed requests
 * ----------------------------------------------------------------------------- */

struct bad_case {
	const char *name;
	struct node_priv_request req;
	size_t len; /* 0: the whole */
	bool with_fd;
};

static const struct bad_case bad_cases[] = {
	{"operation 0", {.op = 0}, 0, false},
	{"operation too large", {.op = NODE_PRIV_OP_COUNT}, 0, false},
	{"too short", {.op = NODE_PRIV_READY}, 4, false},
	{"another interface", {.op = NODE_PRIV_TUN_OPEN, .u.tun = {"eth0", 1, 0}}, 0, false},
	{"name without end",
	 {.op = NODE_PRIV_TUN_OPEN, .u.tun = {"aaaaaaaaaaaaaaaa", 1, 0}},
	 0,
	 false},
	{"no queue", {.op = NODE_PRIV_TUN_OPEN, .u.tun = {"ttest0", 0, 0}}, 0, false},
	{"too many queues", {.op = NODE_PRIV_TUN_OPEN, .u.tun = {"ttest0", 17, 0}}, 0, false},
	{"unknown flags", {.op = NODE_PRIV_TUN_OPEN, .u.tun = {"ttest0", 1, 64}}, 0, false},
	{"no such level", {.op = NODE_PRIV_LOG_LEVEL, .u.log.level = TT_LOG_DEBUG + 1}, 0, false},
	{"no worker", {.op = NODE_PRIV_UDP_OPEN}, 0, false},
	{"too many workers", {.op = NODE_PRIV_UDP_OPEN, .u.udp.workers = 17}, 0, false},
	{"tiny MTU", {.op = NODE_PRIV_NET_MTU, .u.net.mtu = 67}, 0, false},
	{"huge MTU", {.op = NODE_PRIV_NET_MTU, .u.net.mtu = 65536}, 0, false},
	{"no family", {.op = NODE_PRIV_ADDR, .u.net.on = 1}, 0, false},
	{"long prefix",
	 {.op = NODE_PRIV_ROUTE, .u.net = {.on = 1, .prefix = {.ip.family = 4, .bits = 33}}},
	 0,
	 false},
	{"bytes after IPv4",
	 {.op = NODE_PRIV_ROUTE,
	  .u.net = {.on = 1, .prefix = {.ip = {.family = 4, .b = {[15] = 1}}, .bits = 8}}},
	 0,
	 false},
	{"address without a configuration",
	 {.op = NODE_PRIV_ADDR,
	  .u.net = {.on = 1, .prefix = {.ip = {.family = 4, .b = {10}}, .bits = 8}}},
	 0,
	 false},
	{"on is 2", {.op = NODE_PRIV_NET_UP, .u.net.on = 2}, 0, false},
	{"save without descriptor", {.op = NODE_PRIV_STATE_SAVE, .u.state.len = 1}, 0, false},
	{"save of nothing", {.op = NODE_PRIV_STATE_SAVE}, 0, true},
	{"save of too much", {.op = NODE_PRIV_STATE_SAVE, .u.state.len = (64u << 20) + 1}, 0, true},
	{"save of an unknown kind",
	 {.op = NODE_PRIV_STATE_SAVE, .u.state = {1, NODE_STATE_KIND_COUNT}},
	 0,
	 true},
	{"certificate too long",
	 {.op = NODE_PRIV_STATE_SAVE, .u.state = {NODE_PRIV_CERT_MAX + 1, NODE_STATE_KIND_CERT}},
	 0,
	 true},
	{"load of an unknown kind",
	 {.op = NODE_PRIV_STATE_LOAD, .u.state.kind = NODE_STATE_KIND_COUNT},
	 0,
	 false},
	{"hub without a family", {.op = NODE_PRIV_HUB_SOCKET}, 0, false},
	{"hub by another family", {.op = NODE_PRIV_HUB_SOCKET, .u.hub.family = 5}, 0, false},
	{"descriptor nobody asked for", {.op = NODE_PRIV_READY}, 0, true},
	{"unknown status", {.op = NODE_PRIV_EXIT, .u.exit.status = 77}, 0, false},
};

static int bad_index; /* inherited by the engine */

static int engine_malformed(const struct node_engine_start *start)
{
	const struct bad_case *c = &bad_cases[bad_index];
	int fd = STDIN_FILENO;

	if (start->restarts)
		return leave(NODE_EXIT_OK);
	node_wire_send(start->priv_fd, &c->req, c->len ? c->len : sizeof(c->req), &fd, c->with_fd);
	/* killed while it sleeps */
	nap_ms(10000);
	shared->failed = __LINE__;
	return NODE_EXIT_FAILED;
}

static void malformed_requests_end_the_engine(void)
{
	if (!harness_possible(TT_ARRAY_LEN(bad_cases)))
		return;
	for (bad_index = 0; bad_index < (int)TT_ARRAY_LEN(bad_cases); bad_index++) {
		harness_reset();
		int status = harness_run(engine_malformed);
		bool ok = status == 0 && shared->starts == 2 && shared->failed == 0 &&
			  harness_logged("priv.malformed") && harness_logged("signal=9");
		CU_ASSERT_TRUE(ok);
		if (!ok) {
			printf("  %s: status %d, %d starts\n", bad_cases[bad_index].name, status,
			       shared->starts);
			harness_show_log();
		}
		harness_remove_dir();
	}
}

/* --- many requests, and replies that are not read ----------------------------------------------
 */

static void count_done(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	node_wire_close(fds, reply->fds);
	if (reply->result == 0)
		++*(unsigned *)arg;
}

static int engine_flood(const struct node_engine_start *start)
{
	unsigned done = 0, sent = 0;
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(ask_udp(&r, fds, 0, 4) == 0);
	uint16_t port = r.u.udp.udp_port;
	node_wire_close(fds, r.fds);
	/* every reply brings descriptors, and nobody reads until all are asked for */
	for (; sent < 4096; sent++) {
		struct node_priv_request req = {.op = NODE_PRIV_UDP_OPEN,
						.u.udp = {.udp_port = port, .workers = 4}};
		ENGINE_CHECK(node_priv_send(priv, &req, -1, count_done, &done) == 0);
	}
	struct node_priv_request one_more = {.op = NODE_PRIV_UDP_COMMIT};
	ENGINE_CHECK(node_priv_send(priv, &one_more, -1, NULL, NULL) == -ENOBUFS);
	while (done < sent) {
		struct pollfd p = {node_priv_client_fd(priv),
				   POLLIN | (node_priv_wants_write(priv) ? POLLOUT : 0), 0};
		ENGINE_CHECK(poll(&p, 1, 5000) == 1);
		ENGINE_CHECK(node_priv_dispatch(priv) == 0);
	}
	return leave(NODE_EXIT_OK);
}

static void flood_is_answered_in_full(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_flood, 0);
}

/* --- requests that the configuration does not know -------------------------------------------- */

struct outside_case {
	const char *prefix, *routes; /* routes: a line of the file */
	uint32_t op, table, metric, fwmark;
	bool ok;
};

static const struct outside_case outside[] = {
	{"10.77.0.1/24", "", NODE_PRIV_ADDR, 0, 0, 0, true},
	{"10.77.0.2/24", "", NODE_PRIV_ADDR, 0, 0, 0, false},
	{"10.77.0.1/32", "", NODE_PRIV_ADDR, 0, 0, 0, false},
	{"192.168.50.0/24", "", NODE_PRIV_ADDR, 0, 0, 0, false},
	{"192.168.50.0/24", "", NODE_PRIV_ROUTE, 0, 0, 0, true},
	{"192.168.50.0/25", "", NODE_PRIV_ROUTE, 0, 0, 0, false},
	{"192.168.50.0/24", "", NODE_PRIV_ROUTE, 100, 0, 0, false},
	{"192.168.50.0/24", "", NODE_PRIV_ROUTE, 0, 1, 0, false},
	{"192.168.50.0/24", "table = 100\n", NODE_PRIV_ROUTE, 100, 0, 0, true},
	{"192.168.50.0/24", "routes = []\n", NODE_PRIV_ROUTE, 0, 0, 0, false},
	{"10.9.0.0/16", "routes = [\"10.9.0.0/16\"]\n", NODE_PRIV_ROUTE, 0, 0, 0, true},
	{"::/0", "", NODE_PRIV_ROUTE, 0, 0, 0, false},
	{"::/0", "", NODE_PRIV_DEFAULT_ROUTE, 51820, 0, 51820, true},
	{"::/0", "", NODE_PRIV_DEFAULT_ROUTE, 51883, 0, 51883, true},
	{"::/0", "", NODE_PRIV_DEFAULT_ROUTE, 51884, 0, 51884, false},
	{"::/0", "", NODE_PRIV_DEFAULT_ROUTE, 254, 0, 51820, false},
	{"::/0", "", NODE_PRIV_DEFAULT_ROUTE, 51820, 0, 1, false},
	{"::/0", "fwmark = 1\n", NODE_PRIV_DEFAULT_ROUTE, 51820, 0, 1, true},
	{"0.0.0.0/0", "", NODE_PRIV_DEFAULT_ROUTE, 51820, 0, 51820, false},
};
static int outside_index;

static int engine_outside(const struct node_engine_start *start)
{
	const struct outside_case *c = &outside[outside_index];
	struct node_priv_request req = {
		.u.net = {.on = 1, .table = c->table, .metric = c->metric, .fwmark = c->fwmark}};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	if (start->restarts)
		return leave(NODE_EXIT_OK);
	ENGINE_CHECK(load_config());
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	ENGINE_CHECK(net(NODE_PRIV_NET_UP, true, NULL, 0, &r) == 0);
	ENGINE_CHECK(tt_cidr_parse(c->prefix, &req.u.net.prefix) == 0);
	/* not every platform can do what is allowed */
	if (ask(c->op, &req, &r, NULL) != 0 && !c->ok)
		nap_ms(10000); /* killed while it sleeps */
	ENGINE_CHECK(c->ok);
	return leave(NODE_EXIT_OK);
}

static void only_what_is_configured(void)
{
	if (!harness_possible(TT_ARRAY_LEN(outside)))
		return;
	for (outside_index = 0; outside_index < (int)TT_ARRAY_LEN(outside); outside_index++) {
		const struct outside_case *c = &outside[outside_index];
		harness_reset();
		struct node_monitor_options opt = with_config(engine_outside, c->routes);
		int status = harness_wait(harness_start(&opt));
		bool ok = status == 0 && shared->failed == 0 && shared->starts == (c->ok ? 1 : 2) &&
			  harness_logged("priv.malformed") == !c->ok;
		CU_ASSERT_TRUE(ok);
		if (!ok) {
			printf("  %s: status %d, line %d, %d starts\n", c->prefix, status,
			       shared->failed, shared->starts);
			harness_show_log();
		}
		harness_remove_dir();
	}
}

/* --- crash
 * ---------------------------------------------------------------------------------------------- */

static int engine_crash(const struct node_engine_start *start)
{
	struct node_priv_reply tun, udp;
	int fds[NODE_PRIV_FDS_MAX];
	char *memory = mmap(NULL, NODE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			    start->memory_fd, 0);

	ENGINE_CHECK(memory != MAP_FAILED);
	if (!harness_portable()) /* sealed */
		ENGINE_CHECK(ftruncate(start->memory_fd, 0) < 0);
	ENGINE_CHECK(ask_tun(&tun, fds, 2) == 0);
	ENGINE_CHECK(ask_udp(&udp, fds, (uint16_t)shared->n[1], 2) == 0);
	if (start->restarts == 0) {
		strcpy(memory + NODE_MEMORY_BYTES - 64, "what was configured");
		shared->n[0] = tun.u.tun.ifindex;
		shared->n[1] = udp.u.udp.udp_port;
		ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
		kill(getpid(), SIGKILL);
	}
	ENGINE_CHECK(start->restarts == 1);
	ENGINE_CHECK(!strcmp(memory + NODE_MEMORY_BYTES - 64, "what was configured"));
	ENGINE_CHECK(shared->n[0] == tun.u.tun.ifindex);
	ENGINE_CHECK(shared->n[1] == udp.u.udp.udp_port);
	return leave(NODE_EXIT_OK);
}

static void crashed_engine_finds_everything_again(void)
{
	struct node_monitor_report report = {.status = -1};
	int ready[2];

	if (!harness_possible(1))
		return;
	harness_reset();
	struct node_monitor_options opt = harness_options(engine_crash);
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	opt.ready_fd = ready[1];
	int status = harness_wait(harness_start(&opt));
	close(ready[1]);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_EQUAL(shared->starts, 2);
	CU_ASSERT_EQUAL(read(ready[0], &report, sizeof(report)), sizeof(report));
	CU_ASSERT_EQUAL(report.status, 0);
	CU_ASSERT_TRUE(harness_logged("event=engine.crashed signal=9"));
	if (harness_portable())
		tt_test_skip(1, "no sealed memory on this platform");
	if (status || shared->failed) {
		printf("  status %d, engine failed at line %d\n", status, shared->failed);
		harness_show_log();
	}
	close(ready[0]);
	harness_remove_dir();
}

/* Serves, crashes, and its successors cannot start for a while. */
static int engine_recovers(const struct node_engine_start *start)
{
	if (start->restarts == 0) {
		ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
		kill(getpid(), SIGKILL);
	}
	return leave(start->restarts < 3 ? NODE_EXIT_FAILED : NODE_EXIT_OK);
}

static void failed_restart_is_tried_again(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	int status = harness_run(engine_recovers);
	CU_ASSERT_EQUAL(status, NODE_EXIT_OK);
	CU_ASSERT_EQUAL(shared->starts, 4);
	harness_remove_dir();
}

static int engine_crash_always(const struct node_engine_start *start)
{
	(void)start;
	abort();
}

static void engine_that_never_serves_ends_the_start(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	int status = harness_run(engine_crash_always);
	CU_ASSERT_EQUAL(status, NODE_EXIT_FAILED);
	CU_ASSERT_EQUAL(shared->starts, 3);
	harness_remove_dir();
}

/* --- resolver
 * ------------------------------------------------------------------------------------------ */

static int resolve(int fd, const char *host, struct node_resolver_answer *a)
{
	struct node_resolver_query q = {.id = 7, .udp_port = 51820};
	struct pollfd p = {fd, POLLIN, 0};

	snprintf(q.host, sizeof(q.host), "%s", host);
	if (node_resolver_ask(fd, &q) || poll(&p, 1, 5000) != 1)
		return -ETIMEDOUT;
	return node_resolver_read(fd, a);
}

static int engine_resolver(const struct node_engine_start *start)
{
	struct node_resolver_answer a;

	ENGINE_CHECK(resolve(start->resolver_fd, "10.1.2.3", &a) == 0 && a.count == 1);
	/* malformed: it ends, and is there again */
	ENGINE_CHECK(send(start->resolver_fd, "x", 1, 0) == 1);
	ENGINE_CHECK(resolve(start->resolver_fd, "fd77::1", &a) == 0 && a.count == 1);
	ENGINE_CHECK(a.id == 7 && a.addr[0].udp_port == 51820);
	return leave(NODE_EXIT_OK);
}

static void resolver_is_restarted(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_resolver, 0);
}

TT_TESTS("priv", {"engine has no rights", engine_has_no_rights},
	 {"tun is opened once", tun_is_opened_once},
	 {"net requests are done", net_requests_are_done},
	 {"udp group moves to another port", udp_group_moves_to_another_port},
	 {"the level of the log is the monitor's", the_level_is_the_monitors},
	 {"malformed requests end the engine", malformed_requests_end_the_engine},
	 {"only what is configured may be added", only_what_is_configured},
	 {"flood is answered in full", flood_is_answered_in_full},
	 {"crashed engine finds everything again", crashed_engine_finds_everything_again},
	 {"a restart that fails is tried again", failed_restart_is_tried_again},
	 {"engine that never serves ends the start", engine_that_never_serves_ends_the_start},
	 {"resolver is restarted", resolver_is_restarted})
