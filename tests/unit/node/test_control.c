/* SPDX-License-Identifier: MIT
 *
 * The control socket over a real Unix socket and a real loop.
 */
#include "node/control.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/control_stream.h"
#include "node/device_impl.h"
#include "node/mesh.h"
#include "node_sim.h"
#include "tt_test.h"

static struct node_sim sim;
static uv_loop_t loop;
static struct node_control *control;
static char path[64];
static unsigned reloads, stops;
static const char *reload_error;
static enum node_control_kind reload_kind;

static void describe(void *ctx, struct node_control_about *about)
{
	(void)ctx;
	*about = (struct node_control_about){.version = "test",
					     .mode = "config",
					     .config_file = "/x.toml",
					     .aead = "libsodium",
					     .poll = "adaptive"};
}

static void reload(void *ctx, node_control_done done, void *arg)
{
	(void)ctx;
	reloads++;
	done(arg, reload_kind, reload_error);
}

static void stop(void *ctx)
{
	(void)ctx;
	stops++;
}

static int level_result;

static int log_level(void *ctx, enum tt_log_level level)
{
	(void)ctx;
	if (!level_result)
		tt_log_set_level(level);
	return level_result;
}

static void serve(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct node_control_ops ops = {
		.describe = describe, .reload = reload, .stop = stop, .log_level = log_level};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	signal(SIGPIPE, SIG_IGN); /* as the monitor does for its children */
	node_sim_open(&sim);
	ops.device = sim.device;
	snprintf(path, sizeof(path), "/tmp/tt-control.%d", (int)getpid());
	unlink(path);
	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	uv_loop_init(&loop);
	CU_ASSERT_EQUAL_FATAL(node_control_serve(&loop, fd, &ops, &control), 0);
}

static void unserve(void)
{
	node_control_stop(control);
	while (uv_run(&loop, UV_RUN_NOWAIT))
		;
	uv_loop_close(&loop);
	unlink(path);
	node_sim_close(&sim);
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Runs the loop until a line has come back; the object, or NULL where the server closed. */
static json_t *answer(int fd)
{
	static char buf[1 << 20];
	size_t len = 0;

	for (int i = 0; i < 2000; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ssize_t n = read(fd, buf + len, sizeof(buf) - len - 1);
		if (n == 0)
			return NULL;
		len += n > 0 ? (size_t)n : 0;
		buf[len] = 0;
		if (len && buf[len - 1] == '\n')
			return json_loads(buf, 0, NULL);
		usleep(500);
	}
	return NULL;
}

static json_t *ask(int fd, const char *line)
{
	CU_ASSERT_EQUAL(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	return answer(fd);
}

static bool ok(json_t *reply)
{
	return json_is_true(json_object_get(reply, "ok"));
}

static void status_of_a_device(void)
{
	struct node_peer *p;
	uint8_t key[32] = {5};

	serve();
	node_device_add_peer(sim.device, key, &p);
	node_peer_set_name(p, "office \"x\"\n");
	sim.device->wg->future_stamps = 3;
	int fd = dial();
	json_t *r = ask(fd, "{\"v\":1,\"op\":\"status\"}\n");
	CU_ASSERT(ok(r));
	json_t *s = json_object_get(r, "status");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(s, "interface")), "sim0");
	json_t *peer = json_array_get(json_object_get(s, "peers"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(peer, "name")), "office \"x\"\n");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(peer, "status")), "never");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(s, "future_stamps")), 3);
	json_decref(r);
	close(fd);
	unserve();
}

/* For who asks every second. */
static void status_without_allowed_ips(void)
{
	static const struct {
		const char *request;
		bool has;
	} cases[] = {
		{"{\"v\":1,\"op\":\"status\"}\n", true},
		{"{\"v\":1,\"op\":\"status\",\"without\":\"allowed_ips\"}\n", false},
		{"{\"v\":1,\"op\":\"status\",\"without\":\"peers\"}\n", true},
		{"{\"v\":1,\"op\":\"status\",\"without\":[\"allowed_ips\"]}\n", true},
	};
	struct node_peer *p;
	uint8_t key[32] = {5};

	serve();
	node_device_add_peer(sim.device, key, &p);
	int fd = dial();
	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		json_t *r = ask(fd, cases[i].request);
		json_t *list = json_object_get(json_object_get(r, "status"), "peers");
		CU_ASSERT(ok(r));
		CU_ASSERT_EQUAL(json_array_size(list), 1);
		CU_ASSERT_EQUAL(
			json_is_array(json_object_get(json_array_get(list, 0), "allowed_ips")),
			cases[i].has);
		json_decref(r);
	}
	close(fd);
	unserve();
}

