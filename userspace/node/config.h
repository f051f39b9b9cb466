/* SPDX-License-Identifier: MIT
 *
 * The node's configuration as one flat blob: plain old data, offsets instead of pointers, so that
 * the privileged loader can hand it to the engine in a memfd that the engine maps read-only.
 * Between processes of one build only: `version` guards against a mix, not for compatibility.
 *
 * The loader guarantees (node_config_load): a valid interface name and a private key; every
 * public key once and never our own; every allowed prefix at exactly one peer (the later one),
 * host bits zero; peers in the file's order; certificate and key of [hub] fit each other, the CA
 * and the private key. Whoever maps a blob calls node_config_valid() first.
 */
#ifndef TT_NODE_CONFIG_H
#define TT_NODE_CONFIG_H

#include <stdio.h>
#include "base/addr.h"
#include "base/b64.h"
#include "base/log.h"
#include "base/types.h"

#define NODE_CONFIG_MAGIC   UINT32_C(0x54544346) /* "TTCF" */
#define NODE_CONFIG_VERSION 5

#define NODE_CONFIG_PEERS_MAX	    65536
#define NODE_CONFIG_ALLOWED_IPS_MAX 1000000
#define NODE_CONFIG_FILE_MAX	    (UINT32_C(64) << 20) /* bytes of text */
#define NODE_CONFIG_IFNAME_MAX	    16			 /* with the terminating zero */
#define NODE_CONFIG_XDP_INTERFACES  8
#define NODE_CONFIG_HUB_PORT	    443 /* where none is given */
#define NODE_CONFIG_ACCEPT_MAX	    256
#define NODE_CONFIG_NETWORKS_MAX    16
#define NODE_CONFIG_MASQUERADE_MAX  16
#define NODE_CONFIG_SUBNETS_MAX	    256
#define NODE_CONFIG_UMEM_MB	    256 /* where none is given */

/* A range of the blob: `count` elements from byte `off`. */
struct node_config_range {
	uint32_t off;
	uint32_t count;
};

/* Text in the blob: `len` bytes and a terminating zero. len 0: absent. */
struct node_config_text {
	uint32_t off;
	uint32_t len;
};

enum node_routes {
	NODE_ROUTES_ALLOWED_IPS, /* the default */
	NODE_ROUTES_NONE,	 /* wg-quick's Table = off */
	NODE_ROUTES_LIST,	 /* node_config.routes */
};

enum node_poll { NODE_POLL_ADAPTIVE, NODE_POLL_BUSY, NODE_POLL_INTERRUPT };
enum node_datapath_mode { NODE_DATAPATH_AUTO, NODE_DATAPATH_XDP, NODE_DATAPATH_SOCKET };
enum node_unknown_index { NODE_UNKNOWN_INDEX_DROP, NODE_UNKNOWN_INDEX_PASS };
enum node_aead { NODE_AEAD_AUTO, NODE_AEAD_AVX512, NODE_AEAD_IPSEC_MB, NODE_AEAD_LIBSODIUM };

enum node_firewall_mode {
	NODE_FIREWALL_AUTO, /* with [gateway], where the host has what it takes */
	NODE_FIREWALL_ON,   /* or the node does not start */
	NODE_FIREWALL_OFF,
};

enum node_hook {
	NODE_HOOK_PRE_UP,
	NODE_HOOK_POST_UP,
	NODE_HOOK_PRE_DOWN,
	NODE_HOOK_POST_DOWN,
	NODE_HOOK_COUNT
};

struct node_config_peer {
	uint8_t public_key[TT_KEY_LEN];
	uint8_t preshared_key[TT_KEY_LEN]; /* zero where there is none */
	uint8_t has_preshared_key;
	uint8_t roaming;    /* the endpoint follows the peer's packets; default: true */
	uint16_t keepalive; /* seconds; 0: off */
	struct node_config_text name;
	struct node_config_text host; /* of the endpoint, without brackets; len 0: none */
	struct tt_endpoint endpoint;  /* set where host is an address; otherwise resolve it */
	uint16_t udp_port;	      /* of the endpoint */
	uint16_t pad2;
	struct node_config_range allowed_ips; /* struct tt_cidr */
};

/* [hub]: the server that this node is enrolled with. */
struct node_config_hub {
	uint8_t given; /* 0: there is none, and nothing below */
	uint8_t pad;
	uint16_t tcp_port;
	struct node_config_text host; /* name or address, without brackets */
	struct node_config_text name; /* that its certificate is for */
	/* whole paths */
	struct node_config_text certificate_file, key_file, ca_file;
	struct node_config_text certificate, key, ca; /* DER */
	/* struct tt_cidr: subnets and default routes that gateways may have for us; the mesh's own
	 * addresses. Both become routes. */
	struct node_config_range accept, networks;
};

/* [gateway]: what this host forwards between the tunnel and the networks behind it. */
struct node_config_gateway {
	uint8_t given;	     /* 0: there is none, and nothing below */
	uint8_t firewall;    /* enum node_firewall_mode */
	uint8_t ip_forward;  /* set the host's sysctls while the node runs */
	uint8_t has_subnets; /* 0: those that `masquerade` leads to */
	/* struct node_config_text: interfaces behind which peers appear as this host */
	struct node_config_range masquerade;
	struct node_config_range subnets; /* struct tt_cidr: what peers may reach */
};

