/* SPDX-License-Identifier: MIT
 *
 * A configuration while it is being read: growing arrays, where each thing stood in the text, and
 * the first error. node_draft_seal turns it into the flat blob. Private to the config_*.c files.
 */
#ifndef TT_NODE_CONFIG_DRAFT_H
#define TT_NODE_CONFIG_DRAFT_H

#include "node/config_load.h"

/* Which source a setting came from; the later ones win. */
enum node_level { NODE_LEVEL_FILE, NODE_LEVEL_ENV, NODE_LEVEL_FLAG };

/*
 * A place: line and column of a file (0: the file as a whole), or a setting "name=value" of the
 * environment or a flag, of which messages show the name only.
 */
struct node_where {
	const char *source; /* outlives the draft */
	uint32_t line, column;
	enum node_level level;
};

struct node_pool {
	char *base;
	size_t len, cap;
};

struct node_draft_peer {
	struct node_where header; /* the [[peer]] line */
	struct node_where public_key;
	struct node_where name;
};

struct node_draft_place {
	uint32_t line, column;
};

/* The files of [hub], in the order of the schema's keys. */
enum node_hub_file { NODE_HUB_CERTIFICATE, NODE_HUB_KEY, NODE_HUB_CA, NODE_HUB_FILE_COUNT };

struct node_draft_hub {
	bool seen; /* [hub], or a setting of it */
	struct node_where header, server;
	struct node_config_text file[NODE_HUB_FILE_COUNT]; /* as given; len 0: the default */
	struct node_where file_at[NODE_HUB_FILE_COUNT];
};

struct node_draft_gateway {
	struct node_where header, masquerade, subnets;
};

struct node_draft {
	struct node_config
		cfg; /* ranges and texts count from the start of their pool until sealed */
	struct node_pool peers;	      /* struct node_config_peer */
	struct node_pool peer_places; /* struct node_draft_peer, same index */
	struct node_pool cidrs;	      /* struct tt_cidr */
	struct node_pool cidr_places; /* struct node_draft_place, same index */
	struct node_pool ips;	      /* struct tt_ip */
	struct node_pool lines;	      /* struct node_config_text */
	struct node_pool text;	      /* bytes */
	struct node_pool items;	      /* struct node_item: scratch of the value at hand */

	bool wgquick;	  /* the words of the messages */
	const char *path; /* as given; "" where there is none */
	enum node_level level;
	bool file_holds_keys; /* themselves, not the names of their files */
	enum node_level private_key_level;
	struct node_config_text private_key_file; /* len 0: the key itself was given */
	uint32_t allowed_ips;			  /* total */
	struct node_where file;			  /* line 1, column 1 of the file */
	struct node_where interface;		  /* the [interface] line, or file */
	struct node_where private_key;
	struct node_where mtu;
	struct node_draft_hub hub;
	struct node_draft_gateway gateway;
	const char *state_dir; /* where the hub's files are by default */
	struct node_config_error *err;
};

void node_draft_init(struct node_draft *d, const char *path, struct node_config_error *err);
void node_draft_free(struct node_draft *d); /* wipes */

/* Sets the error text and returns -EINVAL. */
int node_draft_fail(struct node_draft *d, struct node_where at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void node_draft_warn(struct node_draft *d, struct node_where at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int node_draft_no_memory(struct node_draft *d); /* -ENOMEM, with its text */

/* Room for one more element of `size` bytes, zeroed; NULL without memory. Wipes what it moves. */
void *node_pool_add(struct node_pool *pool, size_t size);
/* 0 or -ENOMEM. */
int node_draft_text(struct node_draft *d, const char *text, size_t len,
		    struct node_config_text *out);

/* Adds a peer; NULL with the error set. The pointer is good until the next one is added. */
struct node_config_peer *node_draft_add_peer(struct node_draft *d, struct node_where header);
struct node_config_peer *node_draft_peer(const struct node_draft *d, uint32_t i);
struct node_draft_peer *node_draft_peer_place(const struct node_draft *d, uint32_t i);
static inline struct tt_cidr *node_draft_cidr(const struct node_draft *d, uint32_t i)
{
	return (struct tt_cidr *)d->cidrs.base + i;
}
static inline uint32_t node_draft_peer_count(const struct node_draft *d)
{
	return (uint32_t)(d->peers.len / sizeof(struct node_config_peer));
}

/* config_hub.c: reads the files of [hub] and looks whether they fit. 0 or -EINVAL, -ENOMEM. */
int node_draft_check_hub(struct node_draft *d);
/* config_gateway.c: what does not go together in [gateway]. 0 or -EINVAL. */
int node_draft_check_gateway(struct node_draft *d);
/* The rules that no single key can judge (config_check.c). 0 or -EINVAL, -ENOMEM. */
int node_draft_check(struct node_draft *d);
/* The blob, or NULL without memory. Prefixes whose family is none are left out. */
struct node_config *node_draft_seal(const struct node_draft *d);

#endif
