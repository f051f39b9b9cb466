/* SPDX-License-Identifier: MIT
 *
 * The one table of configuration keys: section, name, type, range, and where the value goes. File,
 * environment, flags and wg-quick all come through node_schema_apply. Private to config_*.c.
 */
#ifndef TT_NODE_CONFIG_SCHEMA_H
#define TT_NODE_CONFIG_SCHEMA_H

#include "node/config_draft.h"

enum node_section {
	NODE_SECTION_INTERFACE,
	NODE_SECTION_DATAPATH,
	NODE_SECTION_LOG,
	NODE_SECTION_METRICS,
	NODE_SECTION_HUB,
	NODE_SECTION_GATEWAY,
	NODE_SECTION_PEER,
	NODE_SECTION_COUNT
};

enum node_value_kind {
	NODE_VALUE_TEXT = 1,
	NODE_VALUE_INTEGER = 2,
	NODE_VALUE_BOOLEAN = 4,
	NODE_VALUE_LIST = 8, /* the items are in draft->items */
	NODE_VALUE_OTHER = 16,
};

/* One value on its way in. */
struct node_value {
	enum node_value_kind kind;
	bool append;	   /* LIST: add to what is there (wg-quick's repeated lines) */
	const char *label; /* the key as the user wrote it */
	const char *what;  /* OTHER: "a float" */
	struct node_where at;
	const char *text;
	size_t len;
	int64_t integer;
	bool boolean;
};

struct node_item {
	const char *text;
	size_t len;
	const char *what; /* not NULL: no text, but this ("an integer") */
	uint32_t line, column;
};

/* A word that stands for a number. */
struct node_word {
	const char *word;
	uint32_t number;
};

struct node_schema_key {
	enum node_section section;
	const char *name;
	unsigned kinds; /* accepted enum node_value_kind bits */
	/* obj: the node_config or node_config_peer; the kind of v is already one of `kinds` */
	int (*parse)(struct node_draft *d, const struct node_schema_key *k,
		     const struct node_value *v, void *obj);
	uint16_t offset, width; /* of the field, for the parsers that need no more */
	int64_t min, max;
	const struct node_word *words; /* ends with word NULL */
	const char *expected;	       /* NULL: made from min, max and words */
};

/* "interface", ...; as written in messages: "[interface]", "[[peer]]". */
const char *node_section_name(enum node_section s);
const char *node_section_title(enum node_section s);

/* NULL where there is none. Names compare exactly. */
const struct node_schema_key *node_schema_find(enum node_section s, const char *name);
const struct node_schema_key *node_schema_at(size_t i); /* NULL past the end */
/* wg-quick's SaveConfig, which no other source has. */
extern const struct node_schema_key node_schema_save_config;

/* Type check, then the key's parser. obj: see node_schema_key.parse. 0, -EINVAL, -ENOMEM. */
int node_schema_apply(struct node_draft *d, const struct node_schema_key *k,
		      const struct node_value *v, void *obj);
/*
 * A value from bare text, as environment, flags and wg-quick have it: lists are split at commas,
 * numbers and booleans read where the key takes them. `text` outlives the call to apply.
 */
int node_schema_apply_text(struct node_draft *d, const struct node_schema_key *k,
			   struct node_value v, void *obj);

/* Fails with `unknown key "x" in [interface]` and the likely name or section. */
int node_schema_unknown_key(struct node_draft *d, struct node_where at, enum node_section s,
			    const char *name);

/* "\"text\"" for a message: control bytes as '?', cut at 40. Returns buf. */
#define NODE_QUOTE_MAX 64
const char *node_quote(char buf[NODE_QUOTE_MAX], const char *text, size_t len);

/* --- parsers with a file of their own: config_values.c ------------------------------------- */

typedef int node_parser(struct node_draft *d, const struct node_schema_key *k,
			const struct node_value *v, void *obj);
node_parser node_parse_ifname, node_parse_private_key, node_parse_private_key_file;
node_parser node_parse_address, node_parse_routes, node_parse_dns, node_parse_dns_search;
node_parser node_parse_interfaces, node_parse_hook, node_parse_peer_name, node_parse_public_key,
	node_parse_psk;
node_parser node_parse_psk_file, node_parse_endpoint, node_parse_allowed_ips;
node_parser node_parse_metrics_listen; /* config_metrics.c */
/* config_hub.c */
node_parser node_parse_hub_server, node_parse_hub_name, node_parse_hub_file;
node_parser node_parse_hub_accept, node_parse_hub_networks;

/* config_gateway.c */
node_parser node_parse_gateway_firewall, node_parse_gateway_ip_forward;
node_parser node_parse_gateway_masquerade, node_parse_gateway_subnets;

/* A list of prefixes into *r, host bits cut off (with a warning) where `mask` says so. */
int node_parse_cidrs(struct node_draft *d, const struct node_value *v, struct node_config_range *r,
		     bool mask);
/* A list of at most `max` interface names into *r, each once. */
int node_parse_ifnames(struct node_draft *d, const struct node_value *v,
		       struct node_config_range *r, uint32_t max);
/* 1 to 65535, or -1. */
int64_t node_parse_port_number(const char *text, size_t len);

/* Whether `name` can name an interface; NULL, or why not. */
const char *node_ifname_complaint(const char *name, size_t len);

/*
 * config_file.c. The path that a setting means: relative to the configuration's folder where
 * `level` is the file. False: too long.
 */
bool node_full_path(const struct node_draft *d, enum node_level level, const char *path, char *out,
		    size_t size);
struct node_file;
/* Reads a file that a setting names. 0, or -EINVAL with the error set, -ENOMEM. */
int node_named_file_read(struct node_draft *d, struct node_where at, const char *label,
			 const char *path, const char *full, size_t max, struct node_file *out);
/* Its mode keeps others out; 0, or -EINVAL with the error set. */
int node_named_file_is_private(struct node_draft *d, struct node_where at, const char *label,
			       const char *path, const struct node_file *f);
/*
 * Reads one key from a file whose mode keeps others out. 0, or -EINVAL with the error set.
 */
int node_keyfile_read(struct node_draft *d, enum node_level level, struct node_where at,
		      const char *label, const char *path, uint8_t key[TT_KEY_LEN]);

#endif
