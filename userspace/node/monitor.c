/* SPDX-License-Identifier: MIT */
#include "node/monitor_impl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/memfile.h"
#include "plat/process.h"

/* --- signals: let in only while the loop waits, so that flags are all a handler sets -----------
 */

static volatile sig_atomic_t want_stop, want_reload, child_ended;
static sigset_t signals_before;
static const int signals_handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};

static void signal_arrived(int sig)
{
	if (sig == SIGHUP)
		want_reload = 1;
	else if (sig == SIGCHLD)
		child_ended = 1;
	else
		want_stop = 1;
}

static void signals_install(void)
{
	struct sigaction sa = {.sa_handler = signal_arrived};
	sigset_t mask;

	want_stop = want_reload = child_ended = 0;
	sigemptyset(&sa.sa_mask);
	sigemptyset(&mask);
	for (size_t i = 0; i < TT_ARRAY_LEN(signals_handled); i++)
		sigaddset(&mask, signals_handled[i]);
	sigprocmask(SIG_BLOCK, &mask, &signals_before);
	for (size_t i = 0; i < TT_ARRAY_LEN(signals_handled); i++) {
		sigdelset(&signals_before, signals_handled[i]);
		sigaction(signals_handled[i], &sa, NULL);
	}
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

void node_monitor_signals_restore(void)
{
	/* a terminal sends its signals to the whole group; stopping is the monitor's to say */
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct sigaction sa = {.sa_handler = SIG_IGN};

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < TT_ARRAY_LEN(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
	sa.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &sa, NULL);
	sigprocmask(SIG_SETMASK, &signals_before, NULL);
}

static void signals_act(struct node_monitor *m)
{
	if (want_stop) {
		want_stop = 0;
		if (!m->stopping)
			tt_log(TT_LOG_INFO, "monitor.stopping");
		node_monitor_notify_stopping(m);
		m->stopping = true;
		if (m->engine.pid)
			node_monitor_engine_signal(m, NODE_SIGNAL_STOP);
		else
			node_monitor_end(m, NODE_EXIT_OK);
	}
	if (want_reload) {
		want_reload = 0;
		if (m->engine.pid && !m->stopping)
			node_monitor_engine_signal(m, NODE_SIGNAL_RELOAD);
	}
	if (child_ended) {
		child_ended = 0;
		node_monitor_reap(m);
	}
}

/* --- telling the outside ------------------------------------------------------------------------
 */

void node_monitor_report(struct node_monitor *m, int status, const char *text)
{
	struct node_monitor_report report = {.status = status};

	if (m->reported)
		return;
	m->reported = true;
	if (m->opt->ready_fd < 0)
		return;
	snprintf(report.text, sizeof(report.text), "%s", text);
	/* whoever started us may have gone: no matter */
	if (write(m->opt->ready_fd, &report, sizeof(report)) < 0)
		tt_log(TT_LOG_DEBUG, "monitor.report", TT_F_ERRNO("error", errno));
	close(m->opt->ready_fd);
}

void node_monitor_end(struct node_monitor *m, int status)
{
	if (m->done)
		return;
	m->done = true;
	m->status = status == NODE_EXIT_DELETED ? NODE_EXIT_OK : status;
}

/* --- set-up and tear-down -----------------------------------------------------------------------
 */

bool node_monitor_name_valid(const char *name)
{
	size_t len = strnlen(name, PLAT_IFNAME_MAX);

	if (len == 0 || len == PLAT_IFNAME_MAX || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f || strchr("/:%", name[i]))
			return false;
	return true;
}

static int monitor_set_dir(char out[MONITOR_PATH_MAX], const char *given, const char *variable,
			   const char *standard)
{
	const char *dir = given ? given : getenv(variable);

	if (!dir || !dir[0])
		dir = standard;
	/* absolute, and with room for the names in it within a socket address */
	if (dir[0] != '/' || strlen(dir) > 80)
		return -EINVAL;
	snprintf(out, MONITOR_PATH_MAX, "%s", dir);
	return 0;
}

static int monitor_init(struct node_monitor *m, const struct node_monitor_options *opt)
{
	int err;

	*m = (struct node_monitor){.opt = opt, .status = NODE_EXIT_FAILED};
	m->lock_fd = m->channel.fd = m->engine.signal_fd = m->engine.memory_fd = -1;
	m->resolver_fds[0] = m->resolver_fds[1] = -1;
	m->uapi.fd = m->control.fd = m->metrics.fd = -1;
	m->config_loaded = m->config_committed = m->xdp.watch = m->firewall.watch.fd = -1;
	m->load = (struct node_monitor_job){.pipe = -1, .fd = -1};
	node_monitor_state_init(m);
	if (opt->name)
		snprintf(m->name, sizeof(m->name), "%s", opt->name);
	err = monitor_set_dir(m->run_dir, opt->run_dir, "TALTUN_RUN_DIR", "/run/taltun");
	if (!err)
		err = monitor_set_dir(m->wg_dir, opt->wg_dir, "TALTUN_WG_DIR",
				      "/var/run/wireguard");
	if (!err)
		err = monitor_set_dir(m->state_dir, opt->state_dir, "TALTUN_STATE_DIR",
				      "/var/lib/taltun");
	if (err)
		snprintf(m->last_error, sizeof(m->last_error),
			 "TALTUN_RUN_DIR, TALTUN_WG_DIR and TALTUN_STATE_DIR are absolute paths of "
			 "at most 80 bytes");
	return err;
}

static int monitor_start(struct node_monitor *m)
{
	int err = 0;

	if (m->opt->mode == NODE_MODE_UAPI && !node_monitor_name_valid(m->name)) {
		snprintf(m->last_error, sizeof(m->last_error),
			 "not an interface name: 1 to 15 characters without / : %% or blanks");
		return -EINVAL;
	}
	plat_sandbox_user("taltun", &m->user);
	tt_log(TT_LOG_INFO, "monitor.started", TT_F_U64("pid", (uint64_t)getpid()),
	       TT_F_STR("user", m->user.name), TT_F_BOOL("fallback_user", m->user.fallback));
	if (m->name[0])
		err = node_monitor_lock(m, m->last_error, sizeof(m->last_error));
	if (err)
		return err;
	m->engine.memory_fd = plat_memfile_create("taltun-memory", NODE_MEMORY_BYTES);
	err = m->engine.memory_fd < 0 ? m->engine.memory_fd
				      : plat_memfile_seal(m->engine.memory_fd, false);
	if (!err)
		err = node_monitor_resolver_start(m);
	if (!err)
		err = node_monitor_engine_start(m);
	if (err)
		snprintf(m->last_error, sizeof(m->last_error), "cannot start: %s", strerror(-err));
	return err;
}

static void monitor_tear_down(struct node_monitor *m)
{
	node_monitor_channel_close(m);
	node_monitor_job_abandon(&m->load);
	node_monitor_state_finish(m);
	if (m->resolver)
		kill(m->resolver, SIGKILL);
	node_monitor_xdp_close(m);
	node_monitor_gateway_undo(m);
	node_monitor_net_undo(m);
	node_monitor_tun_close(m);
	node_monitor_udp_close(m);
	node_monitor_listen_close(&m->uapi);
	node_monitor_listen_close(&m->control);
	node_monitor_listen_close(&m->metrics);
	node_monitor_config_close(m);
	node_monitor_unlock(m);
	const int left[] = {m->engine.signal_fd, m->engine.memory_fd, m->resolver_fds[0],
			    m->resolver_fds[1]};
	for (size_t i = 0; i < TT_ARRAY_LEN(left); i++)
		if (left[i] >= 0)
			close(left[i]);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Channel, loader, addresses of the host, its firewall, savers. */
#define MONITOR_FDS (4 + NODE_STATE_KIND_COUNT)

static bool job_due(const struct node_monitor_job *job, struct tt_mono now)
{
	return node_monitor_job_runs(job) && !tt_mono_before(now, job->deadline);
}

/* Waits for one thing to happen; which descriptors are ready is in p[].revents. */
static void monitor_wait(struct node_monitor *m, struct pollfd p[MONITOR_FDS])
{
	struct tt_mono now = plat_clock_mono();
	struct tt_mono next = node_monitor_sooner(node_monitor_child_timers(m, now),
						  node_monitor_notify_timer(m, now));
	/* an answer needs room in the channel: jobs wait while it is blocked */
	bool jobs = !m->channel.blocked;
	struct timespec ts, *timeout = NULL;

	p[0] = (struct pollfd){m->channel.fd, m->channel.blocked ? POLLOUT : POLLIN, 0};
	p[1] = (struct pollfd){jobs ? m->load.pipe : -1, POLLIN, 0};
	p[2] = (struct pollfd){m->xdp.watch, POLLIN, 0};
	p[3] = (struct pollfd){m->firewall.watch.fd, POLLIN, 0};
	next = node_monitor_sooner(next, node_monitor_firewall_timer(m, now));
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT; k++)
		p[4 + k] = (struct pollfd){jobs ? m->save[k].job.pipe : -1, POLLIN, 0};
	if (jobs && node_monitor_job_runs(&m->load))
		next = node_monitor_sooner(next, m->load.deadline);
	for (unsigned k = 0; jobs && k < NODE_STATE_KIND_COUNT; k++)
		if (node_monitor_job_runs(&m->save[k].job))
			next = node_monitor_sooner(next, m->save[k].job.deadline);
	if (tt_log_flush(now))
		next = node_monitor_sooner(next, tt_mono_add_ns(now, TT_NS_PER_SEC));
	if (m->done)
		next = now;
	if (tt_mono_is_set(next)) {
		uint64_t ns = tt_mono_since(next, now);
		ts = (struct timespec){(time_t)(ns / TT_NS_PER_SEC), (long)(ns % TT_NS_PER_SEC)};
		timeout = &ts;
	}
	if (ppoll(p, MONITOR_FDS, timeout, &signals_before) < 0)
		for (unsigned i = 0; i < MONITOR_FDS; i++)
			p[i].revents = 0;
}

static void monitor_turn(struct node_monitor *m)
{
	struct pollfd p[MONITOR_FDS];
	struct tt_mono now;

	monitor_wait(m, p);
	now = plat_clock_mono();
	/* requests that an engine sent before it ended come first: its NODE_PRIV_EXIT above all */
	if (p[0].revents && m->channel.blocked)
		node_monitor_channel_flush(m);
	else if (p[0].revents)
		node_monitor_serve(m);
	if (!m->channel.blocked && (p[1].revents || job_due(&m->load, now)))
		node_monitor_config_loaded(m);
	/* a save that a request of this turn has started says nothing yet: its pipe is another */
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT && !m->channel.blocked; k++)
		if (p[4 + k].revents || job_due(&m->save[k].job, now))
			node_monitor_state_saved(m, (enum node_state_kind)k);
	if (p[2].revents)
		node_monitor_xdp_watch(m);
	if (p[3].revents)
		node_monitor_firewall_watch(m);
	signals_act(m);
}

int node_monitor_run(const struct node_monitor_options *opt)
{
	static struct node_monitor monitor;
	struct node_monitor *m = &monitor;

	plat_process_name("taltun-monitor");
	tt_log_process("monitor");
	signals_install();
	if (monitor_init(m, opt) == 0 && monitor_start(m) == 0) {
		while (!m->done)
			monitor_turn(m);
	} else {
		tt_log(TT_LOG_ERROR, "monitor.failed", TT_F_STR("reason", m->last_error));
	}
	if (m->engine.pid)
		node_monitor_engine_kill(m);
	monitor_tear_down(m);
	tt_log_flush(TT_LOG_FLUSH_ALL);
	tt_log(TT_LOG_INFO, "monitor.stopped", TT_F_I64("status", m->status));
	node_monitor_report(m, m->status ? m->status : NODE_EXIT_FAILED, m->last_error);
	return m->status;
}
