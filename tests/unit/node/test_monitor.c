/* SPDX-License-Identifier: MIT
 *
 * The monitor as a supervisor: signals, sudden ends, sockets, lock and state. What it does
 * for the configuration is in test_monitor_config.c.
 */
#include "monitor_harness.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "node/monitor_impl.h"
#include "plat/memfile.h"

/* --- signals
 * -------------------------------------------------------------------------------------- */

static int engine_signals(const struct node_engine_start *start)
{
	struct pollfd p = {start->signal_fd, POLLIN, 0};
	char byte;

	ENGINE_CHECK(tell(NODE_PRIV_READY) == 0);
	shared->step = 1;
	ENGINE_CHECK(poll(&p, 1, 10000) == 1 && read(start->signal_fd, &byte, 1) == 1);
	ENGINE_CHECK(byte == NODE_SIGNAL_RELOAD);
	shared->step = 2;
	ENGINE_CHECK(poll(&p, 1, 10000) == 1 && read(start->signal_fd, &byte, 1) == 1);
	ENGINE_CHECK(byte == NODE_SIGNAL_STOP);
	return NODE_EXIT_OK;
}

static void signals_reach_the_engine(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	struct node_monitor_options opt = harness_options(engine_signals);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	kill(pid, SIGHUP);
	CU_ASSERT_TRUE(harness_reached(2));
	/* to the whole group, as a terminal does: the engine shrugs it off */
	kill(shared->engine_pid, SIGINT);
	kill(pid, SIGINT);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_EQUAL(shared->starts, 1);
	harness_remove_dir();
}

static int engine_deaf(const struct node_engine_start *start)
{
	(void)start;
	shared->step = 1;
	nap_ms(60000);
	return NODE_EXIT_OK;
}

static void engine_that_does_not_stop_is_killed(void)
{
	struct tt_mono before;
	uint64_t ms;

	if (!harness_possible(1))
		return;
	harness_reset();
	struct node_monitor_options opt = harness_options(engine_deaf);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	before = plat_clock_mono();
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	ms = tt_mono_since(plat_clock_mono(), before) / TT_NS_PER_MS;
	CU_ASSERT_TRUE(ms >= 1900 && ms < 4000);
	CU_ASSERT_EQUAL(shared->starts, 1);
	harness_remove_dir();
}

/* --- kill -9
 * ---------------------------------------------------------------------------------------- */

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 500; i++) {
		/* orphans are ours here: see PR_SET_CHILD_SUBREAPER */
		waitpid(pid, NULL, WNOHANG);
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return true;
		nap_ms(10);
	}
	return false;
}

static int engine_waits(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	(void)start;
	ENGINE_CHECK(ask_tun(&r, fds, 1) == 0);
	shared->step = 1;
	/* killed along; or where no system call orders that, its channel ends */
	struct pollfd channel = {.fd = harness_portable() ? start->priv_fd : -1, .events = POLLIN};
	poll(&channel, 1, 60000);
	return NODE_EXIT_OK;
}

static void killed_monitor_takes_all_along(void)
{
	if (!harness_possible(1))
		return;
	harness_reset();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	struct node_monitor_options opt = harness_options(engine_waits);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(harness_wait(pid), 128 + SIGKILL);
	CU_ASSERT_TRUE(is_gone(shared->engine_pid));
	/* whoever else was left to us has ended too */
	for (int i = 0; i < 500 && waitpid(-1, NULL, WNOHANG) >= 0; i++)
		nap_ms(10);
	CU_ASSERT_TRUE(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	/* its lock has gone with it */
	shared->step = 0;
	pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	harness_remove_dir();
}

/* --- sockets
 * ------------------------------------------------------------------------------------------ */

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0)
		return fd;
	close(fd);
	return -1;
}

static int engine_listens(const struct node_engine_start *start)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];

	shared->n[0] = ask(NODE_PRIV_LISTEN_UAPI, &req, &r, fds);
	strcpy(shared->text, r.error);
	if (r.result)
		return leave(NODE_EXIT_FAILED);
	ENGINE_CHECK(r.fds == 1);
	struct pollfd p = {fds[0], POLLIN, 0};
	shared->step++;
	if (start->restarts == 0) {
		while (!shared->go)
			nap_ms(5);
		abort();
	}
	/* the client that came meanwhile is still in the queue */
	ENGINE_CHECK(poll(&p, 1, 5000) == 1 && accept(fds[0], NULL, NULL) >= 0);
	return leave(NODE_EXIT_OK);
}

