/* SPDX-License-Identifier: MIT */
#include "hub/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "hub/control.h"
#include "hub/file.h"
#include "hub/listen.h"
#include "hub/metrics.h"
#include "hub/relay_at.h"
#include "hub/server.h"
#include "plat/logsink.h"
#include "plat/notify.h"
#include "plat/sandbox.h"
#include "wire/uv.h"

#define END_MS		 1500 /* then it ends without saying more */
#define CERT_WARN_DAYS	 60
#define DAY_MS		 86400000
#define METRICS_BACKLOG	 16
#define DESCRIPTORS_KEPT 512 /* that are not connections */

struct serve {
	const struct hub_paths *paths;
	struct hub_config config;
	struct hub_server_options opt;
	uv_loop_t loop;
	struct hub_server *server;
	struct hub_signer *signer;
	struct hub_relay *relay;
	struct hub_stun *stun;
	struct hub_control *control;
	struct hub_metrics *metrics;   /* NULL: nobody asked for them */
	int metrics_fd;		       /* until they are served; -1: none */
	struct hub_relay_at *relay_at; /* NULL: the operator says where the relay is */
	int listeners[HUB_LISTEN_MAX];
	unsigned listener_count;
	uv_signal_t term, interrupt, hangup;
	uv_timer_t late, watchdog, day;
	bool ca_key_stdin;
	unsigned parts; /* that have not ended */
	bool ending, ended;
};

static enum hub_serve_outcome refuse(const char *what, const char *path, const char *why)
{
	char text[HUB_PATH_MAX + 256];

	snprintf(text, sizeof(text), "%s%s%s: %s", what, path ? " " : "", path ? path : "", why);
	tt_log(TT_LOG_ERROR, "hub.not_started", TT_F_STR("error", text));
	return HUB_SERVE_FAILED;
}

/* What to do about a port that cannot be had. */
static const char *why_no_port(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "another program has this port; `ss -lptun` shows which";
	case -EACCES:
		return "not allowed: a port below 1024 needs root, or CAP_NET_BIND_SERVICE";
	case -EADDRNOTAVAIL:
		return "this machine does not have that address";
	default:
		return strerror(-err);
	}
}

static enum hub_serve_outcome refuse_udp(const char *what, uint16_t udp_port, int err)
{
	char text[32];

	snprintf(text, sizeof(text), "UDP port %u", udp_port);
	return refuse(what, text, why_no_port(err));
}

/* --- before the loop -------------------------------------------------------------------------- */

static int load_files(struct serve *s)
{
	int err = hub_file_read_cert(s->paths->ca_cert, &s->opt.ca);

	if (!err)
		err = hub_file_read_cert(s->paths->cert, &s->opt.cert);
	if (!err)
		err = hub_file_read_key(s->paths->key, &s->opt.key);
	return err;
}

/* The signer does not renew it, so the operator has to hear of it in time. */
static void look_at_certificate(const struct serve *s)
{
	uint64_t now = (uint64_t)time(NULL), end = hub_server_certificate_end(s->server);

	if (!end || end > now + CERT_WARN_DAYS * UINT64_C(86400))
		return;
	tt_log(TT_LOG_WARN, "hub.certificate_ends",
	       TT_F_U64("days", end > now ? (end - now) / 86400 : 0),
	       TT_F_STR("hint", "run taltun-hub renew-server"));
}

