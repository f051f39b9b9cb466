/* SPDX-License-Identifier: MIT
 *
 * The engine's own state, shared by engine*.c alone.
 */
#ifndef TT_NODE_ENGINE_IMPL_H
#define TT_NODE_ENGINE_IMPL_H

#include <uv.h>

#include "node/auto_mtu.h"
#include "node/config.h"
#include "node/control.h"
#include "node/device.h"
#include "node/engine.h"
#include "node/memory.h"
#include "node/mesh.h"
#include "node/metrics.h"
#include "node/net.h"
#include "node/priv.h"
#include "node/uapi.h"
#include "node/watchdog.h"
#include "node/xdp.h"

/* Sockets of one udp_port; index `workers` is the control thread's own. */
struct node_sockets {
	uint16_t udp_port;
	unsigned workers;
	unsigned flags; /* enum plat_udp_flags */
	struct plat_udp_offloads offloads;
	bool steered;
	int fd4[DP_WORKERS_MAX + 1];
	int fd6[DP_WORKERS_MAX + 1];
};

struct node_engine {
	const struct node_engine_start *start;
	struct node_priv_client *priv;
	struct node_memory *memory;
	struct node_config *config; /* mapped copy of what was applied last; NULL in UAPI mode */
	struct plat_tun_info tun;
	struct plat_tun_offloads tun_offloads;
	unsigned mtu;
	struct node_sockets sockets;
	uint32_t fwmark;	   /* of the sockets */
	struct node_net_mark mark; /* that the configuration asks for */
	struct dp_plane *plane;
	struct node_device *device;
	struct node_net *net;
	struct node_xdp *xdp;
	struct node_mesh *mesh; /* NULL: no hub */
	uv_poll_t *poll_relay;	/* what workers send by the hub; NULL: nothing is watched */
	struct node_watchdog *watchdog;
	struct {
		enum node_gateway_firewall firewall;
		uint32_t restored; /* times that others have changed it */
		bool asked;	   /* the monitor has something to take back */
	} gateway;
	bool gro_refused;	/* by an interface in generic mode */
	unsigned starved_ticks; /* of a zero-copy queue */
	struct node_uapi *uapi;
	struct node_control *control;
	struct {
		struct wire_http *http;	       /* NULL: not served */
		struct node_config_metrics at; /* as configured */
		struct tt_mono again;	       /* when the socket is asked for again; 0: not */
		bool told;
	} metrics;
	const char *aead;

	uv_loop_t loop;
	uv_poll_t poll_priv, poll_signal, poll_resolver, poll_doorbell, poll_deadline, poll_watch;
	/* allocated: a closed handle outlives the socket it was for by one loop turn */
	uv_poll_t *poll_udp4, *poll_udp6, *poll_routes;
	uv_timer_t beat;      /* watchdog, interfaces */
	uv_timer_t second;    /* housekeeping once a second */
	uv_timer_t deadline;  /* where the platform has no deadline descriptor */
	uv_idle_t more;	      /* handshakes wait: go on after one look at everything else */
	uv_prepare_t answers; /* replies of the monitor that came during a call */
	int deadline_fd;
	int watch_fd;
	uint8_t *udp_buffers;

	struct tt_mono started;
	struct tt_mono state_saved;
	uint64_t not_kept;     /* times that something for the disk did not get there */
	uv_timer_t memory_due; /* runs for a while after every save */
	bool memory_behind;    /* there is news since */
	uint64_t kept_changes; /* node_device_changes() that memory and state know of */
	bool network_changed;  /* and the device was not told yet */
	bool link_lost;	       /* the interface was up, and somebody took it down */
	struct tt_mono network_told;
	bool stopping;
	bool reloading;
	int status; /* enum node_exit */
};

/* engine.c */
void node_engine_stop(struct node_engine *e, int status);
/* Our own inner addresses, as the configuration has them, become the source of ICMP errors. */
void node_engine_publish_addresses(struct node_engine *e);

/* engine_io.c: descriptors of the loop. */
int node_engine_io_start(struct node_engine *e);
void node_engine_io_stop(struct node_engine *e);
int node_engine_send(void *ctx, const struct plat_udp_dest *dest, const void *data, size_t len,
		     bool *lost_source);
void node_engine_arm(void *ctx, struct tt_mono deadline);
void node_engine_resolve(void *ctx, uint32_t query, const char *host, uint16_t udp_port);
/* Opens (or moves to) a udp_port and switches workers and loop over. */
int node_engine_open_udp(struct node_engine *e, uint16_t udp_port);
int node_engine_rebind(void *ctx, uint16_t udp_port, uint16_t *bound);
int node_engine_set_fwmark(void *ctx, uint32_t fwmark);