static void socket_outlives_a_crash(void)
{
	const char *path;
	struct stat st;

	if (!harness_possible(1))
		return;
	harness_reset();
	path = harness_path("ttest0.sock");
	struct node_monitor_options opt = harness_options(engine_listens);
	/* what a killed daemon left behind */
	close(listen_at(path));
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	pid_t pid = harness_start(&opt);
	CU_ASSERT_TRUE(harness_reached(1));
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	int client = harness_connect_to(path);
	CU_ASSERT_TRUE(client >= 0);
	shared->go = 1;
	CU_ASSERT_EQUAL(harness_wait(pid), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	CU_ASSERT_EQUAL(shared->starts, 2);
	CU_ASSERT_TRUE(stat(path, &st) < 0 && errno == ENOENT);
	close(client);
	harness_remove_dir();
}

static void living_socket_is_not_taken(void)
{
	struct stat st;

	if (!harness_possible(1))
		return;
	harness_reset();
	const char *path = harness_path("ttest0.sock");
	int other = listen_at(path);
	CU_ASSERT_EQUAL(harness_run(engine_listens), NODE_EXIT_FAILED);
	CU_ASSERT_EQUAL(shared->n[0], -EADDRINUSE);
	CU_ASSERT_PTR_NOT_NULL(strstr(shared->text, path));
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	close(other);
	unlink(path);
	/* a file that is no socket is nobody's to remove */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CU_ASSERT_EQUAL(harness_run(engine_listens), NODE_EXIT_FAILED);
	CU_ASSERT_EQUAL(shared->n[0], -EEXIST);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	harness_remove_dir();
}

/* --- lock
 * -----------------------------------------------------------------------------------------------
 */

static void second_daemon_is_refused(void)
{
	struct node_monitor_report report = {0};
	int ready[2];

	if (!harness_possible(1))
		return;
	harness_reset();
	struct node_monitor_options first = harness_options(engine_deaf), second = first;
	pid_t pid = harness_start(&first);
	CU_ASSERT_TRUE(harness_reached(1));
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	second.ready_fd = ready[1];
	CU_ASSERT_EQUAL(harness_wait(harness_start(&second)), NODE_EXIT_FAILED);
	close(ready[1]);
	CU_ASSERT_EQUAL(read(ready[0], &report, sizeof(report)), sizeof(report));
	CU_ASSERT_EQUAL(report.status, NODE_EXIT_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(report.text, "already running for ttest0 (pid"));
	CU_ASSERT_EQUAL(shared->starts, 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	harness_wait(pid);
	harness_remove_dir();
}

static void names_are_checked(void)
{
	static const char *const bad[] = {
		"", ".", "..", "a/b", "wg%d", "eth0:1", "a b", "0123456789abcdef", "\xc3\xa4"};

	CU_ASSERT_TRUE(node_monitor_name_valid("wg0"));
	CU_ASSERT_TRUE(node_monitor_name_valid("0123456789abcde"));
	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++)
		CU_ASSERT_FALSE(node_monitor_name_valid(bad[i]));
}

/* --- state
 * ------------------------------------------------------------------------------------------------
 */

static int save(const char *text, uint32_t len, struct node_priv_reply *r)
{
	struct node_priv_request req = {.op = NODE_PRIV_STATE_SAVE, .u.state.len = len};
	int fd = plat_memfile_create("state", strlen(text));

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -EIO;
	return node_priv_call(priv, &req, fd, r, NULL);
}

static int engine_state(const struct node_engine_start *start)
{
	struct node_priv_request req = {0};
	struct node_priv_reply r;
	int fds[NODE_PRIV_FDS_MAX];
	char buf[64] = "";

	(void)start;
	ENGINE_CHECK(ask(NODE_PRIV_STATE_LOAD, &req, &r, fds) == -ENOENT && r.fds == 0);
	ENGINE_CHECK(save("first", 5, &r) == 0);
	ENGINE_CHECK(save("second and longer", 17, &r) == 0);
	/* shorter than it says: the old file stays */
	ENGINE_CHECK(save("third", 50, &r) == -EINVAL && r.error[0]);
	ENGINE_CHECK(ask(NODE_PRIV_STATE_LOAD, &req, &r, fds) == 0 && r.fds == 1);
	ENGINE_CHECK(read(fds[0], buf, sizeof(buf)) == 17 && !strcmp(buf, "second and longer"));
	ENGINE_CHECK(write(fds[0], "x", 1) < 0);
	/* one saves, one waits; whoever asks too often is told, and all get an answer */
	int last = 0;
	for (int i = 0; i < 8; i++) {
		int fd = plat_memfile_create("state", 5);
		req = (struct node_priv_request){.op = NODE_PRIV_STATE_SAVE, .u.state.len = 5};
		ENGINE_CHECK(node_priv_send(priv, &req, fd, NULL, NULL) == 0);
	}
	while ((last = save("last", 4, &r)) == -EBUSY)
		nap_ms(5);
	ENGINE_CHECK(last == 0);
	return leave(NODE_EXIT_OK);
}

static void state_is_saved_atomically(void)
{
	char buf[16] = "";
	struct stat st;

	if (!harness_possible(1))
		return;
	harness_reset();
	CU_ASSERT_EQUAL(harness_run(engine_state), 0);
	CU_ASSERT_EQUAL(shared->failed, 0);
	if (shared->failed)
		printf("  engine failed at line %d\n", shared->failed);
	int fd = open(harness_path("ttest0.state"), O_RDONLY);
	CU_ASSERT_EQUAL(read(fd, buf, sizeof(buf)), 4);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_TRUE(stat(harness_path("ttest0.state.new"), &st) < 0);
	close(fd);
	harness_remove_dir();
}

static int engine_full_disk(const struct node_engine_start *start)
{
	struct node_priv_reply r;
	static char text[1 << 20];

	(void)start;
	memset(text, 'x', sizeof(text) - 1);
	ENGINE_CHECK(save(text, sizeof(text) - 1, &r) == -ENOSPC);
	ENGINE_CHECK(strstr(r.error, ".state"));
	return leave(NODE_EXIT_OK);
}

static void full_disk_is_an_error_reply(void)
{
	char command[256];

	if (!harness_possible(1))
		return;
	harness_reset();
	struct node_monitor_options opt = harness_options(engine_full_disk);
	opt.state_dir = harness_path("state");
	snprintf(command, sizeof(command), "mkdir %s && mount -t tmpfs -o size=64k none %s",
		 opt.state_dir, opt.state_dir);
	if (system(command) != 0) {
		tt_test_skip(1, "cannot mount a small tmpfs");
	} else {
		CU_ASSERT_EQUAL(harness_wait(harness_start(&opt)), 0);
		CU_ASSERT_EQUAL(shared->failed, 0);
		CU_ASSERT_TRUE(access(harness_path("state/ttest0.state.new"), F_OK) < 0);
		snprintf(command, sizeof(command), "umount %s", opt.state_dir);
		CU_ASSERT_EQUAL(system(command), 0);
	}
	harness_remove_dir();
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void crash(struct node_monitor *m, const struct node_monitor_job *job, uint32_t len,
		  struct node_monitor_job_result *result)
{
	(void)m;
	(void)job;
	(void)len;
	(void)result;
	_exit(1);
}

/* Its number may be another process' by the time the result is looked for. */
static void reaped_job_is_not_killed(void)
{
	static struct node_monitor m;
	struct node_monitor_job_result result;
	siginfo_t info;

	m.load = (struct node_monitor_job){.pipe = -1, .fd = -1};
	node_monitor_state_init(&m);
	CU_ASSERT_EQUAL_FATAL(node_monitor_job_start(&m, &m.load, "test", crash, 1, -1, 0), 0);
	CU_ASSERT_EQUAL(waitid(P_PID, (id_t)m.load.pid, &info, WEXITED | WNOWAIT), 0);
	node_monitor_reap(&m);
	CU_ASSERT_EQUAL(m.load.pid, 0);
	CU_ASSERT_TRUE(node_monitor_job_runs(&m.load));
	node_monitor_job_finish(&m, &m.load, &result);
	CU_ASSERT_EQUAL(result.result, -EIO);
	CU_ASSERT_FALSE(node_monitor_job_runs(&m.load));
}

TT_TESTS("monitor", {"signals reach the engine", signals_reach_the_engine},
	 {"engine that does not stop is killed", engine_that_does_not_stop_is_killed},
	 {"killed monitor takes all along", killed_monitor_takes_all_along},
	 {"socket outlives a crash", socket_outlives_a_crash},
	 {"living socket is not taken", living_socket_is_not_taken},
	 {"second daemon is refused", second_daemon_is_refused},
	 {"names are checked", names_are_checked},
	 {"state is saved atomically", state_is_saved_atomically},
	 {"full disk is an error reply", full_disk_is_an_error_reply},
	 {"a reaped job is not killed", reaped_job_is_not_killed})
