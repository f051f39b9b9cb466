/* SPDX-License-Identifier: MIT
 *
 * The monitor's own state, shared by monitor*.c alone.
 */
#ifndef TT_NODE_MONITOR_IMPL_H
#define TT_NODE_MONITOR_IMPL_H

#include <stdio.h>
#include <sys/types.h>

#include "base/log.h"
#include "node/firewall.h"
#include "node/monitor.h"
#include "node/net_set.h"
#include "node/xdp.h"
#include "plat/firewall.h"
#include "plat/netcfg.h"
#include "plat/sandbox.h"
#include "plat/tun.h"
#include "plat/xdp.h"

#define MONITOR_PATH_MAX    256
#define MONITOR_WORKERS_MAX PLAT_TUN_QUEUES_MAX
#define MONITOR_XDP_MAX	    8

/* What a configuration lets the engine ask of the host: addresses, routes, network interfaces. */
struct node_monitor_allowed {
	bool given; /* false: nothing */
	struct node_net_set set;
	uint32_t table, fwmark; /* 0: not configured */
	struct node_xdp_settings xdp;
	struct node_config_metrics metrics;
	bool hub;
	char certificate_file[MONITOR_PATH_MAX]; /* "": no hub */
};

/* A unix socket we listen on; given to every engine. */
struct node_monitor_listen {
	int fd; /* -1: not open */
	char path[MONITOR_PATH_MAX];
	dev_t dev; /* of the path when we bound it: we unlink no other */
	ino_t ino;
};

struct node_monitor_udp_group {
	bool open;
	bool steered;
	uint16_t requested; /* 0: any */
	uint16_t udp_port;
	uint16_t workers; /* as asked for */
	uint32_t fwmark;
	unsigned per_family; /* sockets: workers + 1, or 1 where not steered */
	bool have_v4, have_v6;
	int v4[MONITOR_WORKERS_MAX + 1], v6[MONITOR_WORKERS_MAX + 1];
};

struct node_monitor_udp {
	bool probed;
	unsigned flags;
	struct plat_udp_offloads offloads;
	bool given; /* to the running engine */
	struct node_monitor_udp_group current, next;
};

/* Interfaces that the steering program is attached to; they share the maps of the host. */
struct node_monitor_threaded {
	uint32_t ifindex;
	char name[PLAT_IFNAME_MAX];
};

struct node_monitor_xdp {
	struct {
		struct plat_xdp *xdp; /* NULL: free */
		uint32_t ifindex;
		enum plat_xdp_mode mode;
		bool threaded; /* by us; then name is set */
		char name[PLAT_IFNAME_MAX];
	} at[MONITOR_XDP_MAX];
	int watch; /* tells of changed addresses; -1: nothing is attached */
	/* left behind by a monitor that was killed, and not put back yet */
	struct node_monitor_threaded left[MONITOR_XDP_MAX];
	unsigned left_count;
	unsigned offers; /* sockets given to the running engine */
};

/* The table of [gateway]. */
struct node_monitor_firewall {
	struct node_firewall plan;
	char *script; /* that made the table which stands, or did; NULL: none */
	struct plat_firewall_watch watch;
	unsigned expected; /* transactions of our own that the watch has not told of yet */
	/* when others keep changing it */
	struct tt_mono put_back_at, again_at; /* the last time; the next try, 0: none */
	uint64_t backoff_ms;
	uint32_t restored;
	char what[16], by[32]; /* the last change, and who made it */
};

/* What a child that did one job has to say; at most PIPE_BUF, so that it arrives whole. */
struct node_monitor_job_result {
	int32_t result;
	char name[PLAT_IFNAME_MAX]; /* loader: interface.name */
	uint8_t log_level, log_format;
	char error[NODE_PRIV_ERROR_MAX];
};

/* A forked child that does one blocking thing for one request. */
struct node_monitor_job {
	pid_t pid;   /* 0: it has ended */
	int pipe;    /* its result comes here; -1: no job */
	int fd;	     /* what it works on; -1: none */
	uint32_t id; /* of the request */
	bool wanted; /* the engine that asked still lives */
	struct tt_mono deadline;
};

/* The saver of one kind of file, and the request that waits for it. */
struct node_monitor_save {
	struct node_monitor_job job;
	int next_fd; /* -1: none waits */
	uint32_t next_id, next_len;
};

struct node_monitor_channel {
	int fd;	      /* -1: no engine */
	bool blocked; /* `reply` waits for room in the socket; nothing is read until then */
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX]; /* of the reply */
	bool close_fds;		    /* after sending */
};

