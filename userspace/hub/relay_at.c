/* SPDX-License-Identifier: MIT */
#include "hub/relay_at.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "mesh/address.h"
#include "mesh/hub_codec.h"

#define AGAIN_MS     600000
#define RETRY_MS     30000 /* without an answer */
#define NAME_MAX_LEN 256

struct hub_relay_at {
	uv_timer_t timer;
	uv_getaddrinfo_t ask;
	char name[NAME_MAX_LEN];
	uint16_t udp_port;
	void (*found)(void *arg, const struct tt_endpoint *at, unsigned count);
	void *arg;
	bool asking, told, stopping, timer_closed;
	void (*closed)(void *arg);
	void *closed_arg;
};

static void ask(struct hub_relay_at *a);

static void on_timer(uv_timer_t *t)
{
	ask(t->data);
}

void hub_relay_at_add(struct tt_endpoint *list, unsigned *count, const struct tt_endpoint *e)
{
	for (unsigned i = 0; i < *count; i++)
		if (tt_endpoint_equal(&list[i], e))
			return;
	if (*count < MESH_HUB_ENDPOINTS_MAX)
		list[(*count)++] = *e;
}

/* An address of this host can be bound. */
static bool is_ours(const struct sockaddr *at, socklen_t len)
{
	struct sockaddr_storage ss = {0};
	int fd = socket(at->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&ss, at, TT_MIN((size_t)len, sizeof(ss)));
	if (at->sa_family == AF_INET)
		((struct sockaddr_in *)&ss)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&ss)->sin6_port = 0;
	bool ours = fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0;
	if (fd >= 0)
		close(fd);
	return ours;
}

static bool to_endpoint(const struct addrinfo *i, uint16_t udp_port, struct tt_endpoint *e)
{
	const struct sockaddr_in *v4 = (const void *)i->ai_addr;
	const struct sockaddr_in6 *v6 = (const void *)i->ai_addr;

	memset(e, 0, sizeof(*e));
	if (i->ai_family == AF_INET)
		e->ip = tt_ip_v4((const uint8_t *)&v4->sin_addr);
	else if (i->ai_family == AF_INET6)
		e->ip = tt_ip_v6((const uint8_t *)&v6->sin6_addr);
	e->udp_port = udp_port;
	return mesh_address_is_target(e);
}

static void tell(struct hub_relay_at *a, const struct addrinfo *answer)
{
	struct tt_endpoint list[MESH_HUB_ENDPOINTS_MAX], e;
	unsigned count = 0;

	for (int ours = 1; ours >= 0; ours--)
		for (const struct addrinfo *i = answer; i; i = i->ai_next)
			if (to_endpoint(i, a->udp_port, &e) &&
			    is_ours(i->ai_addr, i->ai_addrlen) == ours)
				hub_relay_at_add(list, &count, &e);
	if (!count && !a->told)
		tt_log(TT_LOG_INFO, "hub.relay_by_name",
		       TT_F_STR("hint", "the hub's name means no address that nodes can use: they "
					"are told the one they connect to; or set relay.public"));
	a->told = true;
	a->found(a->arg, list, count);
}

/* The timer's handle and the request are in the struct. */
static void gone(struct hub_relay_at *a)
{
	if (a->asking || !a->timer_closed)
		return;
	a->closed(a->closed_arg);
	free(a);
}

static void on_answer(uv_getaddrinfo_t *r, int status, struct addrinfo *answer)
{
	struct hub_relay_at *a = r->data;

	a->asking = false;
	/* while DNS is down, what it said last stays */
	if (!a->stopping && (status == 0 || !a->told))
		tell(a, status == 0 ? answer : NULL);
	uv_freeaddrinfo(answer);
	if (a->stopping) {
		gone(a);
		return;
	}
	uv_timer_start(&a->timer, on_timer, status == 0 ? AGAIN_MS : RETRY_MS, 0);
}

static void ask(struct hub_relay_at *a)
{
	struct addrinfo hint = {.ai_socktype = SOCK_DGRAM};

	a->ask.data = a;
	a->asking = uv_getaddrinfo(a->timer.loop, &a->ask, on_answer, a->name, NULL, &hint) == 0;
	if (!a->asking)
		uv_timer_start(&a->timer, on_timer, RETRY_MS, 0);
}

int hub_relay_at_start(uv_loop_t *loop, const char *name, uint16_t udp_port,
		       void (*found)(void *arg, const struct tt_endpoint *at, unsigned count),
		       void *arg, struct hub_relay_at **out)
{
	struct hub_relay_at *a = calloc(1, sizeof(*a));

	if (!a || strlen(name) >= sizeof(a->name)) {
		free(a);
		return -ENOMEM;
	}
	memcpy(a->name, name, strlen(name) + 1);
	a->udp_port = udp_port;
	a->found = found;
	a->arg = arg;
	uv_timer_init(loop, &a->timer);
	a->timer.data = a;
	ask(a);
	*out = a;
	return 0;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct hub_relay_at *a = h->data;

	a->timer_closed = true;
	gone(a);
}

void hub_relay_at_stop(struct hub_relay_at *a, void (*closed)(void *arg), void *arg)
{
	a->stopping = true;
	a->closed = closed;
	a->closed_arg = arg;
	if (a->asking)
		uv_cancel((uv_req_t *)&a->ask);
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
