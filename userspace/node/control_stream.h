/* SPDX-License-Identifier: MIT
 *
 * Clients of the control socket that listen instead of asking: every published line goes to each of
 * them. One that does not read is closed. Control thread.
 */
#ifndef TT_NODE_CONTROL_STREAM_H
#define TT_NODE_CONTROL_STREAM_H

#include <jansson.h>

#include "node/control.h"

/* Of the clients, so many may listen; the others' places stay free for questions. */
#define NODE_CONTROL_LISTENERS_MAX 16
/* What may wait for one listener. */
#define NODE_CONTROL_BEHIND_MAX (256 * 1024)

unsigned node_control_listeners(const struct node_control *c);
struct node_device *node_control_device(const struct node_control *c);
/* Takes the reference; NULL (no memory) is allowed. */
void node_control_publish(struct node_control *c, json_t *line);

#endif
