/* SPDX-License-Identifier: MIT
 *
 * One message with descriptors over a SOCK_SEQPACKET pair. Used by both ends of node/priv.h.
 */
#ifndef TT_NODE_PRIV_WIRE_H
#define TT_NODE_PRIV_WIRE_H

#include "node/priv.h"

/* A connected pair, close-on-exec; non-blocking where asked. 0 or -errno. */
int node_wire_pair(int fds[2], bool nonblock);
/* Whole or not at all; the descriptors stay the caller's. 0, -EAGAIN, -EPIPE, or -errno. */
int node_wire_send(int fd, const void *msg, size_t len, const int *fds, unsigned nfds);
/*
 * One message into msg; descriptors (close-on-exec, at most NODE_PRIV_FDS_MAX) into fds, theirs
 * from now on the caller's. Bytes; 0: the other end is gone; -EAGAIN; -EMSGSIZE: longer than cap
 * (nothing is kept). Where descriptors were lost (the table is full) none is given.
 */
ssize_t node_wire_recv(int fd, void *msg, size_t cap, int fds[NODE_PRIV_FDS_MAX], unsigned *nfds);
void node_wire_close(const int *fds, unsigned nfds);

#endif
