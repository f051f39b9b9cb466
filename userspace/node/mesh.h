/* SPDX-License-Identifier: MIT
 *
 * The node as a member of a hub's mesh: the connection to the hub, the map it sends, and for each
 * peer of the map the paths and which of them is used (mesh/path.h). Peers of the map are managed
 * peers of the device; those that the configuration has too are left alone. Control thread.
 */
#ifndef TT_NODE_MESH_H
#define TT_NODE_MESH_H

#include <uv.h>

#include "mesh/netmap.h"
#include "mesh/path.h"
#include "node/device.h"
#include "node/hub_link.h"

struct node_mesh;

/* What happens to peers and to the hub, for `taltun events` and the log. */
enum node_mesh_event_kind {
	NODE_MESH_HUB_UP,
	NODE_MESH_HUB_DOWN,
	NODE_MESH_PEER_ADDED,
	NODE_MESH_PEER_REMOVED,
	NODE_MESH_PATH_CHANGED,
	NODE_MESH_MTU_CHANGED,
	NODE_MESH_MAP_REFUSED,
};

struct node_mesh_event {
	enum node_mesh_event_kind kind;
	const char *peer; /* name, or "" */
	enum mesh_path_kind path, path_was;
	const char *why; /* never NULL */
	uint32_t mtu;
};

struct node_mesh_options {
	uv_loop_t *loop;
	struct node_device *device;
	struct tt_rng rng;
	struct node_hub_link_options hub; /* on: filled by the mesh but for resolve, socket, ctx */
	struct mesh_netmap_rules rules;	  /* accept: stays in place */
	char own_ifname[PLAT_IFNAME_MAX]; /* addresses of it are no candidates */
	bool loopback_too;		  /* 127.0.0.1 is a candidate: for tests on one host */
	/* Sends from the control thread's socket; as node_device_options.send. probe: DF set, for
	 * path MTU probes. */
	int (*send)(void *ctx, const struct plat_udp_dest *dest, const void *data, size_t len,
		    bool *lost_source);
	int (*send_probe)(void *ctx, const struct plat_udp_dest *dest, const void *data,
			  size_t len);
	/* The MTU on the way to an address: of the route, else of its link. */
	uint32_t (*route_mtu)(void *ctx, const struct tt_ip *to);
	/* Whether the configuration gives this prefix, or what lies around it, to a peer of its own
	 * rather than to the hub's network: then the map's peers do not get it. */
	bool (*is_claimed)(void *ctx, const struct tt_cidr *prefix);
	/* Whether dp_plane_relay_fd() is to be watched: not while the connection takes nothing. */
	void (*watch_relay)(void *ctx, bool on);
	/* Keeps the map (a blob) and a renewed certificate; asynchronous. */
	void (*save_map)(void *ctx, const void *bytes, size_t len);
	void (*save_cert)(void *ctx, const struct tls_der *cert);
	void (*event)(void *ctx, const struct node_mesh_event *e);
	void *ctx;
};

/* 0 or -errno. cached: the map that was kept, or NULL; what is wrong with it is logged. */
int node_mesh_create(const struct node_mesh_options *opt, const void *cached, size_t cached_len,
		     struct node_mesh **out);
void node_mesh_start(struct node_mesh *m);
/* Frees it when the link is closed; the device still exists then. NULL is allowed. */
void node_mesh_destroy(struct node_mesh *m, void (*closed)(void *arg), void *arg);

/* --- for the device's options ----------------------------------------------------------------- */

int node_mesh_send_route(struct node_mesh *m, const struct dp_route *route, const void *data,
			 size_t len);
void node_mesh_heard(struct node_mesh *m, struct node_peer *p, const struct dp_roam *from);
void node_mesh_wanted(struct node_mesh *m, struct node_peer *p);
/* Where a peer was reached directly by an earlier process of ours. */
void node_mesh_hint(struct node_mesh *m, struct node_peer *p, const struct tt_endpoint *at);
/* The device has removed a managed peer by itself. */
void node_mesh_peer_gone(struct node_mesh *m, struct node_peer *p);

/* --- events ----------------------------------------------------------------------------------- */

/* A datagram that is STUN or the relay's (first byte); others: false. */
bool node_mesh_datagram(struct node_mesh *m, const struct tt_endpoint *src, const struct tt_ip *dst,
			uint32_t ifindex, const uint8_t *bytes, size_t len);
/* What save_map() or save_cert() was given could not be kept: it comes again after a minute. */
void node_mesh_map_not_kept(struct node_mesh *m);
void node_mesh_cert_not_kept(struct node_mesh *m);
void node_mesh_resolved(struct node_mesh *m, const struct tt_endpoint *addr, unsigned count);
void node_mesh_network_changed(struct node_mesh *m);
/* A link's or a route's MTU may be another one now. */
void node_mesh_mtu_changed(struct node_mesh *m);
/* Other subnets and default routes of gateways are taken from now on; the list stays in place. */
void node_mesh_set_accept(struct node_mesh *m, const struct tt_cidr *accept, size_t count);
/* The configuration has other peers now: those of the map that it had may be used, and get what is
 * not claimed any more. Also peers that somebody has removed by hand. */
void node_mesh_reconfigured(struct node_mesh *m);
/* dp_plane_relay_fd() is readable. */
void node_mesh_pump(struct node_mesh *m);

/* --- looking ---------------------------------------------------------------------------------- */

struct node_mesh_peer_info {
	uint32_t node_id;
	bool gateway, online;
	enum mesh_path_kind kind;
	struct tt_endpoint remote; /* of a direct or punched path */
	uint32_t rtt_us;
	uint32_t inner_mtu;	    /* 0: not known yet */
	const char *why_not_direct; /* "" where it is */
	const char *cause;	    /* of the last change of path */
	struct tt_mono since;
};
/* False: not a peer of the map. */
bool node_mesh_peer_info(const struct node_mesh *m, const struct node_peer *p,
			 struct node_mesh_peer_info *out);
void node_mesh_hub_info(const struct node_mesh *m, struct node_hub_link_info *out);
struct node_mesh_map_info {
	uint32_t node_id, peers;
	char name[MESH_HUB_NAME_MAX + 1];
	uint64_t version, valid_until_s;
	struct tt_endpoint reflexive[2]; /* v4, v6; unset: not known */
	uint64_t drops[TT_DROP_COUNT];	 /* of STUN and relay messages in here */
};
void node_mesh_map_info(const struct node_mesh *m, struct node_mesh_map_info *out);

#endif
