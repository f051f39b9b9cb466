/* SPDX-License-Identifier: MIT
 *
 * The monitor and [gateway]: the firewall's table and the forwarding sysctls of a namespace.
 */
#include "monitor_harness.h"

#include <sys/file.h>

static struct node_monitor_options options(int (*run)(const struct node_engine_start *))
{
	struct node_monitor_options opt = harness_options(run);

	opt.mode = NODE_MODE_CONFIG;
	opt.config_path = harness_path("node.toml");
	return opt;
}

static void write_config(const char *gateway)
{
	FILE *f = fopen(harness_path("node.toml"), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fchmod(fileno(f), 0600);
	fprintf(f,
		"[interface]\nname = \"ttest0\"\naddress = [\"10.77.0.1/24\", \"fd77::1/64\"]\n"
		"private_key = \"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\"\n%s",
		gateway);
	fclose(f);
}

/* In the namespace of a process. */
static int in_ns_of(pid_t pid, const char *command)
{
	char text[512];

	snprintf(text, sizeof(text), "nsenter -t %d -n %s >/dev/null 2>&1", (int)pid, command);
	return system(text);
}

static bool soon(pid_t pid, const char *command)
{
	for (int i = 0; i < 1000; i++) {
		if (in_ns_of(pid, command) == 0)
			return true;
		nap_ms(10);
	}
	return false;
}

#define TABLE	  "nft list table inet taltun_ttest0"
#define FORWARDS  "grep -q 1 /proc/sys/net/ipv4/ip_forward"
#define FORWARDS6 "grep -q 1 /proc/sys/net/ipv6/conf/all/forwarding"

static bool has_nft(void)
{
	if (!harness_possible(1))
		return false;
	if (harness_portable() || system("nft --version >/dev/null 2>&1") != 0) {
		tt_test_skip(1, "needs nft");
		return false;
	}
	return true;
}

static int gateway(struct node_priv_reply *r)
{
	struct node_priv_request req = {0};
	int fds[NODE_PRIV_FDS_MAX];

	return ask(NODE_PRIV_GATEWAY, &req, r, fds);
}

static int load(void)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX], err;

	err = ask(NODE_PRIV_CONFIG_LOAD, &req, &r, fds);
	if (err)
		strcpy(shared->text, r.error);
	else
		close(fds[0]);
	return err;
}

static void go_wait(int go)
{
	while (shared->go < go)
		nap_ms(5);
}

/* The next byte of the monitor, or 0. */
static char heard(const struct node_engine_start *start)
{
	struct pollfd p = {start->signal_fd, POLLIN, 0};
	char byte = 0;

	return poll(&p, 1, 10000) == 1 && read(start->signal_fd, &byte, 1) == 1 ? byte : 0;
}

static int engine_gateway(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	ENGINE_CHECK(gateway(&r) == -EINVAL && r.error[0]); /* before everything */
	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(gateway(&r) == -EINVAL); /* before the interface */
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_ON);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.restored == 0); /* as a restarted one does */
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	shared->step = 1;
	ENGINE_CHECK(heard(start) == NODE_SIGNAL_FIREWALL_RESTORED);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.restored == 1);
	shared->step = 2;
	go_wait(1);
	ENGINE_CHECK(gateway(&r) == 0);
	shared->step = 3;
	go_wait(2);
	/* what is loaded counts before it is committed */
	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_OFF);
	shared->step = 4;
	go_wait(3);
	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_ON);
	shared->step = 5;
	ENGINE_CHECK(heard(start) == NODE_SIGNAL_STOP);
	return NODE_EXIT_OK;
}

