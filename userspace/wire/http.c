/* SPDX-License-Identifier: MIT
 *
 * libmicrohttpd in external epoll mode: its descriptor and its next timeout are watched by the
 * loop.
 */
#include "wire/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"

#define PAGE_MAX_DEFAULT ((size_t)16 << 20)
#define REQUEST_MEMORY	 ((size_t)16 << 10)
#define HOUSEKEEPING_MS	 1000
#define PAUSE_MS	 100 /* where nothing can be accepted, as without descriptors */
#define HOST_MAX	 64

struct client {
	int fd; /* -1: free */
	uint64_t end_ms;
};

struct page {
	struct wire_http *server;
	const struct wire_http_page *def;
	struct MHD_Response *ready; /* NULL: none */
	unsigned status;
	unsigned alive; /* renderings that exist: `ready`, and what clients still read */
	size_t last_len;
	uint64_t fresh_until_ms;
};

struct wire_http {
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t due;	    /* what MHD_get_timeout() says, or the end of a pause */
	uv_timer_t cleanup; /* while there are clients or renderings */
	unsigned handles;   /* that are not closed yet */
	bool loopback;	    /* a name in Host is refused */
	bool again;	    /* a place became free: it listens again in its next turn */
	void *ctx;
	size_t page_max;
	unsigned lifetime_ms;
	unsigned pages;
	struct page page[WIRE_HTTP_PAGES_MAX];
	struct client client[WIRE_HTTP_CONNECTIONS_MAX];
	struct wire_http_stats stats;
};

/* --- answers ---------------------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *r, const char *type)
{
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	/* a connection that is kept has no end that could be set */
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result refuse(struct wire_http *h, struct MHD_Connection *c, unsigned status,
			      const char *text)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	if (!r)
		return MHD_NO;
	add_headers(r, "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	h->stats.requests++;
	h->stats.refused++;
	enum MHD_Result done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

/* --- renderings ------------------------------------------------------------------------------- */

struct rendering {
	struct page *page;
	char *text;
};

/* Nobody reads it any more. */
static void rendering_free(void *arg)
{
	struct rendering *r = arg;

	r->page->alive--;
	free(r->text);
	free(r);
}

static void forget(struct page *p)
{
	if (p->ready)
		MHD_destroy_response(p->ready);
	p->ready = NULL;
}

static struct MHD_Response *response_of(struct page *p, const struct tt_text *t)
{
	struct rendering *r = malloc(sizeof(*r));

	if (!r) {
		free(t->buf);
		return NULL;
	}
	*r = (struct rendering){.page = p, .text = t->buf};
	p->alive++;
	/* on failure it frees nothing */
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
		t->len, t->buf, rendering_free, r);
	if (!response)
		rendering_free(r);
	else
		add_headers(response, p->def->type);
	return response;
}

/* p->ready is a new one, or none where that failed, which took its time as well. */
static void render(struct page *p)
{
	struct wire_http *h = p->server;
	struct tt_text t = tt_text_init(realloc, h->page_max);
	uint64_t began = uv_hrtime();

	tt_text_reserve(&t, TT_MIN(p->last_len + p->last_len / 8, h->page_max));
	t.full = false;
	unsigned status = p->def->render(h->ctx, &t);
	uint64_t took = uv_hrtime() - began;
	h->stats.renderings++;
	h->stats.render_ns += took;
	forget(p);
	if (t.full)
		free(t.buf);
	else
		p->ready = response_of(p, &t);
	p->status = status;
	p->last_len = t.len;
	p->fresh_until_ms = uv_now(h->loop) + TT_MAX((uint64_t)WIRE_HTTP_REUSE_MS,
						     took * WIRE_HTTP_REUSE_FACTOR / TT_NS_PER_MS);
}

static void start_cleanup(struct wire_http *h);

static bool is_fresh(const struct page *p)
{
	return uv_now(p->server->loop) < p->fresh_until_ms;
}

