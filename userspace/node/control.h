/* SPDX-License-Identifier: MIT
 *
 * The control socket /run/taltun/IFNAME.sock: one JSON object per line in, one per line out.
 *
 *	{"v":1,"op":"status"}        -> {"v":1,"ok":true,"status":{...}}; with
 *					"without":"allowed_ips" peers have none, for who asks every
 *					second
 *	{"v":1,"op":"reload"}        -> {"v":1,"ok":true}
 *	{"v":1,"op":"stop"}          -> {"v":1,"ok":true}, and the daemon ends
 *	{"v":1,"op":"log-level"}     -> {"v":1,"ok":true,"level":"info"}; with "level":"debug" it
 *					is that from now on
 *	{"v":1,"op":"events"}        -> {"v":1,"ok":true}, then a line for everything that happens
 *					(node/events.h) until the client goes; it asks nothing more
 *
 * What fails is answered with {"v":1,"ok":false,"kind":"...","error":"..."}; the kinds are those of
 * enum node_control_kind, the text is for people.
 *
 * "v" is the version of the protocol: unknown fields are ignored, another version is refused with
 * the ones that are spoken. Control thread.
 */
#ifndef TT_NODE_CONTROL_H
#define TT_NODE_CONTROL_H

#include <uv.h>

#include "base/log.h"
#include "node/device.h"
#include "node/xdp.h"

#define NODE_CONTROL_VERSION	 1
#define NODE_CONTROL_CLIENTS_MAX 32
#define NODE_CONTROL_LINE_MAX	 4096 /* of a request */
#define NODE_CONTROL_IDLE_MS	 30000

struct node_control;
struct node_mesh;

/* Why an operation failed, for whoever asks by program. */
enum node_control_kind {
	NODE_CONTROL_REQUEST, /* "request": not understood, nothing was tried */
	NODE_CONTROL_CONFIG,  /* "config": the configuration is invalid or cannot be read */
	NODE_CONTROL_FAILED,  /* "failed": anything else */
	NODE_CONTROL_KINDS
};

/* error: NULL where all went well (kind says nothing then). */
typedef void (*node_control_done)(void *arg, enum node_control_kind kind, const char *error);

/* Facts of the engine that the device does not know. */
struct node_control_about {
	const char *version;
	const char *mode;	 /* "config" or "uapi" */
	const char *config_file; /* "" in UAPI mode */
	const char *aead;
	const char *poll;
	unsigned tun_flags; /* enum plat_tun_flags */
	unsigned udp_flags; /* enum plat_udp_flags */
	struct plat_tun_offloads tun_offloads;
	struct plat_udp_offloads udp_offloads;
	bool steered;
	unsigned mtu;
	unsigned restarts;
	uint64_t uptime_ns;
	const struct node_mesh *mesh; /* NULL: no hub */
	struct node_xdp *xdp;	      /* NULL: only the sockets */
	uint32_t hung;		      /* bit per worker that the watchdog took out */
	const char *firewall;	      /* "on", "off", "missing"; NULL: no gateway */
	uint32_t firewall_restored;   /* times that others have changed it */
	uint64_t not_kept;	      /* times that state, map or certificate were not written */
};

/* What the engine tells about itself and does on request. */
struct node_control_ops {
	struct node_device *device;
	void (*describe)(void *ctx, struct node_control_about *about);
	/* Starts a reload; done is called later, on the control thread. */
	void (*reload)(void *ctx, node_control_done done, void *arg);
	void (*stop)(void *ctx);
	/* 0 or -errno. */
	int (*log_level)(void *ctx, enum tt_log_level level);
	void *ctx;
};

int node_control_serve(uv_loop_t *loop, int listen_fd, const struct node_control_ops *ops,
		       struct node_control **out);
void node_control_stop(struct node_control *c);

#endif