#define NODE_CONFIG_SOCKET_MAX 108 /* with the terminating zero */

/* [metrics] */
struct node_config_metrics {
	/* where they are served: at most one of the two */
	struct tt_endpoint address;	   /* TCP; not set: none */
	char path[NODE_CONFIG_SOCKET_MAX]; /* Unix socket; "": none */
	uint8_t per_peer;		   /* series of each peer; default: true */
	uint8_t pad[3];
};

static inline bool node_config_has_metrics(const struct node_config_metrics *m)
{
	return m->path[0] || tt_endpoint_is_set(&m->address);
}

/* Whether both are served at the same place. */
static inline bool node_config_metrics_same(const struct node_config_metrics *a,
					    const struct node_config_metrics *b)
{
	return strcmp(a->path, b->path) == 0 && tt_endpoint_equal(&a->address, &b->address);
}

struct node_config {
	uint32_t magic;
	uint32_t version;
	uint32_t size; /* of the whole blob, this header included */

	/* [interface] */
	char name[NODE_CONFIG_IFNAME_MAX];
	uint8_t private_key[TT_KEY_LEN];
	uint8_t has_private_key;
	uint8_t routes_mode;		    /* enum node_routes */
	uint16_t listen_port;		    /* 0: the kernel picks one */
	uint32_t mtu;			    /* 0: auto */
	uint32_t fwmark;		    /* 0: none */
	uint32_t table;			    /* routing table; 0: auto, as in wg-quick */
	struct node_config_range addresses; /* struct tt_cidr, host bits kept */
	struct node_config_range routes;    /* struct tt_cidr; NODE_ROUTES_LIST only */

	/* [interface], as wg-quick knows them */
	struct node_config_range dns;	     /* struct tt_ip */
	struct node_config_range dns_search; /* struct node_config_text */
	/* struct node_config_text: shell lines, in which "%i" stands for the interface's name */
	struct node_config_range hooks[NODE_HOOK_COUNT];
	uint8_t save_config; /* write the running state back to the wg-quick file at down */

	/* [datapath] */
	uint8_t poll;		       /* enum node_poll */
	uint8_t aead;		       /* enum node_aead */
	uint8_t forward_between_peers; /* default: false in TOML, true for a wg-quick file */
	uint8_t mode;		       /* enum node_datapath_mode */
	uint8_t unknown_index;	       /* enum node_unknown_index */
	uint32_t workers;	       /* 0: auto */
	uint32_t queues;	       /* of an interface; 0: auto, all of them */
	uint32_t umem_mb;	       /* of all queues together; 0: NODE_CONFIG_UMEM_MB */
	/* struct node_config_text: names; empty: those that packets to peers leave by */
	struct node_config_range interfaces;

	/* [log] */
	uint8_t log_level;  /* enum tt_log_level */
	uint8_t log_format; /* enum tt_log_format */
	uint8_t pad[2];

	struct node_config_metrics metrics;
	struct node_config_hub hub;
	struct node_config_gateway gateway;
	struct node_config_range peers; /* struct node_config_peer */
};

static inline const void *node_config_at(const struct node_config *cfg, uint32_t off)
{
	return (const char *)cfg + off;
}

/* Text of the blob; "" where absent. */
static inline const char *node_config_str(const struct node_config *cfg, struct node_config_text t)
{
	return t.len ? (const char *)node_config_at(cfg, t.off) : "";
}

static inline const struct node_config_peer *node_config_peer(const struct node_config *cfg,
							      uint32_t i)
{
	return (const struct node_config_peer *)node_config_at(cfg, cfg->peers.off) + i;
}

/* Element i of addresses, routes, a peer's allowed_ips, the hub's accept and networks, the
 * gateway's subnets. */
static inline const struct tt_cidr *node_config_cidr(const struct node_config *cfg,
						     struct node_config_range r, uint32_t i)
{
	return (const struct tt_cidr *)node_config_at(cfg, r.off) + i;
}

static inline const struct tt_ip *node_config_dns(const struct node_config *cfg, uint32_t i)
{
	return (const struct tt_ip *)node_config_at(cfg, cfg->dns.off) + i;
}

/* Element i of dns_search, interfaces, hooks[...] or the gateway's masquerade. */
static inline const char *node_config_line(const struct node_config *cfg,
					   struct node_config_range r, uint32_t i)
{
	const struct node_config_text *t = node_config_at(cfg, r.off);
	return node_config_str(cfg, t[i]);
}

/* Whether `blob` of `size` bytes is a configuration of this build with every range inside it. */
bool node_config_valid(const void *blob, size_t size);

/* Wipes and frees what node_config_load returned. NULL is fine. */
void node_config_free(struct node_config *cfg);

/* Every field as "key = value" lines in a fixed order; keys only as "(set)" or "(none)". */
void node_config_dump(const struct node_config *cfg, FILE *out);

/* Names as they are written in a file: "adaptive", "ipsec-mb", "allowed-ips", "post_up". */
const char *node_poll_name(enum node_poll poll);
const char *node_datapath_mode_name(enum node_datapath_mode mode);
const char *node_unknown_index_name(enum node_unknown_index policy);
const char *node_aead_name(enum node_aead aead);
const char *node_routes_name(enum node_routes mode);
const char *node_firewall_mode_name(enum node_firewall_mode mode);
const char *node_hook_name(enum node_hook hook);

#endif
