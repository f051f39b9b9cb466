/* SPDX-License-Identifier: MIT
 *
 * A TOML 1.0 document as a read-only tree, in C. The parser behind it is toml++; nothing outside
 * config_toml.cc sees it. Values are small structs passed by copy; what they point to lives until
 * node_toml_free.
 */
#ifndef TT_NODE_CONFIG_TOML_H
#define TT_NODE_CONFIG_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NODE_TOML_DEPTH_MAX  16	     /* arrays and inline tables in one another, parts of a key */
#define NODE_TOML_VALUES_MAX 2000000 /* bounds the tree's memory */

enum node_toml_kind {
	NODE_TOML_TABLE,
	NODE_TOML_ARRAY,
	NODE_TOML_STRING,
	NODE_TOML_INTEGER,
	NODE_TOML_FLOAT,
	NODE_TOML_BOOLEAN,
	NODE_TOML_TIME, /* date, time or both */
};

struct node_toml;

struct node_toml_value {
	enum node_toml_kind kind;
	uint32_t line, column; /* from 1; columns count characters, not bytes */
	const void *node;      /* opaque */
	union {
		struct {
			const char *text; /* UTF-8, terminating zero; may hold zeros of its own */
			size_t len;
		} str;
		int64_t integer;
		bool boolean;
		size_t count; /* of a table's keys or an array's items */
	} v;
};

struct node_toml_error {
	uint32_t line, column;
	char what[256];
};

/* 0, -EINVAL with *err filled, or -ENOMEM. *out is freed with node_toml_free. */
int node_toml_parse(const char *text, size_t len, struct node_toml **out,
		    struct node_toml_error *err);
/* Wipes the strings of the tree (they hold keys) and frees it. NULL is fine. */
void node_toml_free(struct node_toml *doc);

struct node_toml_value node_toml_root(const struct node_toml *doc);
struct node_toml_value node_toml_item(const struct node_toml_value *array, size_t i);

struct node_toml_key {
	const char *text; /* terminating zero; len counts zeros within as well */
	size_t len;
	uint32_t line, column;
};

/* A result other than 0 ends the walk and becomes its result. */
typedef int (*node_toml_key_fn)(void *ctx, const struct node_toml_key *key,
				const struct node_toml_value *value);
/* Calls fn for each key of a table in the order of the file. -ENOMEM is possible. */
int node_toml_each_key(const struct node_toml_value *table, node_toml_key_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
