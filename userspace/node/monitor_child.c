/* SPDX-License-Identifier: MIT
 *
 * Engine and resolver: forking them, and what happens when they end.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/priv_wire.h"
#include "node/resolver.h"
#include "plat/clock.h"
#include "plat/process.h"

#define CHILD_STOP_SEC	     2
#define CHILD_STEADY_SEC     30 /* lived so long: its crash is a first one again */
#define CHILD_BACKOFF_MIN_MS 100
#define CHILD_BACKOFF_MAX_MS 5000
/* an engine that never served and crashes as often is not going to */
#define CHILD_START_CRASHES_MAX 3

void node_monitor_child_begin(const char *process, pid_t parent, const int *keep, unsigned n)
{
	char name[16];

	node_monitor_signals_restore();
	plat_process_die_with_parent(parent);
	plat_process_keep_fds(keep, n);
	snprintf(name, sizeof(name), "taltun-%s", process);
	plat_process_name(name);
	tt_log_process(process);
}

/* For ever, and before the first byte from outside. */
static void child_drop(const struct node_monitor *m, pid_t parent)
{
	int err = plat_sandbox_drop(m->user.uid, m->user.gid);

	if (err) {
		tt_log(TT_LOG_ERROR, "sandbox.failed", TT_F_ERRNO("error", err));
		_exit(NODE_EXIT_FAILED);
	}
	/* forgotten with the uid */
	plat_process_die_with_parent(parent);
}

/* ns until the n-th crash in a row is followed by a start. */
static uint64_t child_backoff_ns(unsigned crashes)
{
	uint64_t ms;

	if (crashes <= 1)
		return 0;
	ms = crashes > 8 ? CHILD_BACKOFF_MAX_MS : (uint64_t)CHILD_BACKOFF_MIN_MS << (crashes - 2);
	return TT_MIN(ms, (uint64_t)CHILD_BACKOFF_MAX_MS) * TT_NS_PER_MS;
}

static unsigned child_count_crash(unsigned crashes, struct tt_mono started, struct tt_mono now)
{
	return tt_mono_since(now, started) >= CHILD_STEADY_SEC * TT_NS_PER_SEC ? 1 : crashes + 1;
}

/* --- resolver
 * ------------------------------------------------------------------------------------- */

static int resolver_fork(struct node_monitor *m)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int fd = m->resolver_fds[1];

		node_monitor_child_begin("resolver", parent, &fd, 1);
		child_drop(m, parent);
		node_resolver_run(fd);
	}
	m->resolver = pid;
	m->resolver_started = plat_clock_mono();
	m->resolver_start_at = (struct tt_mono){0};
	return 0;
}

int node_monitor_resolver_start(struct node_monitor *m)
{
	int err;

	if (m->resolver)
		kill(m->resolver, SIGKILL);
	m->resolver = 0;
	/* a new pair: answers to an engine that crashed must not reach the next one */
	node_wire_close(m->resolver_fds, 2);
	m->resolver_fds[0] = m->resolver_fds[1] = -1;
	err = node_wire_pair(m->resolver_fds, false);
	return err ? err : resolver_fork(m);
}