/* Nodes refuse a certificate from the future, and so do we refuse theirs: it cannot work. */
static void look_at_clock(const struct serve *s)
{
	struct tls_cert_info info;
	time_t now = time(NULL);
	char text[32] = "";
	struct tm tm;

	if (tls_cert_parse(s->opt.cert.bytes, s->opt.cert.len, &info) != 0 ||
	    (uint64_t)now >= info.not_before_s)
		return;
	if (gmtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	tt_log(TT_LOG_ERROR, "hub.clock_behind", TT_F_STR("clock", text),
	       TT_F_STR("hint",
			"the hub's certificate is not valid yet: set the clock, or where it "
			"is right run taltun-hub renew-server"));
}

static void on_day(uv_timer_t *t)
{
	look_at_certificate(t->data);
}

/* For a moment, root is who the database belongs to: that user may put links where SQLite makes its
 * files. */
static bool act_as(uid_t uid, gid_t gid)
{
	if (uid == 0)
		return seteuid(uid) == 0 && setegid(gid) == 0;
	return setegid(gid) == 0 && seteuid(uid) == 0;
}

static enum hub_serve_outcome load_settings(struct serve *s)
{
	struct hub_db *db;
	struct stat st;
	bool root = geteuid() == 0;
	gid_t gid = getegid();

	if (lstat(s->paths->db, &st) < 0 || !S_ISREG(st.st_mode))
		return refuse("the database", s->paths->db, "it is no regular file");
	if (root && !act_as(st.st_uid, st.st_gid))
		return refuse("the database", s->paths->db, "cannot act as its owner");
	enum hub_db_outcome o = hub_db_open(s->paths->db, false, &db);
	if (o == HUB_DB_OK) {
		o = hub_db_settings_load(db, &s->opt.settings);
		hub_db_close(db);
	}
	if (root && !act_as(0, gid))
		return refuse("the database", s->paths->db, "cannot act as root again");
	return o == HUB_DB_OK ? HUB_SERVE_ENDED
			      : refuse("the database", s->paths->db, hub_db_outcome_text(o));
}

/* Every connection is a descriptor. Where there may not be so many, there are fewer connections:
 * the database and the next node's hello need some, too. */
static void raise_descriptors(struct serve *s)
{
	rlim_t wanted = s->config.limits.connections + DESCRIPTORS_KEPT;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= wanted)
		return;
	struct rlimit more = {.rlim_cur = wanted, .rlim_max = TT_MAX(l.rlim_max, wanted)};
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_cur >= wanted)
		return;
	s->config.limits.connections = l.rlim_cur > 2 * DESCRIPTORS_KEPT
					       ? (uint32_t)(l.rlim_cur - DESCRIPTORS_KEPT)
					       : (uint32_t)(l.rlim_cur / 2);
	tt_log(TT_LOG_WARN, "hub.few_descriptors", TT_F_U64("limit", l.rlim_cur),
	       TT_F_U64("wanted", wanted), TT_F_U64("connections", s->config.limits.connections));
}

/* Where the file says nothing: the port of the hub's name, both families. */
static void default_listen(struct serve *s)
{
	static const uint8_t any[16];
	struct hub_config *c = &s->config;

	if (c->listen_count)
		return;
	c->listen[0] =
		(struct tt_endpoint){.ip = tt_ip_v4(any), .udp_port = s->opt.settings.tcp_port};
	c->listen[1] = (struct tt_endpoint){.ip = {.family = TT_FAMILY_V6},
					    .udp_port = s->opt.settings.tcp_port};
	c->listen_count = 2;
}

static bool is_loopback(const struct tt_ip *ip)
{
	static const uint8_t v6[16] = {[15] = 1};

	return ip->family == TT_FAMILY_V4 ? ip->b[0] == 127 : memcmp(ip->b, v6, sizeof(v6)) == 0;
}

static enum hub_serve_outcome listen_metrics(struct serve *s)
{
	const struct hub_config *c = &s->config;
	char text[TT_ENDPOINT_TEXT_MAX];
	int err = 0;

