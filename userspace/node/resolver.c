/* SPDX-License-Identifier: MIT */
#include "node/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define RESOLVER_THREADS_MAX 8
#define RESOLVER_QUEUE_MAX   1024
/* look-ups that hang hold their threads; what waits longer than this behind them is told so */
#define RESOLVER_WAIT_SEC_MAX 15
/* getaddrinfo keeps little on the stack, name service modules somewhat more */
#define RESOLVER_STACK_BYTES (256 * 1024)

struct resolver_job {
	struct node_resolver_query query;
	struct timespec since;
};

struct resolver {
	int fd;
	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t work;
	struct resolver_job *queue; /* ring of RESOLVER_QUEUE_MAX */
	unsigned head, count;
	unsigned threads, idle;
};

static void resolver_answer(int fd, const struct node_resolver_answer *a)
{
	ssize_t n;

	do
		n = send(fd, a, sizeof(*a), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* the engine is gone: so are we */
	if (n < 0 && errno == EPIPE)
		_exit(0);
}

static void resolver_refuse(int fd, uint32_t id, int result, const char *why)
{
	struct node_resolver_answer a = {.id = id, .result = result};

	snprintf(a.error, sizeof(a.error), "%s", why);
	resolver_answer(fd, &a);
}

static int resolver_result(int eai)
{
	if (eai == 0)
		return 0;
	/* what is left are the ways of saying that there is no such name, or none with an address
	 */
	return eai == EAI_AGAIN || eai == EAI_FAIL || eai == EAI_MEMORY || eai == EAI_SYSTEM
		       ? -EAGAIN
		       : -ENOENT;
}

static bool resolver_endpoint(const struct sockaddr *sa, socklen_t len, struct tt_endpoint *out)
{
	*out = (struct tt_endpoint){0};
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in v4;

		memcpy(&v4, sa, sizeof(v4));
		out->ip = tt_ip_v4((const uint8_t *)&v4.sin_addr);
		return true;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 v6;

		memcpy(&v6, sa, sizeof(v6));
		out->ip = tt_ip_v6(v6.sin6_addr.s6_addr);
		if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
			out->ip.scope_id = v6.sin6_scope_id;
		return true;
	}
	return false;
}

static bool resolver_has(const struct node_resolver_answer *a, const struct tt_endpoint *e)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (tt_endpoint_equal(&a->addr[i], e))
			return true;
	return false;
}

static void resolver_collect(const struct addrinfo *list, uint16_t udp_port,
			     struct node_resolver_answer *a)
{
	for (const struct addrinfo *ai = list; ai && a->count < NODE_RESOLVER_ADDRS_MAX;
	     ai = ai->ai_next) {
		struct tt_endpoint e;

		if (!ai->ai_addr || !resolver_endpoint(ai->ai_addr, ai->ai_addrlen, &e))
			continue;
		e.udp_port = udp_port;
		if (!resolver_has(a, &e))
			a->addr[a->count++] = e;
	}
}

/* getaddrinfo with these flags; its own code. */
static int resolver_look_up(const struct node_resolver_query *q, int flags,
			    struct node_resolver_answer *a)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = flags};
	struct addrinfo *list = NULL;
	int eai = getaddrinfo(q->host, NULL, &hints, &list);

	*a = (struct node_resolver_answer){.id = q->id, .result = resolver_result(eai)};
	if (eai == 0) {
		resolver_collect(list, q->udp_port, a);
		freeaddrinfo(list);
	}
	if (eai == 0 && a->count == 0)
		a->result = -ENOENT;
	if (a->result)
		snprintf(a->error, sizeof(a->error), "%s",
			 eai ? gai_strerror(eai) : "the name has no address");
	return eai;
}

