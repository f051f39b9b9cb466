/* SPDX-License-Identifier: MIT
 *
 * The answering side of STUN: tells whoever asks what its address looks like from here. Without
 * state, so that a flood costs nothing but the answers; how many a source gets is for the caller to
 * bound. Pure; any thread.
 */
#ifndef TT_MESH_STUN_SERVER_H
#define TT_MESH_STUN_SERVER_H

#include "mesh/stun.h"

/* The longest answer. */
#define MESH_STUN_RESPONSE_MAX 64

/*
 * Answers one datagram from `source`: TT_DROP_NONE with *out_len bytes in out (of at least
 * MESH_STUN_RESPONSE_MAX) to be sent to `source` and nowhere else, or the reason for silence.
 *
 * A Binding request gets its source in XOR-MAPPED-ADDRESS; one with comprehension-required
 * attributes that we do not know gets error 420 with their list; everything else gets nothing. No
 * credentials are asked for, and those that come are not looked at. An answer is at most 24 bytes
 * longer than its request.
 */
enum tt_drop mesh_stun_serve(uint8_t *out, size_t *out_len, const uint8_t *bytes, size_t len,
			     const struct tt_endpoint *source);

#endif
