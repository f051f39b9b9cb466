/* SPDX-License-Identifier: MIT
 *
 * wg-quick(8) files: read through the same schema as TOML, and written.
 */
#ifndef TT_NODE_CONFIG_WGQUICK_H
#define TT_NODE_CONFIG_WGQUICK_H

#include "node/config.h"

struct node_draft;

/* Reads text into the draft. Called by node_config_load. 0, -EINVAL, -ENOMEM. */
int node_wgquick_parse(struct node_draft *d, const char *text, size_t len);

/*
 * Write a configuration with its keys. 0, or -EIO where the stream failed. What a format cannot
 * say becomes a comment: save_config in TOML; log, datapath and peer names in wg-quick.
 */
int node_config_to_toml(const struct node_config *cfg, FILE *out);
int node_config_to_wgquick(const struct node_config *cfg, FILE *out);

#endif