static void operations(void)
{
	serve();
	int fd = dial();
	json_t *r = ask(fd, "{\"v\":1,\"op\":\"reload\"}\n");
	CU_ASSERT(ok(r) && reloads == 1);
	json_decref(r);
	reload_error = "x.toml:3:1: wrong";
	reload_kind = NODE_CONTROL_FAILED;
	r = ask(fd, "{\"v\":1,\"op\":\"reload\"}\n");
	CU_ASSERT(!ok(r));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "kind")), "failed");
	json_decref(r);
	reload_kind = NODE_CONTROL_CONFIG;
	r = ask(fd, "{\"v\":1,\"op\":\"reload\"}\n");
	CU_ASSERT(!ok(r));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "kind")), "config");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "error")), reload_error);
	json_decref(r);
	r = ask(fd, "{\"v\":1,\"op\":\"stop\"}\n");
	CU_ASSERT(ok(r) && stops == 1);
	json_decref(r);
	close(fd);
	unserve();
}

static bool level_is(int fd, const char *request, const char *level)
{
	json_t *r = ask(fd, request);
	const char *got = json_string_value(json_object_get(r, "level"));
	bool is = ok(r) && got && strcmp(got, level) == 0;

	json_decref(r);
	return is;
}

static void level_changes(void)
{
	enum tt_log_level before = tt_log_get_level();

	serve();
	tt_log_set_level(TT_LOG_WARN);
	int fd = dial();
	CU_ASSERT_TRUE(level_is(fd, "{\"v\":1,\"op\":\"log-level\"}\n", "warn"));
	CU_ASSERT_TRUE(
		level_is(fd, "{\"v\":1,\"op\":\"log-level\",\"level\":\"debug\"}\n", "debug"));
	CU_ASSERT_TRUE(level_is(fd, "{\"v\":1,\"op\":\"log-level\"}\n", "debug"));
	level_result = -ENOBUFS; /* the monitor is told first */
	json_t *r = ask(fd, "{\"v\":1,\"op\":\"log-level\",\"level\":\"error\"}\n");
	CU_ASSERT(!ok(r));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "kind")), "failed");
	json_decref(r);
	level_result = 0;
	CU_ASSERT_EQUAL(tt_log_get_level(), TT_LOG_DEBUG);
	close(fd);
	unserve();
	tt_log_set_level(before);
}