	s->metrics_fd = c->metrics_path[0] ? hub_listen_unix(c->metrics_path, 0660)
					   : hub_listen_tcp(&c->metrics_at);
	if (s->metrics_fd < 0)
		err = s->metrics_fd;
	else if (!c->metrics_path[0] && listen(s->metrics_fd, METRICS_BACKLOG) < 0)
		err = -errno;
	if (err)
		return refuse("cannot serve metrics at",
			      c->metrics_path[0] ? c->metrics_path
						 : tt_endpoint_format(&c->metrics_at, text),
			      why_no_port(err));
	if (!c->metrics_path[0] && !is_loopback(&c->metrics_at.ip))
		tt_log(TT_LOG_WARN, "metrics.public", TT_F_ENDPOINT("listen", &c->metrics_at),
		       TT_F_STR("hint", "plain HTTP, for whoever can reach it: a firewall's, or a "
					"proxy's, business"));
	return HUB_SERVE_ENDED;
}

static enum hub_serve_outcome bind_all(struct serve *s)
{
	char text[TT_ENDPOINT_TEXT_MAX];

	default_listen(s);
	for (unsigned i = 0; i < s->config.listen_count; i++) {
		int fd = hub_listen_tcp(&s->config.listen[i]);

		if (fd == -EAFNOSUPPORT)
			continue;
		if (fd < 0)
			return refuse("cannot listen at",
				      tt_endpoint_format(&s->config.listen[i], text),
				      why_no_port(fd));
		s->listeners[s->listener_count++] = fd;
	}
	if (s->config.metrics_at.udp_port && listen_metrics(s) != HUB_SERVE_ENDED)
		return HUB_SERVE_FAILED;
	if (s->config.stun_udp_port) {
		int err = hub_stun_open(s->config.stun_udp_port, &s->stun);
		if (err)
			return refuse_udp("cannot serve STUN at", s->config.stun_udp_port, err);
		s->opt.stun_udp_port = hub_stun_udp_port(s->stun);
	}
	return HUB_SERVE_ENDED;
}

static enum hub_serve_outcome start_relay(struct serve *s)
{
	static const uint8_t any[16];
	struct hub_relay_options o = {
		.listen = {{.ip = tt_ip_v4(any), .udp_port = s->config.relay_udp_port},
			   {.ip = {.family = TT_FAMILY_V6}, .udp_port = s->config.relay_udp_port}},
		.listen_count = 2,
		.node_bytes_per_s = s->config.relay_udp_bytes_per_s,
		.node_allocations = s->config.relay_udp_pairs,
		.node_burst_bytes = TT_MAX(s->config.relay_udp_bytes_per_s / 4, 1u << 20)};

	if (!s->config.relay_udp_port)
		return HUB_SERVE_ENDED;
	int err = hub_relay_start(&o, &s->relay);
	if (err)
		return refuse_udp("cannot relay at", s->config.relay_udp_port, err);
	s->opt.relay = s->relay;
	s->opt.relay_at_only = s->config.relay_at_count > 0;
	s->opt.relay_at_count = s->config.relay_at_count;
	memcpy(s->opt.relay_at, s->config.relay_at, sizeof(s->opt.relay_at));
	return HUB_SERVE_ENDED;
}

/* Its user gets all but the CA's key. Links are not followed: what is there may be that user's
 * doing.
 */
static int own_state(const struct hub_paths *p, const struct plat_sandbox_user *u)
{
	const char *const files[] = {p->db, p->cert, p->key};
	char beside[HUB_PATH_MAX + 8];

	if (lchown(p->state_dir, u->uid, u->gid) < 0)
		return -errno;
	for (size_t i = 0; i < TT_ARRAY_LEN(files); i++)
		if (lchown(files[i], u->uid, u->gid) < 0)
			return -errno;
	snprintf(beside, sizeof(beside), "%s-wal", p->db);
	if (lchown(beside, u->uid, u->gid) < 0 && errno != ENOENT)
		return -errno;
	snprintf(beside, sizeof(beside), "%s-shm", p->db);
	return lchown(beside, u->uid, u->gid) < 0 && errno != ENOENT ? -errno : 0;
}

/* Its own user where there is one; otherwise root that may do no more than its owner of files. */
static enum hub_serve_outcome drop_rights(struct serve *s)
{
	struct plat_sandbox_user u;
	int err = 0;