struct node_monitor_engine {
	pid_t pid;     /* 0: none */
	int signal_fd; /* write end */
	int memory_fd;
	unsigned restarts;
	unsigned crashes; /* in a row */
	bool leaving;	  /* NODE_PRIV_EXIT came */
	int leaving_status;
	bool config_given; /* this engine has loaded its configuration once */
	struct tt_mono started;
	struct tt_mono start_at; /* restart due; 0: none */
	struct tt_mono kill_at;	 /* has to be gone by then; 0: may run */
};

struct node_monitor {
	const struct node_monitor_options *opt;
	struct plat_sandbox_user user;
	char name[PLAT_IFNAME_MAX]; /* empty until the configuration told */
	char run_dir[MONITOR_PATH_MAX], wg_dir[MONITOR_PATH_MAX], state_dir[MONITOR_PATH_MAX];
	int lock_fd;
	char lock_path[MONITOR_PATH_MAX];

	struct node_monitor_channel channel;
	struct node_monitor_engine engine;
	pid_t resolver;
	unsigned resolver_crashes;
	struct tt_mono resolver_started, resolver_start_at;
	int resolver_fds[2]; /* engine's end, resolver's end; both kept for restarts */

	bool tun_open;
	struct plat_tun_info tun;
	struct plat_tun_offloads tun_offloads;
	struct plat_netcfg *net; /* NULL: no interface yet */
	unsigned net_adds;	 /* asked for by the running engine */
	bool net_unguarded;	 /* the firewall table of the default route is missing: told */
	struct node_monitor_udp udp;
	struct node_monitor_xdp xdp;
	struct node_monitor_firewall firewall;
	unsigned forward; /* sysctls that we have set: monitor_forward.c */
	struct node_monitor_listen uapi, control;
	struct node_monitor_listen metrics;	/* path "": TCP */
	struct node_config_metrics metrics_are; /* what it was opened for */
	int config_loaded, config_committed;	/* sealed memfds; -1: none */
	/* by them */
	struct node_monitor_allowed allowed_loaded, allowed_committed;
	struct { /* of our log, before what is loaded now */
		enum tt_log_level level;
		enum tt_log_format format;
	} log_before;
	struct node_monitor_job load;
	struct node_monitor_save save[NODE_STATE_KIND_COUNT];

	struct tt_mono ping_at; /* the engine is asked whether it lives; 0: not yet */
	bool stopping, done, reported;
	int status;			      /* of the whole program */
	char last_error[NODE_PRIV_ERROR_MAX]; /* of the last request that failed */
};

/* --- monitor_request.c: the channel -------------------------------------------------------- */

/* Reads requests until there is no more or a reply has to wait. */
void node_monitor_serve(struct node_monitor *m);
/* Sends what had to wait. */
void node_monitor_channel_flush(struct node_monitor *m);
void node_monitor_channel_close(struct node_monitor *m);
/*
 * Fills in op, id and count of descriptors and sends; close_fds: they are ours no longer. Only
 * where the channel is not blocked.
 */
void node_monitor_reply(struct node_monitor *m, uint32_t op, uint32_t id,
			struct node_priv_reply *reply, const int *fds, unsigned nfds,
			bool close_fds);
