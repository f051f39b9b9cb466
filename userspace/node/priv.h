/* SPDX-License-Identifier: MIT
 *
 * Between the unprivileged engine and the privileged monitor: a closed list of fixed-size requests
 * over one SOCK_SEQPACKET pair. A reply carries the request's id, a result, and descriptors. No
 * library handle and no pointer crosses. The monitor checks every field before it acts; a malformed
 * request ends the engine, because only a taken-over engine can send one.
 *
 * The monitor parses nothing that comes from the network. Requests are idempotent: an engine that
 * was restarted after a crash sends the same ones and gets duplicates of the descriptors that are
 * already open, addresses and routes that are already there.
 */
#ifndef TT_NODE_PRIV_H
#define TT_NODE_PRIV_H

#include "base/addr.h"
#include "base/types.h"
#include "plat/tun.h"

#define NODE_PRIV_FDS_MAX   48	/* 2 * (16 workers + 1), with room */
#define NODE_PRIV_ERROR_MAX 512 /* file:line:column and what was expected */

#define NODE_PRIV_CERT_MAX 4096

/* The firewall table of [gateway]. */
enum node_gateway_firewall {
	NODE_GATEWAY_OFF, /* not asked for */
	NODE_GATEWAY_ON,
	NODE_GATEWAY_MISSING,
};

/* What is kept in files. */
enum node_state_kind {
	NODE_STATE_KIND_STATE, /* STATE_DIR/IFNAME.state */
	NODE_STATE_KIND_MAP,   /* STATE_DIR/IFNAME.map */
	NODE_STATE_KIND_CERT,  /* certificate_file of [hub] */
	NODE_STATE_KIND_COUNT
};

