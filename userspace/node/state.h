/* SPDX-License-Identifier: MIT
 *
 * The state file: what a node wants to know again after it was killed. Text, one peer a line, with
 * a checksum; a file that does not check out is ignored and said so, never trusted in part.
 *
 *	taltun-state 1
 *	stamp 400000005b52647b15405610                    greatest TAI64N we have sent
 *	peer <public key> <greatest TAI64N received> <endpoint or ->
 *	sum <BLAKE2s-256 of all lines above>
 */
#ifndef TT_NODE_STATE_H
#define TT_NODE_STATE_H

#include "base/addr.h"
#include "base/types.h"
#include "wg/messages.h"

struct node_state_peer {
	uint8_t public_key[WG_KEY_LEN];
	uint8_t stamp[WG_TIMESTAMP_LEN]; /* zero: none */
	struct tt_endpoint endpoint;	 /* not set: none */
};

#define NODE_STATE_LINE_MAX 176 /* longest peer line with its newline */

/* Bytes that suffice for a file of n peers. */
static inline size_t node_state_size(size_t peers)
{
	return 256 + peers * NODE_STATE_LINE_MAX;
}

/* Writers: begin, then each peer, then end. Each returns the new length; buf was sized by
 * node_state_size(). */
size_t node_state_begin(char *buf, const uint8_t stamp[WG_TIMESTAMP_LEN]);
size_t node_state_peer(char *buf, size_t len, const struct node_state_peer *p);
size_t node_state_end(char *buf, size_t len);

enum node_state_outcome {
	NODE_STATE_OK,
	NODE_STATE_BAD_SUM, /* torn, or edited by hand */
	NODE_STATE_BAD_FORMAT,
};

/* Calls peer() for each line, after the checksum of the whole was verified. */
enum node_state_outcome node_state_parse(const char *text, size_t len,
					 uint8_t stamp[WG_TIMESTAMP_LEN],
					 void (*peer)(void *arg, const struct node_state_peer *p),
					 void *arg);

#endif
