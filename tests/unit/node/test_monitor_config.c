/* SPDX-License-Identifier: MIT
 *
 * The monitor and the configuration: how it is loaded, committed and refused, and what it lets an
 * engine have: metrics, and the hub's sockets and files.
 */
#include "hub_files.h"
#include "monitor_harness.h"

#include "node/config.h"
#include "plat/memfile.h"

/* --- metrics ------------------------------------------------------------------------------------
 */

static int engine_asks_for_metrics(const struct node_engine_start *start)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	struct stat a, b;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	shared->n[0] = ask(NODE_PRIV_LISTEN_METRICS, &req, &r, fds);
	shared->n[1] = r.fds;
	strcpy(shared->text, r.error);
	if (r.fds) {
		ENGINE_CHECK(fstat(fds[0], &a) == 0);
		/* the same one, however often */
		ENGINE_CHECK(ask(NODE_PRIV_LISTEN_METRICS, &req, &r, fds) == 0 && r.fds == 1);
		ENGINE_CHECK(fstat(fds[0], &b) == 0 && a.st_ino == b.st_ino);
	}
	shared->step++;
	while (!shared->go)
		nap_ms(5);
	return leave(NODE_EXIT_OK);
}

static pid_t start_with_metrics(const struct node_config *settings)
{
	static struct node_monitor_options opt;

	harness_reset();
	opt = harness_options(engine_asks_for_metrics);
	opt.settings = settings;
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	return pid;
}

static void end_with_metrics(pid_t pid)
{
	shared->go = 1;
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
}

static void metrics_where_the_settings_say(void)
{
	static struct node_config settings;
	struct stat st;

	if (!harness_possible(1))
		return;
	/* nowhere */
	end_with_metrics(start_with_metrics(NULL));
	CU_ASSERT_TRUE(shared->n[0] == 0 && shared->n[1] == 0);

	const char *path = harness_path("metrics");
	snprintf(settings.metrics.path, sizeof(settings.metrics.path), "%s", path);
	pid_t pid = start_with_metrics(&settings);
	CU_ASSERT_TRUE(shared->n[0] == 0 && shared->n[1] == 1);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
	int client = harness_connect_to(path);
	CU_ASSERT_TRUE(client >= 0);
	close(client);
	end_with_metrics(pid);
	CU_ASSERT_TRUE(stat(path, &st) < 0 && errno == ENOENT);

	/* what is no socket stays */
	close(open(path, O_WRONLY | O_CREAT, 0600));
	end_with_metrics(start_with_metrics(&settings));
	CU_ASSERT_EQUAL(shared->n[0], -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(shared->text, path));
	CU_ASSERT_EQUAL(stat(path, &st), 0);

	settings = (struct node_config){0};
	CU_ASSERT_EQUAL(tt_endpoint_parse("127.0.0.1:9586", &settings.metrics.address), 0);
	end_with_metrics(start_with_metrics(&settings));
	CU_ASSERT_TRUE(shared->n[0] == 0 && shared->n[1] == 1);
	CU_ASSERT_EQUAL(tt_endpoint_parse("[2001:db8::1]:9586", &settings.metrics.address), 0);
	end_with_metrics(start_with_metrics(&settings));
	CU_ASSERT_EQUAL(shared->n[0], -EADDRNOTAVAIL);
	CU_ASSERT_PTR_NOT_NULL(strstr(shared->text, "[2001:db8::1]:9586"));
	harness_remove_dir();
}

/* --- configuration
 * ------------------------------------------------------------------------------------ */

static void write_config(const char *name, unsigned mtu)
{
	FILE *f = fopen(harness_path("node.toml"), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fchmod(fileno(f), 0600);
	fprintf(f,
		"[interface]\nname = \"%s\"\nmtu = %u\n"
		"private_key = \"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\"\n",
		name, mtu);
	fclose(f);
}

/* MTU of the configuration that the monitor hands out, or -errno with the text in shared. */
static long load_mtu(void)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	void *map;
	long mtu;

	if (ask(NODE_PRIV_CONFIG_LOAD, &req, &r, fds)) {
		strcpy(shared->text, r.error);
		return r.result;
	}
	int64_t size = plat_memfile_size(fds[0]);
	bool sealed = harness_portable() || (ftruncate(fds[0], 1) < 0 && write(fds[0], "x", 1) < 0);
	if (r.fds != 1 || size <= 0 || !sealed ||
	    plat_memfile_map(fds[0], (size_t)size, false, &map) ||
	    !node_config_valid(map, (size_t)size))
		return -EBADMSG;
	mtu = ((struct node_config *)map)->mtu;
	plat_memfile_unmap(map, (size_t)size);
	close(fds[0]);
	return mtu;
}