/* Sets result and text of a reply; returns err. */
int node_monitor_fail(struct node_priv_reply *reply, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* --- monitor_child.c: engine and resolver --------------------------------------------------- */

/* 0 or -errno. */
int node_monitor_engine_start(struct node_monitor *m);
int node_monitor_resolver_start(struct node_monitor *m);
void node_monitor_engine_signal(struct node_monitor *m, char byte);
/* Kills it for a reason; its end is then handled as any crash. */
void node_monitor_engine_kill(struct node_monitor *m);
/* Takes in every child that ended. */
void node_monitor_reap(struct node_monitor *m);
/* Starts what is due, kills what is overdue; the earliest deadline left, or 0. */
struct tt_mono node_monitor_child_timers(struct node_monitor *m, struct tt_mono now);
/* First thing in every child. keep: its descriptors. */
void node_monitor_child_begin(const char *process, pid_t parent, const int *keep, unsigned n);

/* --- monitor_job.c: loader and saver --------------------------------------------------------- */

/* Work of the child: fills the result. */
typedef void (*node_monitor_work)(struct node_monitor *m, const struct node_monitor_job *job,
				  uint32_t len, struct node_monitor_job_result *result);
/* Forks. fd becomes the job's. 0 or -errno (fd is closed then). */
int node_monitor_job_start(struct node_monitor *m, struct node_monitor_job *job,
			   const char *process, node_monitor_work work, uint32_t id, int fd,
			   uint32_t len);
/* Called when the pipe is readable or the deadline has passed. job->fd is left to the caller. */
void node_monitor_job_finish(struct node_monitor *m, struct node_monitor_job *job,
			     struct node_monitor_job_result *result);
void node_monitor_job_abandon(struct node_monitor_job *job);
/* True until node_monitor_job_finish() has taken the result. */
static inline bool node_monitor_job_runs(const struct node_monitor_job *job)
{
	return job->pipe >= 0;
}

/* --- requests: 0, or -errno with reply's text. fds has room for NODE_PRIV_FDS_MAX. ---------- */

int node_monitor_tun_open(struct node_monitor *m, const struct node_priv_request *req,
			  struct node_priv_reply *reply, int *fds, unsigned *nfds);
void node_monitor_tun_close(struct node_monitor *m);
/* Says why an offload is off, or that nobody knows what it is worth. */
void node_monitor_log_offload(const char *name, enum plat_offload offload);
int node_monitor_tun_queue(struct node_monitor *m, const struct node_priv_request *req,
			   struct node_priv_reply *reply);

/* monitor_xdp.c */
int node_monitor_xdp_attach(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int *fds, unsigned *nfds);
int node_monitor_xdp_detach(struct node_monitor *m, const struct node_priv_request *req);
int node_monitor_xdp_limit(struct node_monitor *m, const struct node_priv_request *req,
			   struct node_priv_reply *reply);
/* monitor_threaded.c: of m->xdp.at[i]. 0 or -errno, -ENOTSUP where it cannot be had. */
int node_monitor_threaded_set(struct node_monitor *m, int i, bool on);
/* plat_xdp_detach() put it back, or its interface is gone. */
void node_monitor_threaded_forget(struct node_monitor *m, int i);
/* Learns what a monitor of this name left behind when it was killed. Before anything attaches.
 */
void node_monitor_threaded_recover(struct node_monitor *m);
/* Puts that back, as far as it can be now; again after each attachment. */
void node_monitor_threaded_put_back(struct node_monitor *m);
int node_monitor_xdp_threaded(struct node_monitor *m, const struct node_priv_request *req,
			      struct node_priv_reply *reply);
int node_monitor_xsk_offer(struct node_monitor *m, const struct node_priv_request *req,
			   struct node_priv_reply *reply, int *fds, unsigned *nfds);
/* The open udp_ports have changed. */
void node_monitor_xdp_ports(struct node_monitor *m);
/* The watch descriptor is readable. */
void node_monitor_xdp_watch(struct node_monitor *m);
/* What is allowed has changed: attachments that no longer are go. */
void node_monitor_xdp_review(struct node_monitor *m);
void node_monitor_xdp_close(struct node_monitor *m);

int node_monitor_udp_open(struct node_monitor *m, const struct node_priv_request *req,
			  struct node_priv_reply *reply, int *fds, unsigned *nfds);
int node_monitor_udp_commit(struct node_monitor *m);
int node_monitor_udp_fwmark(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply);
void node_monitor_udp_close(struct node_monitor *m);
int node_monitor_hub_socket(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int *fds, unsigned *nfds);

/* monitor_allowed.c: blob is what the loader made. 0 or -errno. */
int node_monitor_allow(const void *blob, size_t size, struct node_monitor_allowed *out);
void node_monitor_disallow(struct node_monitor_allowed *a);
/* Whether a request about addresses and routes is one that a sound engine could make. */
bool node_monitor_is_allowed(const struct node_monitor *m, const struct node_priv_request *req);
/* Whether steering may be attached to this interface in this mode. */
bool node_monitor_xdp_is_allowed(const struct node_monitor *m, const char *interface,
				 enum plat_xdp_mode mode);
/* Whether AF_XDP sockets may be asked for at all. */
bool node_monitor_xsk_is_allowed(const struct node_monitor *m);
/* Where metrics may be served now. */
struct node_config_metrics node_monitor_metrics_wanted(const struct node_monitor *m);
/* Whether there is a hub to speak with; and where its certificate goes: NULL where there is none.
 */
bool node_monitor_hub_is_allowed(const struct node_monitor *m);
const char *node_monitor_certificate_file(const struct node_monitor *m);

int node_monitor_net(struct node_monitor *m, const struct node_priv_request *req,
		     struct node_priv_reply *reply);
/* The device is there: prepare its addresses and routes. 0 or -errno. */
int node_monitor_net_begin(struct node_monitor *m);
uint32_t node_monitor_net_mtu(const struct node_monitor *m);
void node_monitor_net_undo(struct node_monitor *m);

/* monitor_firewall.c: what [gateway] of the configuration loaded or committed last asks for. */
int node_monitor_gateway(struct node_monitor *m, struct node_priv_reply *reply);
/* The tunnel has moved to another udp_port. */
void node_monitor_gateway_udp_port(struct node_monitor *m);
/* Removes what a monitor of this name left behind when it was killed. */
void node_monitor_gateway_recover(struct node_monitor *m);
void node_monitor_gateway_undo(struct node_monitor *m);
/* The watch descriptor is readable. */
void node_monitor_firewall_watch(struct node_monitor *m);
/* Puts the table back where that had to wait; when it is due, or 0. */
struct tt_mono node_monitor_firewall_timer(struct node_monitor *m, struct tt_mono now);
/* monitor_forward.c: 0, or -errno of the first with the reply's text. */
int node_monitor_forward(struct node_monitor *m, const struct node_firewall *plan,
			 struct node_priv_reply *reply);
void node_monitor_forward_recover(struct node_monitor *m);
void node_monitor_forward_undo(struct node_monitor *m);

int node_monitor_listen(struct node_monitor *m, struct node_monitor_listen *l, const char *dir,
			struct node_priv_reply *reply);
/* At l->path, whose folder exists, with all rights but those in umask_bits. 0 or -errno:
 * -EADDRINUSE: another program serves it; -EEXIST: it is no socket. */
int node_monitor_listen_at(struct node_monitor_listen *l, mode_t umask_bits);
void node_monitor_listen_close(struct node_monitor_listen *l);
/* monitor_metrics.c */
int node_monitor_listen_metrics(struct node_monitor *m, struct node_priv_reply *reply, int *fds,
				unsigned *nfds);

/* Starts the loader, or answers at once (fds, nfds) with what was committed: then *now is true. */
int node_monitor_config_load(struct node_monitor *m, const struct node_priv_request *req,
			     struct node_priv_reply *reply, int *fds, unsigned *nfds, bool *now);
void node_monitor_config_loaded(struct node_monitor *m);
int node_monitor_config_commit(struct node_monitor *m, struct node_priv_reply *reply);
/* What was loaded and not committed is forgotten. */
void node_monitor_config_refuse(struct node_monitor *m);
void node_monitor_config_close(struct node_monitor *m);

/* Starts or queues the saver; the reply comes later. fd is taken. */
int node_monitor_state_save(struct node_monitor *m, const struct node_priv_request *req, int fd,
			    struct node_priv_reply *reply);
void node_monitor_state_init(struct node_monitor *m);
/* The saver of this kind has ended, or is late. */
void node_monitor_state_saved(struct node_monitor *m, enum node_state_kind kind);
int node_monitor_state_load(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int *fds, unsigned *nfds);
/* A child has ended; any but a saver is of no interest. */
void node_monitor_state_reaped(struct node_monitor *m, pid_t pid);
/* The engine is no more: nobody waits for replies; crashed: what it queued is worth nothing. */
void node_monitor_state_orphan(struct node_monitor *m);
void node_monitor_state_drop_queued(struct node_monitor *m);
/* Lets saves that run come to their end, a second at most. */
void node_monitor_state_finish(struct node_monitor *m);

/* --- monitor_notify.c: what a service manager hears --------------------------------------------
 */

void node_monitor_notify_ready(struct node_monitor *m);
/* The file is read again: NODE_PRIV_READY will follow. */
void node_monitor_notify_reloading(struct node_monitor *m);
void node_monitor_notify_crashed(struct node_monitor *m);
void node_monitor_notify_stopping(struct node_monitor *m);
/* Pings the engine when that is due; when it will be, or 0. */
struct tt_mono node_monitor_notify_timer(struct node_monitor *m, struct tt_mono now);
/* The engine has answered. */
void node_monitor_notify_alive(void);

/* --- monitor_lock.c --------------------------------------------------------------------------- */

/* One daemon per interface name. 0, or -EBUSY and others with text (cap bytes). */
int node_monitor_lock(struct node_monitor *m, char *text, size_t cap);
void node_monitor_unlock(struct node_monitor *m);

/* The earlier of two deadlines; 0 is none. */
static inline struct tt_mono node_monitor_sooner(struct tt_mono a, struct tt_mono b)
{
	if (!tt_mono_is_set(a) || (tt_mono_is_set(b) && tt_mono_before(b, a)))
		return b;
	return a;
}

/* --- monitor_file.c --------------------------------------------------------------------------- */

/* Makes one directory where it is missing. 0 or -errno. */
int node_monitor_mkdir(const char *path, mode_t mode);
/* Text into a buffer of MONITOR_PATH_MAX: DIR/NAME+suffix. 0 or -ENAMETOOLONG. */
int node_monitor_path(char out[MONITOR_PATH_MAX], const char *dir, const char *name,
		      const char *suffix);
/* All of it. 0 or -errno. */
int node_monitor_write(int fd, const void *data, size_t len);
/* The file is the old one or the new one, never half; it need not outlive the host. 0 or -errno. */
int node_monitor_replace(const char *path, const char *text, mode_t mode);

/* --- monitor.c ----------------------------------------------------------------------------------
 */

/* Tells whoever waits for the start, once. */
void node_monitor_report(struct node_monitor *m, int status, const char *text);
/* Ends the loop; the first status stands. */
void node_monitor_end(struct node_monitor *m, int status);
/* As they were before the monitor: for its children. */
void node_monitor_signals_restore(void);

#endif
