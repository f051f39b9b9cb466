/* SPDX-License-Identifier: MIT */
#include "wire/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "plat/clock.h"

enum step { STEP_AGAIN, STEP_DONE, STEP_REST };

static void poll_update(struct wire_listener *l);

/* --- the reserve ------------------------------------------------------------------------------ */

/* Of a descriptor that is there: no path has to be found, nothing has to be allowed. */
static void reserve_take(struct wire_listener *l)
{
	if (l->reserve < 0)
		l->reserve = fcntl(l->opt.fd, F_DUPFD_CLOEXEC, 3);
}

static void reserve_close(struct wire_listener *l)
{
	if (l->reserve >= 0)
		close(l->reserve);
	l->reserve = -1;
}

/* --- accepting -------------------------------------------------------------------------------- */

static void complain(const struct wire_listener *l, const char *event, int err)
{
	tt_log_limited(TT_LOG_WARN, event, l->opt.name, plat_clock_mono(), 1,
		       TT_F_STR("listener", l->opt.name), TT_F_ERRNO("error", err));
}

static int take(const struct wire_listener *l)
{
	int fd = accept4(l->opt.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* Whoever is first in the queue is told at once that it goes no further. */
static enum step turn_away(struct wire_listener *l, int why)
{
	int fd = -EMFILE;

	if (l->reserve >= 0) {
		reserve_close(l);
		fd = take(l);
	}
	if (fd >= 0)
		close(fd);
	reserve_take(l);
	if (fd == -EAGAIN || fd == -EWOULDBLOCK)
		return STEP_DONE;
	complain(l, "listener.no_descriptors", why);
	/* the owner may make room; what is not taken now is taken after the rest */
	if (l->opt.no_descriptor)
		l->opt.no_descriptor(l->opt.ctx, fd < 0);
	return fd < 0 ? STEP_REST : STEP_AGAIN;
}

static enum step accept_one(struct wire_listener *l)
{
	int fd = take(l);

	if (fd >= 0) {
		l->opt.accepted(l->opt.ctx, fd);
		return STEP_AGAIN;
	}
	if (fd == -EAGAIN || fd == -EWOULDBLOCK)
		return STEP_DONE;
	if (fd == -EMFILE || fd == -ENFILE)
		return turn_away(l, fd);
	/* one that failed before it was taken, or a signal: the next one may be better */
	if (fd != -ENOMEM && fd != -ENOBUFS && fd != -EINVAL && fd != -EBADF)
		return STEP_AGAIN;
	complain(l, "listener.failed", fd);
	return STEP_REST;
}

static void on_rested(uv_timer_t *t)
{
	struct wire_listener *l = t->data;

	l->resting = false;
	reserve_take(l);
	poll_update(l);
}

static void rest(struct wire_listener *l)
{
	l->resting = true;
	uv_timer_start(&l->rest, on_rested, WIRE_LISTENER_REST_MS, 0);
	poll_update(l);
}

static void on_ready(uv_poll_t *p, int status, int events)
{
	struct wire_listener *l = p->data;
	enum step step = status < 0 ? STEP_REST : STEP_AGAIN;

	(void)events;
	for (unsigned i = 0; i < l->opt.per_turn && step == STEP_AGAIN; i++) {
		if (l->stopping || l->held)
			return;
		step = accept_one(l);
	}
	if (step == STEP_REST && !l->stopping)
		rest(l);
}

static void poll_update(struct wire_listener *l)
{
	if (l->stopping || l->held || l->resting)
		uv_poll_stop(&l->poll);
	else
		uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

void wire_listener_hold(struct wire_listener *l, bool hold)
{
	if (l->held == hold || l->stopping)
		return;
	l->held = hold;
	poll_update(l);
}

/* --- life ------------------------------------------------------------------------------------- */

static int listen_on(int fd, int backlog)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return listen(fd, backlog) < 0 ? -errno : 0;
}

int wire_listener_start(struct wire_listener *l, uv_loop_t *loop,
			const struct wire_listener_options *opt)
{
	int err = listen_on(opt->fd, opt->backlog);

	*l = (struct wire_listener){.opt = *opt, .reserve = -1};
	if (!err)
		err = uv_poll_init(loop, &l->poll, opt->fd);
	if (err) {
		close(opt->fd);
		return err;
	}
	uv_timer_init(loop, &l->rest);
	l->poll.data = l->rest.data = l;
	l->handles = 2;
	reserve_take(l);
	poll_update(l);
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct wire_listener *l = h->data;

	if (!--l->handles && l->opt.closed)
		l->opt.closed(l->opt.ctx);
}

void wire_listener_stop(struct wire_listener *l)
{
	l->stopping = true;
	uv_poll_stop(&l->poll);
	reserve_close(l);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->rest, on_closed);
	close(l->opt.fd);
}