	plat_sandbox_user(s->config.user, &u);
	if (geteuid() == 0 && !u.fallback)
		err = own_state(s->paths, &u);
	else
		u.uid = geteuid(), u.gid = getegid();
	if (geteuid() == 0 && u.uid == 0)
		tt_log(TT_LOG_WARN, "hub.runs_as_root", TT_F_STR("hint", "make the user"),
		       TT_F_STR("user", s->config.user));
	if (!err)
		err = plat_sandbox_drop(u.uid, u.gid);
	return err ? refuse("cannot give up the rights of root", NULL, strerror(-err))
		   : HUB_SERVE_ENDED;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_part_gone(void *arg)
{
	struct serve *s = arg;

	if (--s->parts)
		return;
	s->ended = true;
	uv_stop(&s->loop);
}

static void on_late(uv_timer_t *t)
{
	tt_log(TT_LOG_WARN, "hub.ended_early");
	uv_stop(t->loop);
}

static void on_server_stopped(void *arg)
{
	struct serve *s = arg;

	/* nobody asks it any more */
	hub_signer_stop(s->signer, on_part_gone, s);
}

static void end(struct serve *s)
{
	if (s->ending)
		return;
	s->ending = true;
	plat_notify("STOPPING=1");
	tt_log(TT_LOG_INFO, "hub.ending");
	uv_timer_start(&s->late, on_late, END_MS, 0);
	s->parts = 2 + (s->stun != NULL) + (s->relay_at != NULL);
	if (s->relay_at)
		hub_relay_at_stop(s->relay_at, on_part_gone, s);
	hub_server_stop(s->server, on_server_stopped, s);
	hub_control_stop(s->control, on_part_gone, s);
	hub_metrics_stop(s->metrics);
	if (s->config.metrics_path[0])
		unlink(s->config.metrics_path);
	if (s->stun)
		hub_stun_stop(s->stun, on_part_gone, s);
}

static void on_end_signal(uv_signal_t *h, int number)
{
	(void)number;
	end(h->data);
}

static void reload(struct serve *s)
{
	struct hub_config config;
	char error[HUB_CONFIG_ERROR_MAX];
	struct tls_der cert, key;
	int err = hub_config_load(s->paths->config, &config, error);
	if (err) {
		tt_log(TT_LOG_ERROR, "hub.reload_failed", TT_F_STR("error", error));
		return;
	}
	err = hub_file_read_cert(s->paths->cert, &cert);
	if (!err)
		err = hub_file_read_key(s->paths->key, &key);
	if (!err)
		err = hub_server_reload(s->server, &cert, &key, &config.limits);
	crypto_wipe(&key, sizeof(key));
	if (err)
		tt_log(TT_LOG_ERROR, "hub.reload_failed", TT_F_ERRNO("error", err));
	else
		tt_log(TT_LOG_INFO, "hub.reloaded");
	tt_log_set_level((enum tt_log_level)config.log_level);
}

static void on_hangup(uv_signal_t *h, int number)
{
	struct serve *s = h->data;

	(void)number;
	if (s->ending)
		return;
	plat_notify_reloading();
	reload(s);
	plat_notify("READY=1");
}

/* --- the loop --------------------------------------------------------------------------------- */

/* The loop turns: that is what a hub has to show. */
static void on_watchdog(uv_timer_t *t)
{
	(void)t;
	plat_notify("WATCHDOG=1");
}

static void tell_ready(struct serve *s)
{
	char lines[TLS_NAME_MAX + 64];
	uint64_t ms = plat_notify_watchdog_ns() / TT_NS_PER_MS / 3;

	uv_timer_init(&s->loop, &s->watchdog);
	if (plat_notify_watchdog_ns())
		uv_timer_start(&s->watchdog, on_watchdog, ms, TT_MAX(ms, UINT64_C(1)));
	snprintf(lines, sizeof(lines), "READY=1\nSTATUS=Serving %s", s->opt.settings.name);
	plat_notify(lines);
}

static void watch(struct serve *s, uv_signal_t *h, uv_signal_cb fn, int number)
{
	uv_signal_init(&s->loop, h);
	h->data = s;
	uv_signal_start(h, fn, number);
}

static void on_relay_at(void *arg, const struct tt_endpoint *at, unsigned count)
{
	struct serve *s = arg;

	hub_server_set_relay_at(s->server, at, count);
}

static enum hub_serve_outcome serve_metrics(struct serve *s)
{
	struct hub_metrics_sources from = {
		.server = s->server, .stun = s->stun, .signer = s->signer};