static void step_and_wait(void)
{
	int step = ++shared->step;

	while (shared->go < step)
		nap_ms(5);
}

static int engine_config(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	if (start->restarts == 0) {
		ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == -ENOENT);
		ENGINE_CHECK(load_mtu() == 1400);
		ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
		ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
		step_and_wait();
		/* another name cannot come by reload */
		ENGINE_CHECK(load_mtu() == -EBUSY && strstr(shared->text, "ttest1"));
		step_and_wait();
		ENGINE_CHECK(load_mtu() == -EINVAL);
		ENGINE_CHECK(strstr(shared->text, "node.toml:"));
		step_and_wait();
		/* loaded, but it crashes before it could be applied */
		ENGINE_CHECK(load_mtu() == 1300);
		abort();
	}
	ENGINE_CHECK(load_mtu() == 1400);
	ENGINE_CHECK(load_mtu() == 1300);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	return leave(NODE_EXIT_OK);
}

static void configuration_is_loaded_and_kept(void)
{
	struct stat lock;

	if (!harness_possible(1))
		return;
	harness_reset();
	write_config("ttest0", 1400);
	struct node_monitor_options opt = harness_options(engine_config);
	opt.mode = NODE_MODE_CONFIG;
	opt.name = NULL;
	opt.config_path = harness_path("node.toml");
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	/* who may open it may hold it */
	CU_ASSERT_EQUAL(stat(harness_path("ttest0.lock"), &lock), 0);
	CU_ASSERT_EQUAL(lock.st_mode & 077, 0);
	write_config("ttest1", 1400);
	shared->go = 1;
	CU_ASSERT_TRUE(harness_reached(2));
	write_config("ttest0", 100000);
	shared->go = 2;
	CU_ASSERT_TRUE(harness_reached(3));
	write_config("ttest0", 1300);
	shared->go = 3;
	int status = harness_wait(pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_EQUAL(shared->starts, 2);
	if (status || shared->failed) {
		printf("  status %d, line %d: %s\n", status, shared->failed, shared->text);
		harness_show_log();
	}
	if (harness_portable())
		tt_test_skip(1, "no sealed memory on this platform");
	harness_remove_dir();
}

static void write_metrics_config(const char *socket_name, const char *level)
{
	write_config("ttest0", 1400);
	FILE *f = fopen(harness_path("node.toml"), "a");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "[metrics]\nlisten = \"unix:%s\"\n[log]\nlevel = \"%s\"\n",
		harness_path(socket_name), level);
	fclose(f);
}

static long metrics_inode(void)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	struct stat st;

	if (ask(NODE_PRIV_LISTEN_METRICS, &req, &r, fds) != 0 || r.fds != 1)
		return -1;
	long inode = fstat(fds[0], &st) == 0 ? (long)st.st_ino : -1;
	close(fds[0]);
	return inode;
}

static int engine_refuses(const struct node_engine_start *start)
{
	(void)start;
	/* there is nothing yet */
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_REFUSE) == 0);
	ENGINE_CHECK(load_mtu() == 1400);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	long first = metrics_inode();
	ENGINE_CHECK(first > 0);
	step_and_wait();
	ENGINE_CHECK(load_mtu() == 1400);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_REFUSE) == 0);
	ENGINE_CHECK(metrics_inode() == first);
	/* what is in force stays so, and the log is as it was */
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_REFUSE) == 0 && metrics_inode() == first);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0 && metrics_inode() == first);
	ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
	return leave(NODE_EXIT_OK);
}

