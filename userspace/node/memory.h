/* SPDX-License-Identifier: MIT
 *
 * The memory file that outlives a crashed engine: the last configuration, as UAPI text, written by
 * the engine and read back by its successor. Two halves and a checksum, so that an engine that
 * dies while writing leaves the previous text readable.
 */
#ifndef TT_NODE_MEMORY_H
#define TT_NODE_MEMORY_H

#include "base/types.h"

struct node_memory;

/* Maps and locks the file (the lock is best effort). 0 or -errno. */
int node_memory_open(int fd, size_t bytes, struct node_memory **out);
void node_memory_close(struct node_memory *m);
/* The newest whole text, or NULL where there is none; valid until the next write. */
const char *node_memory_read(const struct node_memory *m, size_t *len);
/*
 * Begins a new text: returns the space for it (*cap bytes). Nothing of the old text is touched
 * until node_memory_commit(), which makes the first len bytes the newest text and wipes the old
 * one.
 */
char *node_memory_begin(struct node_memory *m, size_t *cap);
void node_memory_commit(struct node_memory *m, size_t len);

/* A few bytes beside the text, for what changes too often for it. */
#define NODE_MEMORY_NOTE 12
void node_memory_note(struct node_memory *m, const uint8_t note[NODE_MEMORY_NOTE]);
/* The last one that was written whole; false: none was. */
bool node_memory_noted(const struct node_memory *m, uint8_t note[NODE_MEMORY_NOTE]);

#endif
