/* SPDX-License-Identifier: MIT
 *
 * One interface for people, from the daemon's status object.
 */
#ifndef TT_TALTUN_STATUS_VIEW_H
#define TT_TALTUN_STATUS_VIEW_H

#include <jansson.h>

/* The interface, its data path, hub and drops. */
void status_view_head(const json_t *status);
/* All there is to know of one peer, in some lines. */
void status_view_peer(const json_t *peer);

#endif