/* Two requests in one packet: the second is not left lying until a third comes. */
static void two_at_once(void)
{
	serve();
	stops = 0;
	int fd = dial();
	json_t *r = ask(fd, "{\"v\":1,\"op\":\"status\"}\n{\"v\":1,\"op\":\"stop\"}\n");
	json_decref(r);
	for (int i = 0; i < 100 && !stops; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(stops, 1);
	close(fd);
	unserve();
}

static void bad_requests(void)
{
	static const char *const lines[] = {"\n",
					    "nonsense\n",
					    "[]\n",
					    "{}\n",
					    "{\"v\":2,\"op\":\"status\"}\n",
					    "{\"v\":\"1\",\"op\":\"status\"}\n",
					    "{\"v\":1}\n",
					    "{\"v\":1,\"op\":\"format\"}\n",
					    "{\"v\":1,\"op\":7}\n",
					    "{\"v\":1,\"op\":\"log-level\",\"level\":\"loud\"}\n",
					    "{\"v\":1,\"op\":\"log-level\",\"level\":3}\n",
					    "{\"v\":1,\"v\":1,\"op\":\"stop\"}\n",
					    "\xff\xfe\n"};

	serve();
	stops = 0;
	for (size_t i = 0; i < TT_ARRAY_LEN(lines); i++) {
		int fd = dial();
		json_t *r = ask(fd, lines[i]);
		CU_ASSERT(r && !ok(r));
		json_decref(r);
		close(fd);
	}
	CU_ASSERT_EQUAL(stops, 0);
	unserve();
}

static void bounds(void)
{
	static char lot[8192];
	int fds[NODE_CONTROL_CLIENTS_MAX + 8];

	serve();
	int fd = dial();
	memset(lot, 'x', sizeof(lot));
	CU_ASSERT(write(fd, lot, sizeof(lot)) > 0);
	json_t *r = answer(fd);
	CU_ASSERT(!ok(r));
	json_decref(r);
	close(fd);
	for (size_t i = 0; i < TT_ARRAY_LEN(fds); i++) {
		fds[i] = dial();
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	/* those within the bound are served, those beyond it are closed */
	r = ask(fds[0], "{\"v\":1,\"op\":\"status\"}\n");
	CU_ASSERT(ok(r));
	json_decref(r);
	CU_ASSERT_PTR_NULL(answer(fds[NODE_CONTROL_CLIENTS_MAX + 7]));
	for (size_t i = 0; i < TT_ARRAY_LEN(fds); i++)
		close(fds[i]);
	unserve();
}

/* --- events ------------------------------------------------------------------------------------
 */

static const char *text_of(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static void emit_path(const char *why)
{
	const struct node_mesh_event e = {.kind = NODE_MESH_PATH_CHANGED,
					  .peer = "office \"x\"",
					  .path = MESH_PATH_PUNCHED,
					  .path_was = MESH_PATH_RELAY_UDP,
					  .why = why};

	node_events_mesh(control, &e);
}

static void events_reach_those_who_listen(void)
{
	const struct node_event roam = {
		.kind = NODE_EVENT_ROAM,
		.why = "moved",
		.endpoint = {.ip = {.family = TT_FAMILY_V4, .b = {192, 0, 2, 1}}, .udp_port = 7}};

	serve();
	node_events_emit(NULL, &roam);
	node_events_emit(control, &roam); /* nobody listens */
	int fd = dial(), other = dial();
	json_t *r = ask(fd, "{\"v\":1,\"op\":\"events\"}\n");
	CU_ASSERT(ok(r));
	json_decref(r);
	CU_ASSERT_EQUAL(node_control_listeners(control), 1);
	emit_path("a better path");
	r = answer(fd);
	CU_ASSERT_STRING_EQUAL(text_of(r, "event"), "path");
	CU_ASSERT_STRING_EQUAL(text_of(r, "interface"), "sim0");
	CU_ASSERT_STRING_EQUAL(text_of(r, "peer"), "office \"x\"");
	CU_ASSERT_STRING_EQUAL(text_of(r, "path"), "punched");
	CU_ASSERT_STRING_EQUAL(text_of(r, "path_was"), "relay_udp");
	CU_ASSERT_STRING_EQUAL(text_of(r, "why"), "a better path");
	CU_ASSERT(json_number_value(json_object_get(r, "time")) > 1e9);
	json_decref(r);
	node_events_emit(control, &roam);
	r = answer(fd);
	CU_ASSERT_STRING_EQUAL(text_of(r, "event"), "roam");
	CU_ASSERT_STRING_EQUAL(text_of(r, "endpoint"), "192.0.2.1:7");
	json_decref(r);
	/* who asks has heard nothing of it, and is served meanwhile */
	r = ask(other, "{\"v\":1,\"op\":\"status\"}\n");
	CU_ASSERT(json_is_object(json_object_get(r, "status")));
	json_decref(r);
	/* who listens has nothing more to say */
	CU_ASSERT(write(fd, "{\"v\":1,\"op\":\"stop\"}\n", 21) > 0);
	stops = 0;
	for (int i = 0; i < 50; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(stops, 0);
	close(fd);
	for (int i = 0; i < 100 && node_control_listeners(control); i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(node_control_listeners(control), 0);
	close(other);
	unserve();
}

/* A listener that does not read costs a bounded amount, and then its place. */
static void a_deaf_listener_goes(void)
{
	int fds[NODE_CONTROL_LISTENERS_MAX + 1];
	unsigned sent = 0;

	serve();
	for (unsigned i = 0; i <= NODE_CONTROL_LISTENERS_MAX; i++) {
		fds[i] = dial();
		json_t *r = ask(fds[i], "{\"v\":1,\"op\":\"events\"}\n");
		CU_ASSERT_EQUAL(ok(r), i < NODE_CONTROL_LISTENERS_MAX);
		json_decref(r);
	}
	while (node_control_listeners(control) && sent < 100000) {
		emit_path("again");
		sent++;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	CU_ASSERT_EQUAL(node_control_listeners(control), 0);
	CU_ASSERT(sent > 100 && sent < 100000);
	for (unsigned i = 0; i <= NODE_CONTROL_LISTENERS_MAX; i++)
		close(fds[i]);
	unserve();
}

static void status_has_no_hub(void)
{
	serve();
	int fd = dial();
	json_t *r = ask(fd, "{\"v\":1,\"op\":\"status\"}\n");
	CU_ASSERT(json_is_null(json_object_get(json_object_get(r, "status"), "hub")));
	json_decref(r);
	close(fd);
	unserve();
}

TT_TESTS("control", {"status of a device", status_of_a_device},
	 {"status without allowed IPs", status_without_allowed_ips}, {"operations", operations},
	 {"the level of the log changes", level_changes}, {"two requests at once", two_at_once},
	 {"bad requests", bad_requests}, {"bounds", bounds},
	 {"events reach those who listen", events_reach_those_who_listen},
	 {"a deaf listener goes", a_deaf_listener_goes}, {"status has no hub", status_has_no_hub})