static void *resolver_thread(void *arg)
{
	struct resolver *r = arg;

	for (;;) {
		struct node_resolver_answer a;
		struct resolver_job job;
		struct timespec now;

		pthread_mutex_lock(&r->lock);
		r->idle++;
		while (r->count == 0)
			pthread_cond_wait(&r->work, &r->lock);
		r->idle--;
		job = r->queue[r->head];
		r->head = (r->head + 1) % RESOLVER_QUEUE_MAX;
		r->count--;
		pthread_mutex_unlock(&r->lock);

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - job.since.tv_sec > RESOLVER_WAIT_SEC_MAX) {
			resolver_refuse(r->fd, job.query.id, -ETIMEDOUT,
					"other look-ups are waiting for the name server");
			continue;
		}
		(void)resolver_look_up(&job.query, 0, &a);
		resolver_answer(r->fd, &a);
	}
	return NULL;
}

/* One more thread where all are busy. The lock is held. */
static void resolver_grow(struct resolver *r)
{
	pthread_attr_t attr;
	pthread_t t;

	if (r->count <= r->idle || r->threads == RESOLVER_THREADS_MAX)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, RESOLVER_STACK_BYTES);
	if (pthread_create(&t, &attr, resolver_thread, r) == 0)
		r->threads++;
	pthread_attr_destroy(&attr);
}

static void resolver_enqueue(struct resolver *r, const struct node_resolver_query *q)
{
	const char *refused = NULL;

	pthread_mutex_lock(&r->lock);
	if (r->count == RESOLVER_QUEUE_MAX) {
		refused = "too many look-ups wait";
	} else {
		struct resolver_job *job = &r->queue[(r->head + r->count) % RESOLVER_QUEUE_MAX];

		job->query = *q;
		clock_gettime(CLOCK_MONOTONIC, &job->since);
		r->count++;
		resolver_grow(r);
		pthread_cond_signal(&r->work);
		if (r->threads == 0) {
			r->count--;
			refused = "no thread can be started";
		}
	}
	pthread_mutex_unlock(&r->lock);
	if (refused)
		resolver_refuse(r->fd, q->id, -EAGAIN, refused);
}

static void resolver_serve(struct resolver *r, const struct node_resolver_query *q)
{
	struct node_resolver_answer a;

	if (q->log_only)
		tt_log_setup((enum tt_log_level)q->log_level, (enum tt_log_format)q->log_format,
			     STDERR_FILENO);
	else if (!q->host[0])
		resolver_refuse(r->fd, q->id, -ENOENT, "the name is empty");
	else if (resolver_look_up(q, AI_NUMERICHOST, &a) == 0)
		resolver_answer(r->fd, &a);
	else
		resolver_enqueue(r, q);
}

/* 1: a whole, well-formed query; 0: nobody asks any more; -EBADMSG. */
static int resolver_receive(int fd, struct node_resolver_query *q)
{
	ssize_t n;

	do
		n = recv(fd, q, sizeof(*q), MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	if (n != sizeof(*q) || !memchr(q->host, 0, sizeof(q->host)) || q->log_only > 1 ||
	    q->log_level > TT_LOG_DEBUG || q->log_format > TT_LOG_JSON)
		return -EBADMSG;
	return 1;
}

_Noreturn void node_resolver_run(int fd)
{
	static struct resolver r;
	struct node_resolver_query q;
	int got;

	r.fd = fd;
	r.queue = calloc(RESOLVER_QUEUE_MAX, sizeof(*r.queue));
	if (!r.queue)
		_exit(1);
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.work, NULL);
	while ((got = resolver_receive(fd, &q)) > 0)
		resolver_serve(&r, &q);
	if (got < 0)
		tt_log(TT_LOG_ERROR, "resolver.malformed");
	_exit(got < 0 ? 1 : 0);
}

int node_resolver_ask(int fd, const struct node_resolver_query *q)
{
	ssize_t n;

	do
		n = send(fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
}

int node_resolver_tell_log(int fd, int level, int format)
{
	struct node_resolver_query q = {
		.log_only = 1, .log_level = (uint8_t)level, .log_format = (uint8_t)format};

	return node_resolver_ask(fd, &q);
}

int node_resolver_read(int fd, struct node_resolver_answer *a)
{
	ssize_t n;

	do
		n = recv(fd, a, sizeof(*a), MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (n == 0)
		return -EPIPE;
	if (n != sizeof(*a) || a->count > NODE_RESOLVER_ADDRS_MAX)
		return -EBADMSG;
	a->error[sizeof(a->error) - 1] = 0;
	return 0;
}