static void firewall_and_forwarding(void)
{
	static const char on[] = "[gateway]\nfirewall = true\nip_forward = true\n"
				 "masquerade = [\"eth0\"]\n";

	if (!has_nft())
		return;
	harness_reset();
	write_config(on);
	struct node_monitor_options opt = options(engine_gateway);
	/* as anybody can who may list the folder */
	int folder = open(harness_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(flock(folder, LOCK_EX), 0);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE_FATAL(harness_reached(1));
	close(folder);
	/* the namespace lives on after the monitor */
	CU_ASSERT_EQUAL(in_ns_of(pid, TABLE), 0);
	CU_ASSERT_EQUAL(in_ns_of(pid, FORWARDS), 0);
	CU_ASSERT_EQUAL(in_ns_of(pid, FORWARDS6), 0);
	CU_ASSERT_EQUAL(access(harness_path("ttest0.nft"), R_OK), 0);
	CU_ASSERT_EQUAL(access(harness_path("ttest0.forward"), R_OK), 0);
	CU_ASSERT_EQUAL(in_ns_of(pid, "nft flush ruleset"), 0);
	CU_ASSERT_TRUE(harness_reached(2));
	CU_ASSERT_TRUE(soon(pid, TABLE));
	CU_ASSERT_TRUE(harness_logged("event=firewall.restored was=removed by=nft"));
	/* what somebody has taken back, a reload sets again */
	CU_ASSERT_EQUAL(in_ns_of(pid, "sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'"), 0);
	shared->go = 1;
	CU_ASSERT_TRUE(harness_reached(3));
	CU_ASSERT_EQUAL(in_ns_of(pid, FORWARDS), 0);
	write_config("[gateway]\nfirewall = false\n");
	shared->go = 2;
	CU_ASSERT_TRUE(harness_reached(4));
	CU_ASSERT_NOT_EQUAL(in_ns_of(pid, TABLE), 0);
	CU_ASSERT_NOT_EQUAL(in_ns_of(pid, FORWARDS), 0);
	CU_ASSERT_TRUE(access(harness_path("ttest0.nft"), F_OK) < 0);
	write_config(on);
	shared->go = 3;
	CU_ASSERT_TRUE(harness_reached(5));
	CU_ASSERT_EQUAL(in_ns_of(pid, TABLE), 0);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_TRUE(access(harness_path("ttest0.nft"), F_OK) < 0);
	CU_ASSERT_TRUE(access(harness_path("ttest0.forward"), F_OK) < 0);
	if (shared->failed) {
		printf("  engine failed at line %d: %s\n", shared->failed, shared->text);
		harness_show_log();
	}
	harness_remove_dir();
}

/* One that asks where `wg` configures the node. */
static int engine_uapi(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	ENGINE_CHECK(gateway(&r) == -EINVAL && r.error[0]);
	return leave(NODE_EXIT_OK);
}

static void nobody_asks_without_a_file(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_uapi, 0);
}

static int engine_insists(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	shared->n[0] = gateway(&r);
	shared->n[1] = r.u.gateway.firewall;
	strcpy(shared->text, r.error);
	return leave(NODE_EXIT_OK);
}

/* nft is looked for where PATH says. */
static void without_nft(const char *config, long want, const char *text)
{
	char *path = strdup(getenv("PATH"));

	harness_reset();
	write_config(config);
	struct node_monitor_options opt = options(engine_insists);
	setenv("PATH", "/nonexistent", 1);
	pid_t pid = harness_start(&opt);
	setenv("PATH", path, 1);
	free(path);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_EQUAL(shared->n[0], want);
	CU_ASSERT_EQUAL(shared->n[1], NODE_GATEWAY_MISSING);
	CU_ASSERT_TRUE(harness_logged(text) || strstr(shared->text, text));
	harness_remove_dir();
}

static void no_firewall_program(void)
{
	if (!has_nft())
		return;
	without_nft("[gateway]\nfirewall = true\nsubnets = []\n", -ENOENT,
		    "firewall = true, and it cannot be made: nft is not installed");
	without_nft("[gateway]\nsubnets = []\n", 0, "event=firewall.missing");
}

/* --- a file that is refused ---------------------------------------------------------------------
 */

static int engine_refuses(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_ON);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	if (start->restarts) {
		shared->step = 2;
		return leave(NODE_EXIT_OK);
	}
	ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
	shared->step = 1;
	go_wait(1);
	/* taken, and not into use: it changes what cannot change */
	ENGINE_CHECK(load() == 0);
	abort();
}

