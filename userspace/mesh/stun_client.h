/* SPDX-License-Identifier: MIT
 *
 * One STUN transaction: asks a server what our address looks like from there, and repeats the
 * question as RFC 8489 6.2.1 says. Pure: time and random bytes are parameters, datagrams go in and
 * out by the caller. One thread at a time.
 *
 *	mesh_stun_client_start()
 *	loop: mesh_stun_client_tick() at mesh_stun_client_deadline(); send what it writes
 *	      mesh_stun_client_receive() for what arrives
 *	until state is not WAITING
 *
 * The result is a hint where to be found and no more: whoever can answer for the server can say
 * anything. Nothing is sent to it before WireGuard or a check has authenticated that path.
 */
#ifndef TT_MESH_STUN_CLIENT_H
#define TT_MESH_STUN_CLIENT_H

#include "mesh/stun.h"

/* The longest request. */
#define MESH_STUN_REQUEST_MAX 32

/* All 0: the RFC's, which are in parentheses. */
struct mesh_stun_timing {
	uint32_t rto_ms; /* from the first request to the second; doubles each time; 60000 at most
			    (500) */
	uint8_t rc;	 /* requests in all (7) */
	uint8_t rm;	 /* after the last one, rm * rto_ms are waited (16) */
};

enum mesh_stun_client_state {
	MESH_STUN_CLIENT_IDLE,
	MESH_STUN_CLIENT_WAITING,
	MESH_STUN_CLIENT_DONE,
	MESH_STUN_CLIENT_FAILED,
};

enum mesh_stun_failure {
	MESH_STUN_FAILURE_NONE,
	MESH_STUN_FAILURE_SERVER,  /* an address that must not be asked */
	MESH_STUN_FAILURE_TIMEOUT, /* no answer */
	MESH_STUN_FAILURE_REFUSED, /* the server sent an error: error_code */
	MESH_STUN_FAILURE_UNKNOWN, /* its answer demands what we do not understand */
	MESH_STUN_FAILURE_RESULT,  /* an address that nobody can be reached at, or none at all */
};

/* Fields are for reading. */
struct mesh_stun_client {
	enum mesh_stun_client_state state;
	enum mesh_stun_failure failure;
	struct mesh_stun_timing timing;
	struct tt_endpoint server;
	struct mesh_stun_id id;
	unsigned sent; /* requests */
	struct tt_mono last_sent, deadline;
	/* the result */
	struct tt_endpoint reflexive;
	uint64_t rtt_ns; /* 0: more than one request was out, so which was answered is unknown */
	unsigned error_code; /* of the server */
};

/*
 * What must not be asked or believed: our own addresses with our own udp_port. count 0: nothing is
 * known about ourselves.
 */
struct mesh_stun_self {
	const struct tt_ip *ip;
	size_t count;
	uint16_t udp_port;
};

/*
 * Starts a transaction; a running one is forgotten. id: fresh random bytes, for every one anew.
 * timing may be NULL. False, with the failure named in *c, where the server's address is one that
 * nobody may be made to contact (mesh_address_is_target) or our own.
 */
bool mesh_stun_client_start(struct mesh_stun_client *c, const struct tt_endpoint *server,
			    const struct mesh_stun_self *self, const struct mesh_stun_id *id,
			    const struct mesh_stun_timing *timing, struct tt_mono now);

/* When tick is due; 0 where it never is. */
struct tt_mono mesh_stun_client_deadline(const struct mesh_stun_client *c);

/*
 * Where due, writes a request for c->server into out (of at least MESH_STUN_REQUEST_MAX) and
 * returns its length, or gives up. Otherwise 0.
 */
size_t mesh_stun_client_tick(struct mesh_stun_client *c, uint8_t *out, size_t cap,
			     struct tt_mono now);

/*
 * One datagram that came from `source`. TT_DROP_NONE: it was the answer, and the state says what it
 * was worth. Otherwise it was not for this transaction or not well-formed, and nothing changed; an
 * answer from anywhere but the server that was asked is TT_DROP_STUN_UNEXPECTED.
 */
enum tt_drop mesh_stun_client_receive(struct mesh_stun_client *c, const struct tt_endpoint *source,
				      const uint8_t *bytes, size_t len, struct tt_mono now);

/* "no answer"; never NULL. */
const char *mesh_stun_failure_text(enum mesh_stun_failure failure);

#endif