/* All members of a group or none: the kernel asks any of them when it coalesces. */
void node_engine_set_gro(const struct node_sockets *s, bool on);

/* engine_xdp.c */
int node_engine_xdp_create(struct node_engine *e);
/* With peers and loop: attaches what is wanted, starts the watch. */
void node_engine_xdp_start(struct node_engine *e);
void node_engine_xdp_configure(struct node_engine *e); /* after a reload */
void node_engine_xdp_watch(struct node_engine *e);
void node_engine_xdp_unwatch(struct node_engine *e); /* before the loop closes */
void node_engine_xdp_destroy(struct node_engine *e); /* before the plane stops */
void node_engine_index(void *ctx, uint32_t index, bool on);
enum node_link node_engine_find_link(void *ctx, const struct plat_udp_dest *dest,
				     struct dp_link *out);

/* engine_mesh.c: the node in a hub's mesh. */
#define NODE_ENGINE_HUB_QUERY UINT32_C(1) /* to the resolver: no peer's query has generation 0 */
int node_engine_mesh_create(struct node_engine *e);
void node_engine_mesh_start(struct node_engine *e);
/* Before the loop closes: runs it until the mesh is gone. */
void node_engine_mesh_destroy(struct node_engine *e);
/* A datagram from our own socket or a worker's; false: it is not the mesh's. */
bool node_engine_mesh_datagram(struct node_engine *e, const struct plat_udp_rx *rx);
void node_engine_mesh_datagrams(struct node_engine *e);
int node_engine_send_route(void *ctx, const struct dp_route *route, const void *data, size_t len);
void node_engine_heard(void *ctx, struct node_peer *p, const struct dp_roam *from);
void node_engine_wanted(void *ctx, struct node_peer *p);
void node_engine_peer_gone(void *ctx, struct node_peer *p);

/* For struct node_control_ops; ctx is the engine. */
void node_engine_describe(void *ctx, struct node_control_about *about);

/* engine_metrics.c: serves what the configuration, or the settings, ask for now. 0 or -errno with
 * text in error; then it is tried again. */
int node_engine_metrics_configure(struct node_engine *e, char *error, size_t cap);
void node_engine_metrics_tick(struct node_engine *e, struct tt_mono now);
void node_engine_metrics_stop(struct node_engine *e);

/* engine_gateway.c: firewall and forwarding of the host. At the start only what the configuration
 * insists on is an error; at a reload everything. 0 or -errno with text in error. */
int node_engine_gateway_start(struct node_engine *e, char *error, size_t cap);
int node_engine_gateway_reload(struct node_engine *e, const struct node_config *cfg, char *error,
			       size_t cap);
/* Others have changed the firewall's table. */
void node_engine_gateway_changed(struct node_engine *e, bool restored);

/* engine_reload.c */
void node_engine_reload(struct node_engine *e);
/* The same; done (may be NULL) gets NULL or what went wrong. */
void node_engine_reload_for(void *ctx, node_control_done done, void *arg);
/* The one it names, or what fits the way to the peers. e->mark is known. */
unsigned node_engine_config_mtu(const struct node_engine *e, const struct node_config *cfg);
/* Asks the monitor for the configuration: maps the blob it answers with. 0 or -errno; text in
 * error. */
int node_engine_load_config(struct node_engine *e, struct node_config **out, char *error,
			    size_t cap);
void node_engine_config_free(struct node_config *cfg);
/* Wipes the keys of a configuration that was applied: the device has them, in locked memory. */
void node_engine_config_forget_keys(struct node_config *cfg);

/* engine_log.c; reload: the file's level counts again, whatever was said since. */
void node_engine_log_configure(const struct node_engine *e, const struct node_config *cfg,
			       bool reload);
/* Names what the file has and a daemon does not do, where nobody is there who does. */
void node_engine_log_undone(const struct node_engine *e, const struct node_config *cfg);
/* In all processes, until the next reload. 0 or -errno. */
int node_engine_log_level(void *ctx, enum tt_log_level level);

/* engine_keep.c: what outlives the engine. */
void node_engine_memory_save(struct node_engine *e);
/* Now, or within 50 ms: scripts set peers one by one, and every save writes all of them. */
void node_engine_memory_soon(struct node_engine *e);
void node_engine_memory_restore(struct node_engine *e);
void node_engine_state_load(struct node_engine *e);
void node_engine_state_save(struct node_engine *e, bool wait);

#endif