static void refused_is_forgotten(void)
{
	if (!has_nft())
		return;
	harness_reset();
	write_config("[gateway]\nfirewall = true\nmasquerade = [\"eth0\"]\n");
	struct node_monitor_options opt = options(engine_refuses);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	write_config("[gateway]\nfirewall = false\n[datapath]\nworkers = 2\n");
	shared->go = 1;
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->step, 2);
	CU_ASSERT_EQUAL(shared->failed, 0);
	harness_remove_dir();
}

/* --- what is left behind ------------------------------------------------------------------------
 */

static int engine_left(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_ON);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	shared->step = 1;
	go_wait(1);
	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_OFF);
	shared->step = 2;
	ENGINE_CHECK(heard(start) == NODE_SIGNAL_STOP);
	return NODE_EXIT_OK;
}

/* An nft that fails while there is a file "refuse". */
static void make_unwilling_nft(void)
{
	FILE *f = fopen(harness_path("nft"), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "#!/bin/sh\n[ ! -e %s ] || { echo no >&2; exit 1; }\nPATH=%s exec nft \"$@\"\n",
		harness_path("refuse"), getenv("PATH"));
	fchmod(fileno(f), 0755);
	fclose(f);
}

/* A daemon of the same name finds it, and leaves it alone; at the end it is removed after all. */
static void left_is_removed_later(void)
{
	char *path = strdup(getenv("PATH")), text[512];

	if (!has_nft())
		return;
	harness_reset();
	make_unwilling_nft();
	write_config("[gateway]\nfirewall = true\nmasquerade = [\"eth0\"]\n");
	struct node_monitor_options opt = options(engine_left),
				    other = harness_options(engine_uapi);
	snprintf(text, sizeof(text), "%s:%s", harness_dir, path);
	setenv("PATH", text, 1);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE_FATAL(harness_reached(1));
	CU_ASSERT_NOT_EQUAL(harness_wait(harness_start(&other)), 0);
	CU_ASSERT_EQUAL(access(harness_path("ttest0.nft"), F_OK), 0);
	int fd = open(harness_path("refuse"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	write_config("[gateway]\nfirewall = false\n");
	shared->go = 1;
	CU_ASSERT_TRUE(harness_reached(2));
	CU_ASSERT_TRUE(harness_logged("event=firewall.left reason=no"));
	unlink(harness_path("refuse"));
	close(fd);
	CU_ASSERT_EQUAL(in_ns_of(pid, TABLE), 0);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_TRUE(access(harness_path("ttest0.nft"), F_OK) < 0);
	setenv("PATH", path, 1);
	free(path);
	harness_remove_dir();
}

/* --- many prefixes ------------------------------------------------------------------------------
 */

/* Its making is not taken for somebody else's, though the kernel has much to tell of it. */
static int engine_large(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	ENGINE_CHECK(load() == 0);
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.firewall == NODE_GATEWAY_ON);
	struct pollfd p = {start->signal_fd, POLLIN, 0};
	ENGINE_CHECK(poll(&p, 1, 500) == 0);
	ENGINE_CHECK(gateway(&r) == 0 && r.u.gateway.restored == 0);
	return leave(NODE_EXIT_OK);
}

static void large_table(void)
{
	static char text[1 << 18];
	size_t n;

	if (!has_nft())
		return;
	harness_reset();
	n = (size_t)snprintf(text, sizeof(text),
			     "[gateway]\nfirewall = true\nsubnets = [\"10.1.0.0/16\"]\n[[peer]]\n"
			     "public_key = \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"\n"
			     "allowed_ips = [");
	for (unsigned i = 0; i < 5000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "\"fd78:%x::/64\",", i);
	snprintf(text + n, sizeof(text) - n, "]\n");
	write_config(text);
	struct node_monitor_options opt = options(engine_large);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_FALSE(harness_logged("event=firewall.restored"));
	if (shared->failed)
		harness_show_log();
	harness_remove_dir();
}

TT_TESTS("monitor_gateway", {"firewall and forwarding", firewall_and_forwarding},
	 {"nobody asks without a file", nobody_asks_without_a_file},
	 {"no firewall program", no_firewall_program},
	 {"what was refused is forgotten", refused_is_forgotten},
	 {"what is left is removed later", left_is_removed_later}, {"a large table", large_table})