	if (s->metrics_fd < 0)
		return HUB_SERVE_ENDED;
	int err = hub_metrics_open(&s->loop, s->metrics_fd, &from, &s->metrics);
	s->metrics_fd = -1;
	return err ? refuse("cannot serve metrics", NULL, strerror(-err)) : HUB_SERVE_ENDED;
}

static enum hub_serve_outcome make_server(struct serve *s)
{
	s->opt.db_path = s->paths->db;
	s->opt.signer = s->signer;
	s->opt.limits = s->config.limits;
	s->opt.node_cert_days = s->config.node_cert_days;
	s->opt.relay_tcp_bytes_per_s = s->config.relay_tcp_bytes_per_s;
	int err = hub_server_create(&s->loop, &s->opt, &s->server);
	if (!err)
		err = hub_signer_attach(s->signer, &s->loop);
	if (!err && s->stun)
		err = hub_stun_attach(s->stun, &s->loop);
	for (unsigned i = 0; !err && i < s->listener_count; i++)
		err = hub_server_listen_fd(s->server, s->listeners[i]);
	if (!err && s->relay && !s->opt.relay_at_only)
		err = hub_relay_at_start(&s->loop, s->opt.settings.name,
					 hub_relay_udp_port(s->relay), on_relay_at, s,
					 &s->relay_at);
	if (err)
		return refuse("cannot start", NULL, strerror(-err));
	struct hub_control_sources from = {.server = s->server,
					   .stun = s->stun,
					   .signer = s->signer,
					   .name = s->opt.settings.name,
					   .started_s = (uint64_t)time(NULL)};
	err = hub_control_open(&s->loop, s->paths->control, &from, &s->control);
	if (err)
		return refuse("cannot make", s->paths->control, strerror(-err));
	return serve_metrics(s);
}

static enum hub_serve_outcome run(struct serve *s)
{
	int err = wire_uv_loop_init(&s->loop);
	if (err)
		return refuse("cannot start", NULL, strerror(-err));
	enum hub_serve_outcome o = make_server(s);
	if (o != HUB_SERVE_ENDED)
		return o;
	watch(s, &s->term, on_end_signal, SIGTERM);
	watch(s, &s->interrupt, on_end_signal, SIGINT);
	watch(s, &s->hangup, on_hangup, SIGHUP);
	uv_timer_init(&s->loop, &s->late);
	s->late.data = s;
	uv_timer_init(&s->loop, &s->day);
	s->day.data = s;
	look_at_certificate(s);
	look_at_clock(s);
	uv_timer_start(&s->day, on_day, DAY_MS, DAY_MS);
	tt_log(TT_LOG_INFO, "hub.ready", TT_F_STR("name", s->opt.settings.name),
	       TT_F_ENDPOINT("listen", &s->config.listen[0]),
	       TT_F_U64("stun_udp_port", s->opt.stun_udp_port),
	       TT_F_U64("relay_udp_port", s->relay ? hub_relay_udp_port(s->relay) : 0));
	tell_ready(s);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	if (!s->ended)
		return HUB_SERVE_ENDED; /* what hangs is left to the end of the process */
	hub_server_destroy(s->server);
	hub_relay_stop(s->relay);
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->interrupt, NULL);
	uv_close((uv_handle_t *)&s->hangup, NULL);
	uv_close((uv_handle_t *)&s->late, NULL);
	uv_close((uv_handle_t *)&s->watchdog, NULL);
	uv_close((uv_handle_t *)&s->day, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_loop_close(&s->loop);
	tt_log_flush(TT_LOG_FLUSH_ALL);
	tt_log(TT_LOG_INFO, "hub.ended");
	return HUB_SERVE_ENDED;
}

/* The signer has what was in it; nobody else shall. */
static bool forget_stdin(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	bool done = null >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO;

	if (null > STDIN_FILENO)
		close(null);
	return done;
}

static enum hub_serve_outcome prepare(struct serve *s)
{
	if (access(s->paths->db, F_OK) != 0)
		return refuse("no hub here:", s->paths->db,
			      "make one with `taltun-hub init --name HOST`");
	/* forked first: before any thread, and before anything but files was read */
	const char *ca_key = s->ca_key_stdin ? "-" : s->paths->ca_key;
	if (hub_signer_fork(s->paths->ca_cert, ca_key, &s->signer) != 0)
		return refuse("the signer did not start with", ca_key, "the log says why");
	if (s->ca_key_stdin && !forget_stdin())
		return refuse("standard input", NULL, "cannot be given up");
	if (load_files(s) != 0)
		return refuse("certificate or key cannot be read in", s->paths->state_dir,
			      "the log says why");
	enum hub_serve_outcome o = load_settings(s);