enum node_priv_op {
	/*
	 * tun: name, queues, want_flags -> queues descriptors, u.tun. Opened once; asked again, the
	 * monitor returns duplicates of what is open. An interface of this name that is not ours:
	 * -EEXIST with text.
	 */
	NODE_PRIV_TUN_OPEN = 1,
	/*
	 * udp: udp_port (0: any), fwmark, workers -> u.udp and descriptors: v4 of worker 0 .. n-1,
	 * control's v4 (where have_v4), then the same for v6 (where have_v6). All in one
	 * SO_REUSEPORT group per family, steered; GRO is off until the engine turns it on. Not
	 * steered: u.udp.workers is 0 and there is control's one socket per family. What is open
	 * already, by its number or by having been asked for as 0 too: duplicates. Another
	 * udp_port: a new group is opened; the old one is closed by the monitor at
	 * NODE_PRIV_UDP_COMMIT (after the workers have switched), so that a failed change leaves
	 * the old one in place. The number of workers cannot change while an engine runs.
	 */
	NODE_PRIV_UDP_OPEN,
	NODE_PRIV_UDP_COMMIT,
	NODE_PRIV_UDP_FWMARK, /* udp.fwmark on the open group */
	/*
	 * tun_queue.on: puts a queue of the open TUN back into the kernel's flow steering, or takes
	 * it out, because its worker hangs. Done already: 0.
	 */
	NODE_PRIV_TUN_QUEUE,
	/*
	 * xdp.ifindex, xdp.mode (driver or generic, exactly this one), xdp.frame_limit -> the four
	 * descriptors of struct plat_xdp_fds, in its order. Attached already in this mode:
	 * duplicates, with what a dead engine left in the maps; in another mode: attached anew.
	 * Attachments live as long as the monitor. The maps of addresses and udp_ports are the
	 * monitor's: they follow the open group and the host. Refused: -errno of plat_xdp_attach()
	 * with its text; -ENOSPC: too many interfaces.
	 */
	NODE_PRIV_XDP_ATTACH,
	NODE_PRIV_XDP_DETACH, /* xdp.ifindex; 0: all of them. Not attached: 0 */
	NODE_PRIV_XDP_LIMIT,  /* xdp.ifindex, xdp.frame_limit: the MTU has changed */
	/* xdp_threaded.ifindex (attached), .on: as plat_xdp_set_threaded(). */
	NODE_PRIV_XDP_THREADED,
	/*
	 * xsk.umem_bytes -> AF_XDP socket and its memory, which the monitor does not keep. -ENOSPC:
	 * this engine has asked for too many.
	 */
	NODE_PRIV_XSK_OFFER,
	/* net: what the interface looks like from the host. */
	NODE_PRIV_NET_MTU, /* net.mtu */
	NODE_PRIV_NET_UP,  /* net.on: up or down */
	/*
	 * Only what the configuration loaded or committed last says may be added; anything else,
	 * and anything where there is none, ends the engine.
	 */
	NODE_PRIV_ADDR,	 /* net.on: add or remove net.prefix (address with its length) */
	NODE_PRIV_ROUTE, /* net.on, net.prefix, net.table, net.metric */
	/* Default route of net.prefix' family through the tunnel, by fwmark and policy rules. */
	NODE_PRIV_DEFAULT_ROUTE, /* net.on, net.prefix (family), net.fwmark, net.table */
	/* Listening unix sockets: -> one descriptor. */
	NODE_PRIV_LISTEN_UAPI,
	NODE_PRIV_LISTEN_CONTROL,
	/*
	 * Where [metrics] of the configuration loaded last, else of the one committed last, or of
	 * the settings in UAPI mode, says: -> one descriptor, that of before where nothing has
	 * changed; none, and what was open is closed, where it says nothing.
	 */
	NODE_PRIV_LISTEN_METRICS,
	/*
	 * Runs the loader child on the configuration file given at start: -> memfd holding a struct
	 * node_config (sealed), or error text. The first load of a restarted engine gets what was
	 * committed last. -EINVAL also where interface.name is no longer the one we run as.
	 */
	NODE_PRIV_CONFIG_LOAD,
	/* The engine has applied the configuration it loaded last; a restarted engine gets this
	   one. */
	NODE_PRIV_CONFIG_COMMIT,
	/* The engine has applied nothing of the configuration it loaded last: it is forgotten, and
	   all that is asked for is held against the one committed last. */
	NODE_PRIV_CONFIG_REFUSE,
	/*
	 * Makes firewall and forwarding of this host what [gateway] of the configuration loaded or
	 * committed last says -> u.gateway, also where it fails. Where the file does not insist, a
	 * firewall that cannot be made is a warning and 0. -ENOENT: no firewall program; -EPROTO:
	 * it refused; or -errno of a sysctl.
	 */
	NODE_PRIV_GATEWAY,
	/*
	 * hub.family -> a TCP socket, not connected, non-blocking, with the mark of the open udp
	 * group: it does not enter the tunnel. -EPERM where the configuration loaded or committed
	 * last has no [hub].
	 */
	NODE_PRIV_HUB_SOCKET,
	/*
	 * Saves state.len bytes (a descriptor travels with the request: a memfd) to the file of
	 * state.kind atomically: temp, fsync, rename, fsync of the directory. Of each kind one runs
	 * and one waits; a third STATE gets -EBUSY, a third MAP or CERT takes the place of the one
	 * that waits (which is answered with 0: a newer one is on its way). MAP and CERT: -EPERM
	 * without [hub]. CERT: one certificate as PEM text of at most NODE_PRIV_CERT_MAX bytes,
	 * otherwise -EINVAL.
	 */
	NODE_PRIV_STATE_SAVE,
	/* state.kind -> read-only descriptor of the saved file, or -ENOENT. CERT: it may be newer
	   than the one in the configuration. */
	NODE_PRIV_STATE_LOAD,
	/* The engine serves now: whoever started the daemon may return. Again after each reload. */
	NODE_PRIV_READY,
	/* log.level is the monitor's from now on, and that of every process it starts. Until the
	   next load of the configuration. */
	NODE_PRIV_LOG_LEVEL,
	/* The answer to NODE_SIGNAL_PING: the control thread gets on. */
	NODE_PRIV_ALIVE,
	/* The engine is about to end on purpose (signal, interface deleted, `taltun down`). */
	NODE_PRIV_EXIT, /* exit.status */
	NODE_PRIV_OP_COUNT
};

