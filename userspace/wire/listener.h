/* SPDX-License-Identifier: MIT
 *
 * A listening stream socket on a libuv loop. Not uv_listen(): that one tries again at once, and for
 * ever, where accept() fails for lack of memory, and nothing else of the loop gets its turn. This
 * one rests for WIRE_LISTENER_REST_MS; without a descriptor it turns away who comes, by one it
 * keeps in reserve, so that nobody waits for an answer that cannot come.
 *
 * Everything runs on the loop's thread.
 */
#ifndef TT_WIRE_LISTENER_H
#define TT_WIRE_LISTENER_H

#include <uv.h>

#include "base/types.h"

#define WIRE_LISTENER_REST_MS 100

struct wire_listener_options {
	const char *name; /* of the listener, for the log; static */
	int fd;		  /* bound; the listener's own from now on, also on error */
	int backlog;
	unsigned per_turn; /* accepted in one turn of the loop at most; what is left waits */
	/* A connection, non-blocking: the owner's own. May call wire_listener_hold() and
	 * wire_listener_stop(). */
	void (*accepted)(void *ctx, int fd);
	/* There was no descriptor. waits: not even the reserve; then nobody was turned away, and
	 * who came waits until there is one. NULL is allowed. */
	void (*no_descriptor)(void *ctx, bool waits);
	/* The struct is the owner's again. NULL is allowed. */
	void (*closed)(void *ctx);
	void *ctx;
};

/* Part of its owner's struct. The fields are the listener's own. */
struct wire_listener {
	struct wire_listener_options opt;
	uv_poll_t poll;
	uv_timer_t rest;
	int reserve; /* -1: lost */
	unsigned handles;
	bool held, resting, stopping;
};

/* 0 or -errno. On error nothing is left to stop, and closed() is not called. */
int wire_listener_start(struct wire_listener *l, uv_loop_t *loop,
			const struct wire_listener_options *opt);
/* Accepts nobody until it is let go; who comes waits in the system's queue. */
void wire_listener_hold(struct wire_listener *l, bool hold);
/* Once, and only after a start that succeeded. */
void wire_listener_stop(struct wire_listener *l);

#endif