static enum MHD_Result serve(struct page *p, struct MHD_Connection *c)
{
	struct wire_http *h = p->server;

	/* clients that do not read get no more memory: others see what is there for a while */
	if (!is_fresh(p) && p->alive < WIRE_HTTP_RENDERINGS_MAX)
		render(p);
	if (!p->ready && is_fresh(p))
		return refuse(h, c, MHD_HTTP_INTERNAL_SERVER_ERROR,
			      "the page is too long, or there is no memory\n");
	if (!p->ready)
		return refuse(h, c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many read slowly\n");
	h->stats.requests++;
	h->stats.refused += p->status >= 400;
	start_cleanup(h);
	return MHD_queue_response(c, p->status, p->ready);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_address(const char *host, size_t len)
{
	char text[HOST_MAX];
	struct tt_ip ip;

	memcpy(text, host, len);
	text[len] = 0;
	return tt_ip_parse(text, &ip) == 0;
}

/* "127.0.0.1:9586", "[::1]", "localhost"; a browser that was led here says another name. */
static bool host_is_ours(struct MHD_Connection *c)
{
	const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	const char *end;

	if (!host)
		return true;
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		end = host + strcspn(host, ":");
	}
	size_t len = (size_t)(end - host);
	if (len == 9 && strncasecmp(host, "localhost", 9) == 0)
		return true;
	return len && len < HOST_MAX && is_address(host, len);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **request)
{
	struct wire_http *h = ctx;

	(void)version;
	(void)upload;
	(void)upload_len;
	(void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(h, c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (h->loopback && !host_is_ours(c))
		return refuse(h, c, MHD_HTTP_MISDIRECTED_REQUEST,
			      "this is no server of that name\n");
	for (unsigned i = 0; i < h->pages; i++)
		if (strcmp(url, h->page[i].def->path) == 0)
			return serve(&h->page[i], c);
	return refuse(h, c, MHD_HTTP_NOT_FOUND, "no such page\n");
}

/* --- connections ------------------------------------------------------------------------------ */

static void on_client(void *ctx, struct MHD_Connection *c, void **slot,
		      enum MHD_ConnectionNotificationCode code)
{
	struct wire_http *h = ctx;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		struct client *old = *slot;
		if (old)
			old->fd = -1;
		h->stats.connections--;
		h->again = true;
		return;
	}
	h->stats.connections++;
	for (unsigned i = 0; i < TT_ARRAY_LEN(h->client); i++) {
		struct client *n = &h->client[i];
		if (n->fd >= 0)
			continue;
		n->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		n->end_ms = uv_now(h->loop) + h->lifetime_ms;
		*slot = n;
		break;
	}
	start_cleanup(h);
}

/* libmicrohttpd knows silence, not a byte every few seconds. */
static void end_old_clients(struct wire_http *h)
{
	for (unsigned i = 0; i < TT_ARRAY_LEN(h->client); i++) {
		struct client *c = &h->client[i];
		if (c->fd < 0 || uv_now(h->loop) < c->end_ms)
			continue;
		h->stats.timeouts++;
		shutdown(c->fd, SHUT_RDWR); /* it sees that, and closes */
		c->end_ms = UINT64_MAX;
	}
}

static void on_cleanup(uv_timer_t *t)
{
	struct wire_http *h = t->data;
	bool more = h->stats.connections > 0;

	end_old_clients(h);
	for (unsigned i = 0; i < h->pages; i++) {
		if (h->page[i].ready && uv_now(h->loop) >= h->page[i].fresh_until_ms)
			forget(&h->page[i]);
		more |= h->page[i].ready != NULL;
	}
	if (!more)
		uv_timer_stop(t);
}

static void start_cleanup(struct wire_http *h)
{
	uint64_t often = TT_MIN((unsigned)HOUSEKEEPING_MS, h->lifetime_ms);

	if (!uv_is_active((uv_handle_t *)&h->cleanup))
		uv_timer_start(&h->cleanup, on_cleanup, often, often);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *p, int status, int events);
static void on_due(uv_timer_t *t);

static void run(struct wire_http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	h->again = false;
	MHD_run(h->daemon);
	if (h->again)
		uv_timer_start(&h->due, on_due, 0, 0);
	else if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		uv_timer_start(&h->due, on_due, ms, 0);
	else
		uv_timer_stop(&h->due);
}

static void on_due(uv_timer_t *t)
{
	struct wire_http *h = t->data;

	uv_poll_start(&h->poll, UV_READABLE, on_readable);
	run(h);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
	struct wire_http *h = p->data;
	unsigned before = h->stats.connections;

	(void)status;
	(void)events;
	run(h);
	if (before || h->stats.connections || h->again)
		return;
	/* somebody waits who could not be accepted, and would wake us again at once */
	uv_poll_stop(p);
	uv_timer_start(&h->due, on_due, PAUSE_MS, 0);
}

/* --- life ------------------------------------------------------------------------------------- */

static bool is_loopback(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return false;
	if (a.ss_family == AF_INET)
		return ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr) >> 24 == 127;
	return a.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&a)->sin6_addr);
}

