/* SPDX-License-Identifier: MIT
 *
 * From text to configuration: a TOML file or a wg-quick .conf (by its name), then the environment,
 * then --set flags; the later wins. Blocking file I/O: for the short-lived loader and the command
 * line, never for the engine.
 */
#ifndef TT_NODE_CONFIG_LOAD_H
#define TT_NODE_CONFIG_LOAD_H

#include "node/config.h"

#define NODE_CONFIG_TEXT_MAX	 512
#define NODE_CONFIG_WARNINGS_MAX 16

#define NODE_CONFIG_STATE_DIR "/var/lib/taltun"

enum node_config_syntax {
	NODE_CONFIG_BY_NAME, /* *.conf: wg-quick; anything else: TOML */
	NODE_CONFIG_TOML,
	NODE_CONFIG_WGQUICK,
};

struct node_config_source {
	const char *path; /* the file; also names the interface and anchors relative key files */
	const char *text; /* not NULL: parse these bytes and read no file but key files */
	size_t text_len;
	enum node_config_syntax syntax;
	/* "NAME=value" strings, NULL at the end, as environ; NULL: none. Only TALTUN_ ones count.
	 */
	const char *const *env;
	/* where files of [hub] are by default; NULL: TALTUN_STATE_DIR of env, or
	 * NODE_CONFIG_STATE_DIR */
	const char *state_dir;
	const char *const *set; /* "section.key=value" of each --set */
	size_t set_count;
};

struct node_config_error {
	/* "FILE:LINE:COLUMN: what; what was expected"; empty after success. Never holds a key. */
	char text[NODE_CONFIG_TEXT_MAX];
	uint32_t warning_count; /* all of them; the first NODE_CONFIG_WARNINGS_MAX are kept */
	char warnings[NODE_CONFIG_WARNINGS_MAX][NODE_CONFIG_TEXT_MAX];
};

/*
 * 0 and *out (one malloc'd block, free with node_config_free), or a negative errno with err->text
 * set: -EINVAL for what the file says, -ENOENT, -EACCES, ... for a file that cannot be read,
 * -ENOMEM. Warnings are set in either case.
 */
int node_config_load(const struct node_config_source *src, struct node_config_error *err,
		     struct node_config **out);

/*
 * The same without a file, for a node that others configure: what environment and flags say, and
 * the defaults. There are no keys, peers or addresses to be complete. 0, -EINVAL, -ENOMEM.
 */
int node_config_load_settings(const struct node_config_source *src, struct node_config_error *err,
			      struct node_config **out);

#endif
