/* SPDX-License-Identifier: MIT
 *
 * A TOML 1.0 document as a read-only tree, in C. The parser behind it is toml++; nothing outside
 * toml.cc sees it. Values are small structs passed by copy; what they point to lives until
 * toml_free.
 */
#ifndef TT_TOML_TOML_H
#define TT_TOML_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOML_DEPTH_MAX	16	/* arrays and inline tables in one another, parts of a key */
#define TOML_VALUES_MAX 2000000 /* bounds the tree's memory */

enum toml_kind {
	TOML_TABLE,
	TOML_ARRAY,
	TOML_STRING,
	TOML_INTEGER,
	TOML_FLOAT,
	TOML_BOOLEAN,
	TOML_TIME, /* date, time or both */
};

struct toml_doc;

struct toml_value {
	enum toml_kind kind;
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

struct toml_error {
	uint32_t line, column;
	char what[256];
};

/* 0, -EINVAL with *err filled, or -ENOMEM. *out is freed with toml_free. */
int toml_parse(const char *text, size_t len, struct toml_doc **out, struct toml_error *err);
/* Wipes the strings of the tree (they hold keys) and frees it. NULL is fine. */
void toml_free(struct toml_doc *doc);

struct toml_value toml_root(const struct toml_doc *doc);
struct toml_value toml_item(const struct toml_value *array, size_t i);

struct toml_key {
	const char *text; /* terminating zero; len counts zeros within as well */
	size_t len;
	uint32_t line, column;
};

/* A result other than 0 ends the walk and becomes its result. */
typedef int (*toml_key_fn)(void *ctx, const struct toml_key *key, const struct toml_value *value);
/* Calls fn for each key of a table in the order of the file. -ENOMEM is possible. */
int toml_each_key(const struct toml_value *table, toml_key_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
