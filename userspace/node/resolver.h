/* SPDX-License-Identifier: MIT
 *
 * The resolver process: keyless, unprivileged, does nothing but getaddrinfo. Names go in, addresses
 * come out, over one SOCK_SEQPACKET pair; a hanging name server stalls it and nothing else.
 */
#ifndef TT_NODE_RESOLVER_H
#define TT_NODE_RESOLVER_H

#include "base/addr.h"
#include "base/types.h"

#define NODE_RESOLVER_NAME_MAX	256
#define NODE_RESOLVER_ADDRS_MAX 16

struct node_resolver_query {
	uint32_t id;
	uint16_t udp_port;
	uint8_t log_only; /* no look-up and no answer: how it is to log from now on */
	uint8_t log_level, log_format;
	char host[NODE_RESOLVER_NAME_MAX];
};

struct node_resolver_answer {
	uint32_t id;
	int32_t result; /* 0, or -ENOENT (no such name), -EAGAIN (try later), -ETIMEDOUT */
	uint32_t count;
	struct tt_endpoint addr[NODE_RESOLVER_ADDRS_MAX]; /* in the order of preference */
	char error[128];
};

/* The process: serves until the other end closes. Up to 8 look-ups run side by side. */
_Noreturn void node_resolver_run(int fd);

/* Engine side; none of them blocks. -EAGAIN: try again later. */
int node_resolver_ask(int fd, const struct node_resolver_query *q);
/* How it logs from now on: enum tt_log_level, enum tt_log_format. */
int node_resolver_tell_log(int fd, int level, int format);
int node_resolver_read(int fd, struct node_resolver_answer *a);

#endif
