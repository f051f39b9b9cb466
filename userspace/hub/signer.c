/* SPDX-License-Identifier: MIT
 *
 * The hub's side of the signer: asks in order, and is answered in order.
 */
#include "hub/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "hub/signer_impl.h"
#include "plat/sandbox.h"

struct asked {
	struct asked *next;
	void (*done)(void *ctx, uint64_t cookie, enum hub_sign_outcome o,
		     const struct tls_der *cert);
	void *ctx;
	uint64_t cookie;
	struct hub_sign_request req;
};

struct hub_signer {
	pid_t pid;
	int fd;
	uv_poll_t poll;
	bool attached, gone;
	struct asked *first, **last; /* all that wait for an answer */
	struct asked *unsent;	     /* the first that the signer has not got */
	uint32_t pending;
	uint8_t last_serial[16]; /* answered */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* --- the process ------------------------------------------------------------------------------ */

static int wait_ready(struct hub_signer *s)
{
	uint8_t ready;
	ssize_t n;

	do
		n = recv(s->fd, &ready, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	tt_log(TT_LOG_ERROR, "signer.not_started");
	return -EIO;
}

static void reap(struct hub_signer *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int hub_signer_fork(const char *ca_cert_path, const char *ca_key_path, struct hub_signer **out)
{
	struct hub_signer *s = calloc(1, sizeof(*s));
	struct plat_sandbox_user user;
	pid_t parent = getpid();
	int pair[2];

	if (!s)
		return -ENOMEM;
	plat_sandbox_user("nobody", &user);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(s);
		return -errno;
	}
	s->last = &s->first;
	s->fd = pair[0];
	s->pid = fork();
	if (s->pid == 0)
		hub_signer_child(pair[1], ca_cert_path, ca_key_path, parent, user.uid, user.gid);
	close(pair[1]);
	int err = s->pid < 0 ? -errno : wait_ready(s);
	if (err) {
		if (s->pid > 0)
			reap(s);
		free(s);
		return err;
	}
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	*out = s;
	return 0;
}

pid_t hub_signer_pid(const struct hub_signer *s)
{
	return s->pid;
}

/* --- asking ----------------------------------------------------------------------------------- */

static struct asked *take_first(struct hub_signer *s)
{
	struct asked *a = s->first;

	s->first = a->next;
	if (!s->first)
		s->last = &s->first;
	if (s->unsent == a)
		s->unsent = a->next;
	s->pending--;
	return a;
}

static void finish(struct asked *a, enum hub_sign_outcome o, const struct tls_der *cert)
{
	a->done(a->ctx, a->cookie, o, cert);
	free(a);
}

static void lost(struct hub_signer *s)
{
	static const struct tls_der none;

	if (!s->gone)
		tt_log(TT_LOG_ERROR, "signer.gone",
		       TT_F_STR("hint", "nodes cannot be enrolled or renewed; restart the hub"));
	s->gone = true;
	uv_poll_stop(&s->poll);
	while (s->first)
		finish(take_first(s), HUB_SIGN_FAILED, &none);
}

static void on_ready(uv_poll_t *p, int status, int events);

static void send_more(struct hub_signer *s)
{
	while (s->unsent) {
		ssize_t n = send(s->fd, &s->unsent->req, sizeof(s->unsent->req), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break; /* no room yet; or it is gone, which the reading notices */
		s->unsent = s->unsent->next;
	}
	uv_poll_start(&s->poll, UV_READABLE | (s->unsent ? UV_WRITABLE : 0), on_ready);
}

static void take_answers(struct hub_signer *s)
{
	static struct hub_signer_answer ans;

	for (;;) {
		ssize_t n = recv(s->fd, &ans, sizeof(ans), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		/* it had answered before it died */
		if (n == sizeof(ans) && ans.outcome == HUB_SIGN_FAILED &&
		    memcmp(ans.serial, s->last_serial, sizeof(ans.serial)) == 0)
			continue;
		/* no answer to what was asked next, or of another size: not our signer any more */
		if (n != sizeof(ans) || !s->first || s->first == s->unsent ||
		    memcmp(ans.serial, s->first->req.serial, sizeof(ans.serial)) != 0 ||
		    ans.outcome > HUB_SIGN_FAILED || ans.cert.len > sizeof(ans.cert.bytes)) {
			lost(s);
			return;
		}
		memcpy(s->last_serial, ans.serial, sizeof(s->last_serial));
		finish(take_first(s), (enum hub_sign_outcome)ans.outcome, &ans.cert);
	}
}

static void on_ready(uv_poll_t *p, int status, int events)
{
	struct hub_signer *s = p->data;

	(void)events;
	if (status < 0) {
		lost(s);
		return;
	}
	take_answers(s);
	if (!s->gone)
		send_more(s);
}

int hub_signer_attach(struct hub_signer *s, uv_loop_t *loop)
{
	int err = uv_poll_init(loop, &s->poll, s->fd);

	if (err)
		return err;
	s->attached = true;
	s->poll.data = s;
	return uv_poll_start(&s->poll, UV_READABLE, on_ready);
}

bool hub_signer_sign(struct hub_signer *s, const struct hub_sign_request *req,
		     void (*done)(void *ctx, uint64_t cookie, enum hub_sign_outcome o,
				  const struct tls_der *cert),
		     void *ctx, uint64_t cookie)
{
	struct asked *a;

	if (s->gone || s->pending == HUB_SIGNER_PENDING_MAX)
		return false;
	a = malloc(sizeof(*a));
	if (!a)
		return false;
	*a = (struct asked){.done = done, .ctx = ctx, .cookie = cookie, .req = *req};
	*s->last = a;
	s->last = &a->next;
	s->pending++;
	if (!s->unsent) {
		s->unsent = a;
		send_more(s);
	}
	return true;
}

uint32_t hub_signer_pending(const struct hub_signer *s)
{
	return s->pending;
}

bool hub_signer_works(const struct hub_signer *s)
{
	return !s->gone;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void all_closed(struct hub_signer *s)
{
	reap(s);
	while (s->first)
		free(take_first(s));
	if (s->closed)
		s->closed(s->closed_arg);
	free(s);
}

static void on_closed(uv_handle_t *h)
{
	all_closed(h->data);
}

void hub_signer_stop(struct hub_signer *s, void (*closed)(void *arg), void *arg)
{
	s->closed = closed;
	s->closed_arg = arg;
	if (s->attached)
		uv_close((uv_handle_t *)&s->poll, on_closed);
	else
		all_closed(s);
}