static void resolver_ended(struct node_monitor *m, int status)
{
	struct tt_mono now = plat_clock_mono();

	m->resolver = 0;
	m->resolver_crashes = child_count_crash(m->resolver_crashes, m->resolver_started, now);
	tt_log(TT_LOG_WARN, "resolver.crashed",
	       TT_F_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
	       TT_F_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
	/* the pair stays, and with it the queries that nobody has read yet */
	m->resolver_start_at = tt_mono_add_ns(now, child_backoff_ns(m->resolver_crashes));
}

/* --- engine
 * ---------------------------------------------------------------------------------------- */

static _Noreturn void engine_child(struct node_monitor *m, const struct node_engine_start *start,
				   pid_t parent)
{
	const int keep[] = {start->priv_fd, start->resolver_fd, start->signal_fd, start->memory_fd};
	int err;

	node_monitor_child_begin("engine", parent, keep, TT_ARRAY_LEN(keep));
	/* with the right to lock memory, and without having read anything yet */
	err = m->opt->engine_prepare(start);
	if (err) {
		tt_log(TT_LOG_ERROR, "engine.prepare_failed", TT_F_ERRNO("error", err));
		_exit(NODE_EXIT_FAILED);
	}
	child_drop(m, parent);
	_exit(m->opt->engine_run(start));
}

static int engine_channels(int priv[2], int sig[2])
{
	int err = node_wire_pair(priv, true);

	if (err)
		return err;
	if (pipe(sig) < 0) {
		err = -errno;
		node_wire_close(priv, 2);
		return err;
	}
	for (int i = 0; i < 2; i++) {
		fcntl(sig[i], F_SETFD, FD_CLOEXEC);
		fcntl(sig[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

int node_monitor_engine_start(struct node_monitor *m)
{
	struct node_monitor_engine *e = &m->engine;
	struct node_engine_start start = {.mode = m->opt->mode,
					  .resolver_fd = m->resolver_fds[0],
					  .memory_fd = e->memory_fd,
					  .config_path = m->opt->config_path,
					  .restarts = e->restarts,
					  .unattended = m->opt->ready_fd < 0,
					  .settings = m->opt->settings};
	pid_t parent = getpid();
	int priv[2], sig[2], err;

	if (m->opt->mode == NODE_MODE_UAPI)
		memcpy(start.name, m->name, sizeof(start.name));
	err = engine_channels(priv, sig);
	if (err)
		return err;
	start.priv_fd = priv[1];
	start.signal_fd = sig[0];
	e->pid = fork();
	if (e->pid == 0)
		engine_child(m, &start, parent);
	err = e->pid < 0 ? -errno : 0;
	close(priv[1]);
	close(sig[0]);
	if (err) {
		e->pid = 0;
		close(priv[0]);
		close(sig[1]);
		return err;
	}
	m->channel.fd = priv[0];
	e->signal_fd = sig[1];
	e->config_given = e->leaving = false;
	e->leaving_status = NODE_EXIT_OK;
	e->started = plat_clock_mono();
	e->start_at = e->kill_at = (struct tt_mono){0};
	m->udp.given = false;
	m->xdp.offers = 0;
	m->net_adds = 0;
	tt_log(TT_LOG_INFO, "engine.started", TT_F_U64("pid", (uint64_t)e->pid),
	       TT_F_U64("restarts", e->restarts), TT_F_STR("user", m->user.name));
	return 0;
}

void node_monitor_engine_signal(struct node_monitor *m, char byte)
{
	/* a full pipe holds more of the same; a stop that is not heard ends in a kill */
	if (m->engine.signal_fd >= 0 && write(m->engine.signal_fd, &byte, 1) < 0)
		tt_log(TT_LOG_DEBUG, "engine.signal", TT_F_ERRNO("error", errno));
	if (byte == NODE_SIGNAL_STOP)
		m->engine.kill_at =
			tt_mono_add_ns(plat_clock_mono(), CHILD_STOP_SEC * TT_NS_PER_SEC);
}

void node_monitor_engine_kill(struct node_monitor *m)
{
	if (m->engine.pid)
		kill(m->engine.pid, SIGKILL);
}

/*
 * A node that has served once goes on: where its engine cannot start again just now (memory, a
 * udp_port that somebody took), the tunnel's interface and routes stay, and it is tried again.
 */
static bool exit_is_on_purpose(const struct node_monitor *m, int status)
{
	if (!WIFEXITED(status))
		return false;
	switch (WEXITSTATUS(status)) {
	case NODE_EXIT_FAILED:
		return !m->reported;
	case NODE_EXIT_OK:
	case NODE_EXIT_CONFIG:
	case NODE_EXIT_DELETED:
		return true;
	default:
		return false;
	}
}

static void engine_crashed(struct node_monitor *m, int status)
{
	struct node_monitor_engine *e = &m->engine;
	struct tt_mono now = plat_clock_mono();
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	e->crashes = child_count_crash(e->crashes, e->started, now);
	tt_log(TT_LOG_ERROR, "engine.crashed", TT_F_I64("signal", sig),
	       TT_F_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	       TT_F_U64("in_a_row", e->crashes), TT_F_BOOL("stopping", m->stopping));
	/* a start that failed says good-bye as well */
	if (e->leaving_status == NODE_EXIT_FAILED && m->reported)
		e->leaving = false;
	if (m->stopping || e->leaving) {
		node_monitor_end(m, e->leaving ? e->leaving_status : NODE_EXIT_OK);
		return;
	}
	if (!m->reported && e->crashes >= CHILD_START_CRASHES_MAX) {
		/* a request that failed before is the likelier reason, and what can be mended */
		if (!m->last_error[0])
			snprintf(m->last_error, sizeof(m->last_error),
				 "the engine crashes while starting (signal %d)", sig);
		node_monitor_end(m, NODE_EXIT_FAILED);
		return;
	}
	node_monitor_notify_crashed(m);
	e->restarts++;
	e->start_at = tt_mono_add_ns(now, child_backoff_ns(e->crashes));
}

/* Requests of an engine that is no more: what it still said counts, nobody waits for replies. */
static void engine_forget(struct node_monitor *m)
{
	struct node_monitor_engine *e = &m->engine;

	e->pid = 0;
	e->kill_at = (struct tt_mono){0};
	if (m->channel.blocked)
		node_monitor_channel_close(m);
	node_monitor_serve(m);
	node_monitor_channel_close(m);
	e->kill_at = (struct tt_mono){0};
	close(e->signal_fd);
	e->signal_fd = -1;
	node_monitor_job_abandon(&m->load);
	node_monitor_state_orphan(m);
}

static void engine_ended(struct node_monitor *m, int status)
{
	engine_forget(m);
	if (!exit_is_on_purpose(m, status)) {
		/* what a crashed engine queued is older than what its successor will save */
		node_monitor_state_drop_queued(m);
		engine_crashed(m, status);
		return;
	}
	tt_log(TT_LOG_INFO, "engine.ended", TT_F_I64("status", WEXITSTATUS(status)));
	node_monitor_end(m, WEXITSTATUS(status));
}

void node_monitor_reap(struct node_monitor *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->engine.pid)
			engine_ended(m, status);
		else if (pid == m->resolver && !m->stopping)
			resolver_ended(m, status);
		/* its number is free for any other process from here on */
		else if (pid == m->load.pid)
			m->load.pid = 0;
		else
			node_monitor_state_reaped(m, pid);
	}
}

static bool due(struct tt_mono at, struct tt_mono now)
{
	return tt_mono_is_set(at) && !tt_mono_before(now, at);
}

struct tt_mono node_monitor_child_timers(struct node_monitor *m, struct tt_mono now)
{
	struct node_monitor_engine *e = &m->engine;

	if (due(e->kill_at, now)) {
		tt_log(TT_LOG_ERROR, "engine.killed", TT_F_STR("reason", "did not stop in time"));
		e->kill_at = (struct tt_mono){0};
		node_monitor_engine_kill(m);
	}
	if (due(e->start_at, now)) {
		int err = node_monitor_resolver_start(m);

		if (!err)
			err = node_monitor_engine_start(m);
		if (err) {
			tt_log(TT_LOG_ERROR, "engine.not_started", TT_F_ERRNO("error", err));
			e->start_at = tt_mono_add_ns(now, TT_NS_PER_SEC);
		}
	}
	if (due(m->resolver_start_at, now) && resolver_fork(m) < 0)
		m->resolver_start_at = tt_mono_add_ns(now, TT_NS_PER_SEC);
	return node_monitor_sooner(node_monitor_sooner(e->kill_at, e->start_at),
				   m->resolver_start_at);
}
