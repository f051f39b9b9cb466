/* SPDX-License-Identifier: MIT
 *
 * The HTTP server and its clients on one thread: the loop turns while a client waits.
 */
#include "wire/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tt_test.h"

static uv_loop_t loop;
static struct wire_http *server;
static unsigned renders;
static size_t big_len;
static unsigned health;

static unsigned small_page(void *ctx, struct tt_text *out)
{
	CU_ASSERT_PTR_EQUAL(ctx, &loop);
	tt_text_str(out, "rendering ");
	tt_text_u64(out, ++renders);
	tt_text_str(out, "\n");
	return 200;
}

static unsigned big_page(void *ctx, struct tt_text *out)
{
	static char chunk[10000];

	(void)ctx;
	renders++;
	memset(chunk, 'x', sizeof(chunk));
	for (size_t i = 0; i < big_len; i += sizeof(chunk))
		tt_text_add(out, chunk, sizeof(chunk));
	return 200;
}

static unsigned health_page(void *ctx, struct tt_text *out)
{
	(void)ctx;
	tt_text_str(out, health == 200 ? "ready\n" : "not yet\n");
	return health;
}

static const struct wire_http_page pages[] = {{"/metrics", "text/x-metrics", small_page},
					      {"/big", "text/plain", big_page},
					      {"/readyz", "text/plain", health_page}};

/* --- the server ------------------------------------------------------------------------------- */

static union {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_un un;
} address;
static socklen_t address_len;

static int listener(bool unix_socket)
{
	int fd = socket(unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&address, 0, sizeof(address));
	if (unix_socket) {
		address.un.sun_family = AF_UNIX;
		snprintf(address.un.sun_path, sizeof(address.un.sun_path), "/tmp/tt-http-%d.sock",
			 (int)getpid());
		unlink(address.un.sun_path);
		address_len = sizeof(address.un);
	} else {
		address.in.sin_family = AF_INET;
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address_len = sizeof(address.in);
	}
	if (bind(fd, &address.sa, address_len) != 0 || listen(fd, 64) != 0)
		abort();
	getsockname(fd, &address.sa, &address_len);
	return fd;
}

static void start(bool unix_socket, size_t page_max, unsigned lifetime_ms)
{
	struct wire_http_options opt = {.listen_fd = listener(unix_socket),
					.pages = pages,
					.count = TT_ARRAY_LEN(pages),
					.ctx = &loop,
					.page_max = page_max,
					.lifetime_ms = lifetime_ms};
	renders = 0;
	big_len = 1;
	health = 200;
	uv_loop_init(&loop);
	if (wire_http_serve(&loop, &opt, &server) != 0)
		abort();
}

static void stop(void)
{
	wire_http_stop(server);
	for (int i = 0; i < 4; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	if (address.sa.sa_family == AF_UNIX)
		unlink(address.un.sun_path);
}

/* --- clients ---------------------------------------------------------------------------------- */

static int dial(void)
{
	int fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, &address.sa, address_len) != 0)
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void turn(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		poll(NULL, 0, 1);
	}
}

static void say(int fd, const char *text)
{
	CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the server closes; bytes, or -1 where it says nothing for 5 s. */
static ssize_t hear(int fd, char *buf, size_t cap)
{
	size_t len = 0;

	for (unsigned quiet = 0; quiet < 5000;) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ssize_t n = recv(fd, buf + len, cap - 1 - len, 0);
		if (n > 0) {
			len += (size_t)n;
			quiet = 0;
		} else if (n == 0 || errno == ECONNRESET) {
			buf[len] = 0;
			return (ssize_t)len;
		} else {
			poll(NULL, 0, 1);
			quiet++;
		}
	}
	buf[len] = 0;
	return -1;
}

static char answer[4096];

/* The status, with the whole answer in `answer`; 0 where there is none. */
static unsigned ask(const char *request)
{
	int fd = dial();
	unsigned status = 0;

	say(fd, request);
	CU_ASSERT(hear(fd, answer, sizeof(answer)) >= 0);
	close(fd);
	return sscanf(answer, "HTTP/1.%*d %u", &status) == 1 ? status : 0;
}

static unsigned get(const char *path)
{
	char request[256];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	return ask(request);
}

static const char *body(void)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end ? end + 4 : "";
}

/* --- tests ------------------------------------------------------------------------------------ */

