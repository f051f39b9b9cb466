/* SPDX-License-Identifier: MIT */
#include "taltun/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "taltun/cli.h"

#define CONNECT_S   1
#define FIRST_BYTES 65536
/* 100,000 peers with a dozen networks each are less. */
#define REPLY_MAX (256u << 20)

int cli_link_open(struct cli_link *l, const char *interface)
{
	int fd = cli_connect(interface, CONNECT_S);

	*l = (struct cli_link){.fd = fd < 0 ? -1 : fd};
	if (fd < 0)
		return fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

void cli_link_close(struct cli_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->buf);
	*l = (struct cli_link){.fd = -1};
}

int cli_link_ask(struct cli_link *l, const char *request)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s\n", request);

	l->len = 0;
	return send(l->fd, line, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EPIPE;
}

static int make_room(struct cli_link *l)
{
	size_t cap = l->cap ? l->cap * 2 : FIRST_BYTES;

	if (l->len < l->cap)
		return 0;
	char *grown = cap > REPLY_MAX ? NULL : realloc(l->buf, cap);
	if (!grown)
		return -ENOMEM;
	l->buf = grown;
	l->cap = cap;
	return 0;
}

int cli_link_read(struct cli_link *l, json_t **reply)
{
	*reply = NULL;
	for (;;) {
		int err = make_room(l);
		if (err)
			return err;
		ssize_t n = read(l->fd, l->buf + l->len, l->cap - l->len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		char *end = memchr(l->buf + l->len, '\n', (size_t)n);
		l->len += (size_t)n;
		if (!end)
			continue;
		*reply = json_loadb(l->buf, (size_t)(end - l->buf), 0, NULL);
		l->len = 0;
		return *reply ? 0 : -EBADMSG;
	}
}