static void refused_configuration_is_forgotten(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	write_metrics_config("first.sock", "warn");
	struct node_monitor_options opt = harness_options(engine_refuses);
	opt.mode = NODE_MODE_CONFIG;
	opt.name = NULL;
	opt.config_path = harness_path("node.toml");
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	write_metrics_config("second.sock", "info");
	shared->go = 1;
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	if (shared->failed) {
		printf("  line %d: %s\n", shared->failed, shared->text);
		harness_show_log();
	}
	CU_ASSERT_FALSE(harness_logged("event=monitor.ready"));
	harness_remove_dir();
}

static int engine_bad_config(const struct node_engine_start *start)
{
	(void)start;
	ENGINE_CHECK(load_mtu() == -EINVAL);
	return leave(NODE_EXIT_CONFIG);
}

static void wrong_configuration_reaches_the_caller(void)
{
	struct node_monitor_report report = {0};
	int ready[2];

	if (!harness_possible(1))
		return;
	harness_reset();
	write_config("ttest0", 100000);
	struct node_monitor_options opt = harness_options(engine_bad_config);
	opt.mode = NODE_MODE_CONFIG;
	opt.name = NULL;
	opt.config_path = harness_path("node.toml");
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	opt.ready_fd = ready[1];
	CU_ASSERT_EQUAL(harness_wait(harness_start(&opt)), NODE_EXIT_CONFIG);
	close(ready[1]);
	CU_ASSERT_EQUAL(read(ready[0], &report, sizeof(report)), sizeof(report));
	CU_ASSERT_EQUAL(report.status, NODE_EXIT_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(report.text, "node.toml:3:"));
	close(ready[0]);
	harness_remove_dir();
}

/* --- the hub ------------------------------------------------------------------------------------
 */

static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\nBBB=\n-----END CERTIFICATE-----\n";

static int save_kind(enum node_state_kind kind, const char *text, struct node_priv_reply *r)
{
	struct node_priv_request req = {.op = NODE_PRIV_STATE_SAVE,
					.u.state = {.len = (uint32_t)strlen(text), .kind = kind}};
	int fd = plat_memfile_create("kept", strlen(text));

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -EIO;
	return node_priv_call(priv, &req, fd, r, NULL);
}

static int engine_without_hub(const struct node_engine_start *start)
{
	struct node_priv_request req = {.u.hub.family = TT_FAMILY_V4};
	struct node_priv_reply r;

	(void)start;
	ENGINE_CHECK(ask(NODE_PRIV_HUB_SOCKET, &req, &r, NULL) == -EPERM && r.error[0]);
	ENGINE_CHECK(save_kind(NODE_STATE_KIND_MAP, "map", &r) == -EPERM);
	ENGINE_CHECK(save_kind(NODE_STATE_KIND_CERT, pem, &r) == -EPERM);
	req.u.state.kind = NODE_STATE_KIND_MAP;
	ENGINE_CHECK(ask(NODE_PRIV_STATE_LOAD, &req, &r, NULL) == -EPERM);
	/* refused, and no reason to end: the state is saved as ever */
	ENGINE_CHECK(save_kind(NODE_STATE_KIND_STATE, "state", &r) == 0);
	return leave(NODE_EXIT_OK);
}

static void nothing_for_the_hub_without_one(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	HARNESS_ASSERT_RUN(engine_without_hub, 0);
}

