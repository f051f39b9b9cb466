/* SPDX-License-Identifier: MIT
 *
 * The control socket /run/taltun/IFNAME.sock: one JSON object per line in, one per line out.
 *
 *	{"v":1,"op":"status"}        -> {"v":1,"ok":true,"status":{...}}
 *	{"v":1,"op":"reload"}        -> {"v":1,"ok":true} or {"v":1,"ok":false,"error":"..."}
 *	{"v":1,"op":"stop"}          -> {"v":1,"ok":true}, and the daemon ends
 *
 * "v" is the version of the protocol: unknown fields are ignored, another version is refused with
 * the ones that are spoken. Control thread.
 */
#ifndef TT_NODE_CONTROL_H
#define TT_NODE_CONTROL_H

#include <uv.h>

#include "node/device.h"
#include "node/xdp.h"

#define NODE_CONTROL_VERSION	 1
#define NODE_CONTROL_CLIENTS_MAX 32
#define NODE_CONTROL_LINE_MAX	 4096 /* of a request */
#define NODE_CONTROL_IDLE_MS	 30000

struct node_control;

/* Facts of the engine that the device does not know. */
struct node_control_about {
	const char *version;
	const char *mode;	 /* "config" or "uapi" */
	const char *config_file; /* "" in UAPI mode */
	const char *aead;
	const char *poll;
	unsigned tun_flags; /* enum plat_tun_flags */
	unsigned udp_flags; /* enum plat_udp_flags */
	bool steered;
	unsigned mtu;
	unsigned restarts;
	uint64_t uptime_ns;
	struct node_xdp *xdp; /* NULL: only the sockets */
	uint32_t hung;	      /* bit per worker that the watchdog took out */
};

/* What the engine tells about itself and does on request. */
struct node_control_ops {
	struct node_device *device;
	void (*describe)(void *ctx, struct node_control_about *about);
	/* Starts a reload; done is called later, on the control thread, with NULL or an error text.
	 */
	void (*reload)(void *ctx, void (*done)(void *arg, const char *error), void *arg);
	void (*stop)(void *ctx);
	void *ctx;
};

int node_control_serve(uv_loop_t *loop, int listen_fd, const struct node_control_ops *ops,
		       struct node_control **out);
void node_control_stop(struct node_control *c);

#endif