struct node_priv_request {
	uint32_t op; /* enum node_priv_op */
	uint32_t id; /* the requester's; comes back in the reply */
	union {
		struct {
			char name[PLAT_IFNAME_MAX];
			uint32_t queues;
			uint32_t want_flags; /* enum plat_tun_flags */
		} tun;
		struct {
			uint16_t udp_port;
			uint16_t workers;
			uint32_t fwmark;
		} udp;
		struct {
			struct tt_cidr prefix;
			uint32_t mtu;
			uint32_t table; /* 0: main */
			uint32_t metric;
			uint32_t fwmark;
			uint8_t on;
		} net;
		struct {
			uint32_t queue;
			uint8_t on;
		} tun_queue;
		struct {
			uint32_t ifindex;
			uint32_t mode;	      /* enum plat_xdp_mode */
			uint32_t frame_limit; /* bytes of a frame, Ethernet header included */
		} xdp;
		struct {
			uint32_t ifindex;
			uint8_t on;
		} xdp_threaded;
		struct {
			uint32_t umem_bytes;
		} xsk;
		struct {
			uint8_t family; /* enum tt_family */
		} hub;
		struct {
			uint32_t len;
			uint32_t kind; /* enum node_state_kind */
		} state;
		struct {
			uint32_t level; /* enum tt_log_level */
		} log;
		struct {
			int32_t status;
		} exit;
	} u;
};

struct node_priv_reply {
	uint32_t op;
	uint32_t id;
	int32_t result; /* 0 or -errno */
	uint32_t fds;	/* how many descriptors came with it */
	union {
		struct {
			char name[PLAT_IFNAME_MAX];
			uint32_t ifindex;
			uint32_t flags;
			uint32_t queues;
			uint32_t mtu;
			uint8_t tso, uso; /* enum plat_offload */
		} tun;
		struct {
			uint16_t udp_port;
			uint16_t workers;
			uint32_t flags; /* enum plat_udp_flags, as probed */
			uint8_t have_v4, have_v6;
			uint8_t steered;  /* 0: one socket per family for everything */
			uint8_t gso, gro; /* enum plat_offload */
		} udp;
		struct {
			uint8_t firewall;  /* enum node_gateway_firewall */
			uint32_t restored; /* times that others have changed it */
		} gateway;
	} u;
	char error[NODE_PRIV_ERROR_MAX]; /* what happened and what to do; empty on success */
};

/* --- engine side --------------------------------------------------------------------------- */

struct node_priv_client;

/* reply->fds descriptors in fds[] belong to the callback, which may send but not destroy the
 * client. Runs on the control thread. */
typedef void (*node_priv_done)(void *arg, const struct node_priv_reply *reply, const int *fds);

int node_priv_client_create(int fd, struct node_priv_client **out); /* takes the descriptor */
void node_priv_client_destroy(struct node_priv_client *c);
int node_priv_client_fd(const struct node_priv_client *c);
/*
 * Queues a request; fd_to_send is -1 or travels with it (closed afterwards). done may be NULL.
 * Never blocks; at most 4,096 requests wait, then -ENOBUFS.
 */
int node_priv_send(struct node_priv_client *c, struct node_priv_request *req, int fd_to_send,
		   node_priv_done done, void *arg);
/* Reads replies and runs their callbacks; call it when the descriptor is readable or writable.
 * -EPIPE: the monitor is gone. */
int node_priv_dispatch(struct node_priv_client *c);
/* True where requests wait for the socket to become writable. */
bool node_priv_wants_write(const struct node_priv_client *c);
/* True where replies came during a call, or the channel broke: dispatch before waiting for the
 * descriptor. */
bool node_priv_has_answers(const struct node_priv_client *c);
/* Runs those callbacks of such replies that have this arg. */
void node_priv_deliver(struct node_priv_client *c, const void *arg);
/*
 * Sends and waits, 5 s at most (12 s for NODE_PRIV_GATEWAY, 40 s for NODE_PRIV_CONFIG_LOAD), then
 * -ETIMEDOUT. Returns reply->result; reply->op is 0 where there was no answer. fds has room for
 * NODE_PRIV_FDS_MAX; NULL: descriptors are closed. Callbacks of other replies that arrive meanwhile
 * wait for the next node_priv_dispatch().
 */
int node_priv_call(struct node_priv_client *c, struct node_priv_request *req, int fd_to_send,
		   struct node_priv_reply *reply, int *fds);

#endif