static bool socket_is(int fd, int domain)
{
	int type = 0, got = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &got, &len) == 0 && got == domain &&
	       (fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void count_ok(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	(void)fds;
	*(unsigned *)arg += reply->result == 0;
}

/* Many at once: all are answered, and the last one stands. */
static int engine_many_maps(struct node_priv_reply *r)
{
	unsigned answered = 0;
	char text[16];

	for (int i = 0; i < 20; i++) {
		struct node_priv_request req = {.op = NODE_PRIV_STATE_SAVE,
						.u.state = {6, NODE_STATE_KIND_MAP}};
		int fd = plat_memfile_create("map", 6);
		snprintf(text, sizeof(text), "map %02d", i);
		ENGINE_CHECK(fd >= 0 && pwrite(fd, text, 6, 0) == 6);
		ENGINE_CHECK(node_priv_send(priv, &req, fd, count_ok, &answered) == 0);
	}
	ENGINE_CHECK(save_kind(NODE_STATE_KIND_MAP, "last map", r) == 0);
	node_priv_dispatch(priv);
	ENGINE_CHECK(answered == 20);
	return 0;
}

static int engine_hub(const struct node_engine_start *start)
{
#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"
	static const char *const no_certificates[] = {
		"x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n", (CERTIFICATE CERTIFICATE),
		"-----BEGIN CERTIFICATE-----\nA\rA\n-----END CERTIFICATE-----\n"};
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	char buf[256] = "";

	(void)start;
	ENGINE_CHECK(load_mtu() == 0);
	req.u.hub.family = TT_FAMILY_V4;
	ENGINE_CHECK(ask(NODE_PRIV_HUB_SOCKET, &req, &r, fds) == 0 && r.fds == 1);
	ENGINE_CHECK(socket_is(fds[0], AF_INET));
	close(fds[0]);
	req.u.hub.family = TT_FAMILY_V6;
	ENGINE_CHECK(ask(NODE_PRIV_HUB_SOCKET, &req, &r, fds) == 0 && r.fds == 1);
	ENGINE_CHECK(socket_is(fds[0], AF_INET6));
	close(fds[0]);
	ENGINE_CHECK(tell(NODE_PRIV_CONFIG_COMMIT) == 0);
	for (size_t i = 0; i < TT_ARRAY_LEN(no_certificates); i++)
		ENGINE_CHECK(save_kind(NODE_STATE_KIND_CERT, no_certificates[i], &r) == -EINVAL);
	ENGINE_CHECK(save_kind(NODE_STATE_KIND_CERT, pem, &r) == 0);
	req = (struct node_priv_request){.u.state.kind = NODE_STATE_KIND_CERT};
	ENGINE_CHECK(ask(NODE_PRIV_STATE_LOAD, &req, &r, fds) == 0 && r.fds == 1);
	ENGINE_CHECK(read(fds[0], buf, sizeof(buf)) == (ssize_t)strlen(pem) && !strcmp(buf, pem));
	close(fds[0]);
	ENGINE_CHECK(engine_many_maps(&r) == 0);
	return leave(NODE_EXIT_OK);
}

static void write_hub_config(void)
{
	struct hub_files h;
	FILE *f = fopen(harness_path("node.toml"), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "[interface]\nname = \"ttest0\"\n"
		   "private_key = \"" HUB_FILES_KEY "\"\n[hub]\nserver = \"hub.example.com\"\n");
	fclose(f);
	chmod(harness_path("node.toml"), 0600);
	hub_files_make(&h, harness_path("ttest0.hub"));
}

static void hub_gets_sockets_and_files(void)
{
	char buf[16] = "";
	struct stat st;

	if (!harness_possible(1))
		return;
	harness_reset();
	write_hub_config();
	struct node_monitor_options opt = harness_options(engine_hub);
	opt.mode = NODE_MODE_CONFIG;
	opt.name = NULL;
	opt.config_path = harness_path("node.toml");
	int status = harness_wait(harness_start(&opt));
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	if (status || shared->failed) {
		printf("  status %d, line %d: %s\n", status, shared->failed, shared->text);
		harness_show_log();
	}
	int fd = open(harness_path("ttest0.map"), O_RDONLY);
	CU_ASSERT_EQUAL(read(fd, buf, sizeof(buf)), 8);
	CU_ASSERT_STRING_EQUAL(buf, "last map");
	CU_ASSERT(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600);
	close(fd);
	CU_ASSERT(access(harness_path("ttest0.hub/node.crt.new"), F_OK) < 0);
	CU_ASSERT(access(harness_path("ttest0.state"), F_OK) < 0);
	harness_remove_dir();
}

TT_TESTS("monitor_config", {"configuration is loaded and kept", configuration_is_loaded_and_kept},
	 {"wrong configuration reaches the caller", wrong_configuration_reaches_the_caller},
	 {"refused configuration is forgotten", refused_configuration_is_forgotten},
	 {"metrics where the settings say", metrics_where_the_settings_say},
	 {"nothing for the hub without one", nothing_for_the_hub_without_one},
	 {"hub gets sockets and files", hub_gets_sockets_and_files})