static struct MHD_Daemon *start_daemon(struct wire_http *h, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return NULL;
	errno = 0;
	return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h,
				MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				(unsigned)WIRE_HTTP_CONNECTIONS_MAX,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT,
				(unsigned)WIRE_HTTP_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
				(unsigned)WIRE_HTTP_SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				REQUEST_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_client, h,
				MHD_OPTION_END);
}

static void take_pages(struct wire_http *h, const struct wire_http_options *opt)
{
	tt_assert(opt->count <= WIRE_HTTP_PAGES_MAX);
	h->ctx = opt->ctx;
	h->page_max = opt->page_max ? opt->page_max : PAGE_MAX_DEFAULT;
	h->lifetime_ms = opt->lifetime_ms ? opt->lifetime_ms : WIRE_HTTP_LIFETIME_MS;
	h->pages = opt->count;
	for (unsigned i = 0; i < opt->count; i++)
		h->page[i] = (struct page){.server = h, .def = &opt->pages[i]};
	for (unsigned i = 0; i < TT_ARRAY_LEN(h->client); i++)
		h->client[i].fd = -1;
}

static void start_handles(struct wire_http *h)
{
	int fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;

	uv_poll_init(h->loop, &h->poll, fd);
	uv_timer_init(h->loop, &h->due);
	uv_timer_init(h->loop, &h->cleanup);
	h->poll.data = h->due.data = h->cleanup.data = h;
	h->handles = 3;
	uv_poll_start(&h->poll, UV_READABLE, on_readable);
}

int wire_http_serve(uv_loop_t *loop, const struct wire_http_options *opt, struct wire_http **out)
{
	struct wire_http *h = calloc(1, sizeof(*h));

	*out = NULL;
	if (h) {
		h->loop = loop;
		h->loopback = is_loopback(opt->listen_fd);
		take_pages(h, opt);
		h->daemon = start_daemon(h, opt->listen_fd);
	}
	if (!h || !h->daemon) {
		int err = h && errno ? -errno : -ENOMEM;
		close(opt->listen_fd);
		free(h);
		return err;
	}
	start_handles(h);
	*out = h;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct wire_http *h = handle->data;

	if (!--h->handles)
		free(h);
}

void wire_http_stop(struct wire_http *h)
{
	if (!h)
		return;
	uv_close((uv_handle_t *)&h->poll, on_closed);
	uv_close((uv_handle_t *)&h->due, on_closed);
	uv_close((uv_handle_t *)&h->cleanup, on_closed);
	MHD_stop_daemon(h->daemon); /* the clients' renderings end with them */
	for (unsigned i = 0; i < h->pages; i++)
		forget(&h->page[i]);
}

void wire_http_get_stats(const struct wire_http *h, struct wire_http_stats *out)
{
	*out = h->stats;
}
