/* SPDX-License-Identifier: MIT
 *
 * The socket that metrics are served on: a TCP one, or a Unix one for the owner and the group of
 * its folder's choosing (setgid). Opened by the monitor, so that it lives as long as the node, and
 * nothing that the engine says has a part in where it is.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define METRICS_BACKLOG 32
#define METRICS_UMASK	0117 /* 0660 */

union tcp_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address_of(const struct tt_endpoint *e, union tcp_address *a)
{
	memset(a, 0, sizeof(*a));
	if (e->ip.family == TT_FAMILY_V4) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(e->udp_port);
		memcpy(&a->v4.sin_addr, e->ip.b, 4);
		return sizeof(a->v4);
	}
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(e->udp_port);
	a->v6.sin6_scope_id = e->ip.scope_id;
	memcpy(&a->v6.sin6_addr, e->ip.b, 16);
	return sizeof(a->v6);
}

static int tcp_listen(const struct tt_endpoint *at)
{
	union tcp_address a;
	socklen_t len = address_of(at, &a);
	int on = 1, fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, &a.sa, len) < 0 || listen(fd, METRICS_BACKLOG) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int metrics_open(const struct node_config_metrics *at, struct node_monitor_listen *out)
{
	*out = (struct node_monitor_listen){.fd = -1};
	if (at->path[0]) {
		memcpy(out->path, at->path, sizeof(at->path));
		return node_monitor_listen_at(out, METRICS_UMASK);
	}
	int fd = tcp_listen(&at->address);
	if (fd < 0)
		return fd;
	out->fd = fd;
	return 0;
}

static const char *place_name(const struct node_config_metrics *at, char text[TT_ENDPOINT_TEXT_MAX])
{
	return at->path[0] ? at->path : tt_endpoint_format(&at->address, text);
}

int node_monitor_listen_metrics(struct node_monitor *m, struct node_priv_reply *reply, int *fds,
				unsigned *nfds)
{
	struct node_config_metrics want = node_monitor_metrics_wanted(m);
	char text[TT_ENDPOINT_TEXT_MAX];

	/* first, because another address with the same number may be wanted */
	if (m->metrics.fd >= 0 && !node_config_metrics_same(&want, &m->metrics_are))
		node_monitor_listen_close(&m->metrics);
	if (!node_config_has_metrics(&want))
		return 0;
	if (m->metrics.fd < 0) {
		int err = metrics_open(&want, &m->metrics);
		if (err)
			return node_monitor_fail(reply, err, "cannot serve metrics at %s: %s",
						 place_name(&want, text),
						 err == -EEXIST ? "it exists and is no socket"
								: strerror(-err));
		m->metrics_are = want;
		tt_log(TT_LOG_INFO, "metrics.listening", TT_F_STR("at", place_name(&want, text)));
	}
	fds[0] = m->metrics.fd;
	*nfds = 1;
	return 0;
}
