/* SPDX-License-Identifier: MIT
 *
 * The peers of one interface for people: a summary, a table that fits the terminal, and why some
 * are not reached directly. All of it from the daemon's status object. Most interesting first: who
 * does not answer, then who is online by traffic, idle, never seen.
 */
#ifndef TT_TALTUN_PEERS_VIEW_H
#define TT_TALTUN_PEERS_VIEW_H

#include <jansson.h>

#include "cli/output.h"

/* "150 online, 30 idle"; and "120 direct, 20 punched" of those that a hub tells of. Return buf. */
const char *peers_view_states(const json_t *status, char *buf, size_t cap);
const char *peers_view_paths(const json_t *status, char *buf, size_t cap);
/* Both, with how many peers there are. */
void peers_view_summary(const json_t *status);
/* Up to max rows of the table, then how many more there are. */
void peers_view_table(const json_t *status, size_t max);
/* Names by the reason why their path is not direct; nothing where there is none. */
void peers_view_not_direct(const json_t *status);

/* Its name, else its key. */
const char *peers_view_label(const json_t *peer);
enum cli_colour peers_view_colour(const char *status);

#endif
