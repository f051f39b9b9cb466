/* SPDX-License-Identifier: MIT
 *
 * A small HTTP server for metrics and health on a libuv loop (libmicrohttpd, with the loop watching
 * its epoll descriptor). GET and HEAD of a fixed table of pages; one request per connection. Plain
 * HTTP: it listens on loopback or a Unix socket, or behind something that speaks TLS.
 *
 * What a client costs is bounded whatever it does: WIRE_HTTP_CONNECTIONS_MAX connections, of them
 * WIRE_HTTP_PER_ADDRESS_MAX from one address, 16 KiB for a request, 10 s of silence, 30 s in all. A
 * rendering is used again for 250 ms, or 20 times as long as it took where that is longer, so that
 * a flood of requests takes at most a twentieth of the loop; of each page at most four renderings
 * exist, the later ones held by clients that do not read.
 *
 * On a loopback address a Host header that is a name other than localhost is refused (421): a page
 * in somebody's browser that made its own name point here. Everything runs on the loop's thread.
 */
#ifndef TT_WIRE_HTTP_H
#define TT_WIRE_HTTP_H

#include <uv.h>

#include "base/text.h"

#define WIRE_HTTP_CONNECTIONS_MAX 32
#define WIRE_HTTP_PER_ADDRESS_MAX 8
#define WIRE_HTTP_SILENCE_S	  10
#define WIRE_HTTP_LIFETIME_MS	  30000
#define WIRE_HTTP_REUSE_MS	  250
#define WIRE_HTTP_REUSE_FACTOR	  20
#define WIRE_HTTP_RENDERINGS_MAX  4
#define WIRE_HTTP_PAGES_MAX	  8

struct wire_http_page {
	const char *path; /* "/metrics" */
	const char *type; /* Content-Type */
	/* Writes the page and returns its status: 200, or 503 where it tells of something that is
	 * not well. A text that runs full becomes a 500. */
	unsigned (*render)(void *ctx, struct tt_text *out);
};

struct wire_http_options {
	int listen_fd;			    /* listening, TCP or Unix; taken, also on error */
	const struct wire_http_page *pages; /* stay in place */
	unsigned count;
	void *ctx;	      /* of render() */
	size_t page_max;      /* bytes of a page; 0: 16 MiB */
	unsigned lifetime_ms; /* 0: WIRE_HTTP_LIFETIME_MS */
};

struct wire_http_stats {
	uint64_t requests; /* answered, whatever with */
	uint64_t refused;  /* of them: with an error */
	uint64_t renderings;
	uint64_t render_ns; /* that they took together */
	uint64_t timeouts;  /* connections that were closed after 30 s */
	unsigned connections;
};

struct wire_http;

/* 0 or -errno. */
int wire_http_serve(uv_loop_t *loop, const struct wire_http_options *opt, struct wire_http **out);
/* Closes all connections and the listening descriptor at once. The struct goes when the loop has
 * run once more. NULL is allowed. */
void wire_http_stop(struct wire_http *h);
void wire_http_get_stats(const struct wire_http *h, struct wire_http_stats *out);

#endif
