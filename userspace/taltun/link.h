/* SPDX-License-Identifier: MIT
 *
 * A connection to a daemon that is asked again and again, from a loop that has other things to wait
 * for. One question at a time.
 */
#ifndef TT_TALTUN_LINK_H
#define TT_TALTUN_LINK_H

#include <jansson.h>

struct cli_link {
	int fd; /* poll it for reading; -1: closed */
	char *buf;
	size_t len, cap;
};

/* 0 or -errno, as cli_connect(). */
int cli_link_open(struct cli_link *l, const char *interface);
void cli_link_close(struct cli_link *l);
/* A request in JSON without its newline. -errno: the connection is of no more use. */
int cli_link_ask(struct cli_link *l, const char *request);
/*
 * Reads what has come. *reply: the whole answer (new reference), or NULL: there is more to come.
 * -errno: the connection is of no more use; -ECONNRESET: the daemon has closed it.
 */
int cli_link_read(struct cli_link *l, json_t **reply);

#endif