static void pages_and_methods(void)
{
	start(false, 0, 0);
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	CU_ASSERT_STRING_EQUAL(body(), "rendering 1\n");
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\nContent-Type: text/x-metrics\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\nConnection: close\r\n"));
	CU_ASSERT_EQUAL(get("/metrics?name[]=x"), 200);
	CU_ASSERT_EQUAL(get("/"), 404);
	CU_ASSERT_EQUAL(get("/metrics/"), 404);
	CU_ASSERT_EQUAL(get("//metrics"), 404);
	CU_ASSERT_EQUAL(ask("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
	CU_ASSERT_STRING_EQUAL(body(), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "Content-Length: 12"));
	CU_ASSERT_EQUAL(ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\n"
			    "Content-Length: 3\r\n\r\nabc"),
			405);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
	CU_ASSERT_EQUAL(ask("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
	CU_ASSERT_EQUAL(ask("BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
	stop();
}

static void health_status(void)
{
	start(false, 0, 0);
	CU_ASSERT_EQUAL(get("/readyz"), 200);
	turn(WIRE_HTTP_REUSE_MS + 20);
	health = 503;
	CU_ASSERT_EQUAL(get("/readyz"), 503);
	CU_ASSERT_STRING_EQUAL(body(), "not yet\n");
	stop();
}

static void renderings_are_reused(void)
{
	struct wire_http_stats s;

	start(false, 0, 0);
	for (int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(get("/metrics"), 200);
	wire_http_get_stats(server, &s);
	CU_ASSERT_EQUAL(s.requests, 10);
	CU_ASSERT_EQUAL(s.renderings, renders);
	CU_ASSERT(renders < 10); /* on a machine that stands still, not one */
	turn(WIRE_HTTP_REUSE_MS + 20);
	unsigned before = renders;
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	CU_ASSERT_EQUAL(renders, before + 1);
	stop();
}

static void hosts(void)
{
	static const struct {
		const char *host;
		unsigned status;
	} cases[] = {
		{"127.0.0.1:9586", 200}, {"127.0.0.1", 200},
		{"[::1]:9586", 200},	 {"localhost", 200},
		{"LOCALHOST:1", 200},	 {"evil.example", 421},
		{"127.0.0.1.evil", 421}, {"", 421},
		{"[::1", 421},		 {"[::1]x", 421},
		{"localhost.evil", 421},
	};
	char request[256];

	start(false, 0, 0);
	for (unsigned i = 0; i < TT_ARRAY_LEN(cases); i++) {
		snprintf(request, sizeof(request), "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n",
			 cases[i].host);
		CU_ASSERT_EQUAL(ask(request), cases[i].status);
	}
	CU_ASSERT_EQUAL(ask("GET /metrics HTTP/1.0\r\n\r\n"), 200);
	stop();
	start(true, 0, 0);
	CU_ASSERT_EQUAL(ask("GET /metrics HTTP/1.1\r\nHost: taltun\r\n\r\n"), 200);
	stop();
}

static void too_long(void)
{
	start(false, 5000, 0);
	big_len = 20000;
	CU_ASSERT_EQUAL(get("/big"), 500);
	/* it took its time: a flood of requests for it must not take the loop's */
	for (int i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(get("/big"), 500);
	CU_ASSERT(renders < 10);
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	stop();
}

static void odd_requests(void)
{
	static char request[100000];
	int fd;

	/* half a request is held until its time is over, whoever says no more */
	start(false, 0, 200);
	memset(request, 'a', sizeof(request) - 1);
	memcpy(request, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ", 44);
	fd = dial();
	send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	CU_ASSERT(hear(fd, answer, sizeof(answer)) >= 0);
	close(fd);
	CU_ASSERT_PTR_NULL(strstr(answer, "rendering"));
	static const char *const odd[] = {
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
		"GET /metrics HTTP/9.9\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"GET /metrics HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
	for (unsigned i = 0; i < TT_ARRAY_LEN(odd); i++) {
		fd = dial();
		say(fd, odd[i]);
		shutdown(fd, SHUT_WR);
		CU_ASSERT(hear(fd, answer, sizeof(answer)) >= 0);
		close(fd);
	}
	/* gone before the answer */
	for (int i = 0; i < 50; i++) {
		fd = dial();
		say(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
		close(fd);
		turn(1);
	}
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	stop();
}

static void connections_are_bounded(void)
{
	int fd[WIRE_HTTP_CONNECTIONS_MAX + 8];
	struct wire_http_stats s;
	char byte;

	start(false, 0, 0);
	for (int i = 0; i < WIRE_HTTP_PER_ADDRESS_MAX; i++)
		fd[i] = dial();
	turn(20);
	wire_http_get_stats(server, &s);
	CU_ASSERT_EQUAL(s.connections, WIRE_HTTP_PER_ADDRESS_MAX);
	int more = dial();
	turn(20);
	CU_ASSERT(recv(more, &byte, 1, 0) == 0 || errno == ECONNRESET);
	close(more);
	for (int i = 0; i < WIRE_HTTP_PER_ADDRESS_MAX; i++)
		close(fd[i]);
	turn(20);
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	stop();

	/* a Unix socket has no addresses */
	start(true, 0, 0);
	for (unsigned i = 0; i < TT_ARRAY_LEN(fd); i++)
		fd[i] = dial();
	turn(50);
	wire_http_get_stats(server, &s);
	CU_ASSERT_EQUAL(s.connections, WIRE_HTTP_CONNECTIONS_MAX);
	for (unsigned i = 0; i < TT_ARRAY_LEN(fd); i++)
		close(fd[i]);
	turn(50);
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	stop();
}

static void lifetime(void)
{
	struct wire_http_stats s;
	int drip, quiet;

	start(false, 0, 60);
	drip = dial();
	quiet = dial();
	say(drip, "GET /metrics HTTP/1.1\r\n");
	for (int i = 0; i < 40; i++) {
		send(drip, "X", 1, MSG_NOSIGNAL);
		turn(5);
	}
	CU_ASSERT(hear(drip, answer, sizeof(answer)) >= 0);
	CU_ASSERT(hear(quiet, answer, sizeof(answer)) >= 0);
	close(drip);
	close(quiet);
	wire_http_get_stats(server, &s);
	CU_ASSERT_EQUAL(s.timeouts, 2);
	CU_ASSERT_EQUAL(s.connections, 0);
	stop();
}

static void stop_loop(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static uint64_t cpu_us(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

/* A client that cannot be accepted must not keep the loop busy, and is served later. */
static void no_descriptors(void)
{
	struct rlimit before, none;
	int fd, next;

	start(false, 0, 0);
	fd = dial();
	next = dup(fd);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &none);
	say(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
	uint64_t spent = cpu_us();
	/* the loop's own way to wait */
	uv_timer_t end;
	uv_timer_init(&loop, &end);
	uv_timer_start(&end, stop_loop, 400, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	spent = cpu_us() - spent;
	setrlimit(RLIMIT_NOFILE, &before);
	CU_ASSERT(spent < 100000);
	CU_ASSERT(hear(fd, answer, sizeof(answer)) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "rendering"));
	close(fd);
	uv_close((uv_handle_t *)&end, NULL);
	stop();
}

/* Clients that ask for much and do not read hold four renderings, not one each. */
static void who_does_not_read(void)
{
	int fd[7];
	char *all = malloc(9u << 20);

	start(true, 0, 0);
	big_len = 8u << 20;
	for (unsigned i = 0; i < TT_ARRAY_LEN(fd); i++) {
		fd[i] = dial();
		say(fd[i], "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
		turn(WIRE_HTTP_REUSE_MS);
	}
	CU_ASSERT(renders >= 1 && renders <= WIRE_HTTP_RENDERINGS_MAX);
	CU_ASSERT_EQUAL(get("/metrics"), 200);
	/* they get all of it, late as they are */
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT(hear(fd[i], all, 9u << 20) > (8 << 20));
		close(fd[i]);
	}
	stop(); /* with the others still at it */
	for (unsigned i = 2; i < TT_ARRAY_LEN(fd); i++)
		close(fd[i]);
	free(all);
}

TT_TESTS("http", {"pages and methods", pages_and_methods}, {"health", health_status},
	 {"renderings are used again", renderings_are_reused}, {"host headers", hosts},
	 {"a page that is too long", too_long}, {"odd requests", odd_requests},
	 {"no descriptors", no_descriptors}, {"connections are bounded", connections_are_bounded},
	 {"lifetime", lifetime}, {"who does not read", who_does_not_read})
