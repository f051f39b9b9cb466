/* SPDX-License-Identifier: MIT
 *
 * Bounded reads of regular files. Private to config_*.c.
 */
#ifndef TT_NODE_CONFIG_FILE_H
#define TT_NODE_CONFIG_FILE_H

#include <sys/stat.h>
#include "base/types.h"

/* A whole file in memory; wiped by node_file_free. */
struct node_file {
	char *text; /* with a terminating zero */
	size_t len;
	mode_t mode;
};

/*
 * 0, or a negative errno: -EISDIR and -EINVAL where it is no regular file (links are followed),
 * -EFBIG past max bytes.
 */
int node_file_read(const char *path, size_t max, struct node_file *out);
void node_file_free(struct node_file *f);

#endif