	if (o == HUB_SERVE_ENDED)
		o = bind_all(s);
	if (o == HUB_SERVE_ENDED)
		o = drop_rights(s);
	/* as the one who will take it away again */
	if (o == HUB_SERVE_ENDED && s->config.metrics_path[0])
		o = listen_metrics(s);
	return o == HUB_SERVE_ENDED ? start_relay(s) : o;
}

/* Nothing runs yet. */
static void give_up(struct serve *s)
{
	if (s->signer)
		hub_signer_stop(s->signer, NULL, NULL);
	if (s->stun)
		hub_stun_stop(s->stun, NULL, NULL);
	hub_relay_stop(s->relay);
	if (s->metrics_fd >= 0)
		close(s->metrics_fd);
	for (unsigned i = 0; i < s->listener_count; i++)
		close(s->listeners[i]);
	crypto_wipe(s, sizeof(*s));
	free(s);
}

enum hub_serve_outcome hub_serve(const struct hub_serve_options *opt)
{
	struct serve *s = calloc(1, sizeof(*s));
	char error[HUB_CONFIG_ERROR_MAX];

	if (!s)
		return HUB_SERVE_FAILED;
	s->paths = opt->paths;
	s->ca_key_stdin = opt->ca_key_stdin;
	s->metrics_fd = -1;
	tt_log_set_priorities(plat_logsink_is_journal(STDERR_FILENO));
	if (hub_config_load(opt->paths->config, &s->config, error) != 0) {
		/* people read it, or the journal does */
		if (plat_logsink_is_journal(STDERR_FILENO))
			tt_log(TT_LOG_ERROR, "config.invalid", TT_F_STR("error", error));
		else
			fprintf(stderr, "taltun-hub: %s\n", error);
		free(s);
		return HUB_SERVE_BAD_CONFIG;
	}
	if (opt->no_udp_relay)
		s->config.relay_udp_port = 0;
	tt_log_setup((enum tt_log_level)s->config.log_level,
		     (enum tt_log_format)s->config.log_format, STDERR_FILENO);
	plat_notify_begin(true);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* one that comes before the loop runs */
	raise_descriptors(s);
	enum hub_serve_outcome o = prepare(s);
	if (o != HUB_SERVE_ENDED) {
		give_up(s);
		return o;
	}
	o = run(s);
	crypto_wipe(&s->opt.key, sizeof(s->opt.key));
	/* after an early end parts of it may still be in use by a thread */
	if (s->ended)
		free(s);
	return o;
}
