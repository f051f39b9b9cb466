/* SPDX-License-Identifier: MIT
 *
 * Two ends of a stream on one loop, over a socket of loopback: whatever stops the reading of one
 * (a slice of time that is used up, its owner, both at once, an other side that reads nothing), all
 * that was sent is heard in the end, in order, and nothing while it is paused.
 */
#include "tt_test.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire/stream_impl.h"

#define FRAMES	    40000u
#define SERIAL	    8u
#define CONTROL_MAX (1024 * 1024)
#define PAUSE_MS    5
#define PATIENCE_NS (20 * UINT64_C(1000000000)) /* a machine that is busy */

struct side {
	struct wire_stream s;
	struct tls_session *tls;
	bool opened, ended, closed;
	enum wire_end why;
	uint64_t sent, heard, wrong;
	uint64_t burn_ns; /* that a frame takes */
	unsigned pause_every;
	bool echo;
	uint64_t heard_before; /* what was read when the turn ended in which it was paused */
	unsigned pauses, yields;
};

static uv_loop_t loop;
static struct wire_loop *wire;
static uv_timer_t resume;
static uv_check_t after_poll;
static struct side a, b;
static struct tls_context *server, *client;
static bool in_yield; /* the owner pauses and resumes where a slice has ended */
static bool gone;

/* --- the two ends ----------------------------------------------------------------------------- */

static void make_contexts(void)
{
	static const uint8_t wg_key[32] = {1};
	struct tls_der ca_key, ca, key, csr, cert;
	uint64_t now = (uint64_t)time(NULL);
	struct tls_cert_request q = {.role = TLS_CERT_HUB,
				     .name = "hub.example.com",
				     .wg_public_key = wg_key,
				     .csr = csr.bytes,
				     .not_before_s = now - 3600,
				     .not_after_s = now + 86400,
				     .serial = {7}};
	struct tls_context_options of_server = {
		.server = true, .cert = &cert, .key = &key, .ca = &ca};
	struct tls_context_options of_client = {.ca = &ca};

	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&ca_key), 0);
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&key), 0);
	CU_ASSERT_EQUAL_FATAL(
		tls_ca_create(&ca_key, "Taltun CA", q.not_before_s, q.not_after_s, &ca), 0);
	CU_ASSERT_EQUAL_FATAL(tls_csr_create(&key, &csr), 0);
	q.csr_len = csr.len;
	CU_ASSERT_EQUAL_FATAL(tls_cert_issue(&ca, &ca_key, &q, &cert), 0);
	CU_ASSERT_EQUAL_FATAL(tls_context_create(&of_server, &server), 0);
	CU_ASSERT_EQUAL_FATAL(tls_context_create(&of_client, &client), 0);
}

static bool say(struct side *e, uint64_t serial)
{
	uint8_t frame[MESH_FRAME_HEADER + SERIAL];

	mesh_frame_header_write(frame, MESH_FRAME_CONTROL, SERIAL);
	tt_store_be64(frame + MESH_FRAME_HEADER, serial);
	return wire_stream_send(&e->s, frame, sizeof(frame));
}

static void burn(uint64_t ns)
{
	for (uint64_t until = uv_hrtime() + ns; uv_hrtime() < until;)
		;
}

static void pause_reading(struct side *e)
{
	e->pauses++;
	e->heard_before = UINT64_MAX;
	wire_stream_pause(&e->s, true);
}

static void on_opened(void *ctx)
{
	struct side *e = ctx;

	e->opened = true;
}

static void on_frame(void *ctx, const struct mesh_frame *f)
{
	struct side *e = ctx;

	e->wrong += f->len != SERIAL || tt_load_be64(f->body) != e->heard;
	e->heard++;
	burn(e->burn_ns);
	if (e->echo)
		say(e, e->sent++);
	if (e->pause_every && e->heard % e->pause_every == 0)
		pause_reading(e);
}

static void on_drained(void *ctx)
{
	(void)ctx;
}

static void on_ended(void *ctx, enum wire_end why)
{
	struct side *e = ctx;

	e->ended = true;
	e->why = why;
	wire_stream_abort(&e->s);
}

static void on_closed(void *ctx)
{
	struct side *e = ctx;

	e->closed = true;
}

static const struct wire_handlers handlers = {.opened = on_opened,
					      .frame = on_frame,
					      .drained = on_drained,
					      .ended = on_ended,
					      .closed = on_closed};

/* --- the loop --------------------------------------------------------------------------------- */

static void on_resume(uv_timer_t *t)
{
	(void)t;
	if (!a.s.paused)
		return;
	CU_ASSERT(a.heard_before == UINT64_MAX || a.heard == a.heard_before);
	wire_stream_pause(&a.s, false);
}

/* Between the reading and the end of the turn: what is paused has heard what it had read. */
static void on_after_poll(uv_check_t *c)
{
	(void)c;
	if (a.s.paused && a.heard_before == UINT64_MAX)
		a.heard_before = a.heard;
	if (tt_list_empty(&a.s.yielded))
		return;
	if (in_yield && a.yields % 3 == 0)
		pause_reading(&a);
	else if (in_yield && a.yields % 3 == 1)
		wire_stream_pause(&a.s, false); /* though it was not paused */
	a.yields++;
}

static void connect_pair(int fd[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(bind(l, (struct sockaddr *)&at, sizeof(at)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(l, 1), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(l, (struct sockaddr *)&at, &len), 0);
	CU_ASSERT_EQUAL_FATAL(connect(fd[1], (struct sockaddr *)&at, sizeof(at)), 0);
	fd[0] = accept(l, NULL, NULL);
	CU_ASSERT_FATAL(fd[0] >= 0);
	close(l);
}

static void side_start(struct side *e, int fd, struct tls_context *context, const char *name)
{
	struct wire_stream_options opt = {.loop = wire,
					  .on = &handlers,
					  .ctx = e,
					  .control_bytes = CONTROL_MAX,
					  .data_packets = 16,
					  .control_frame_max = 64};

	wire_stream_init(&e->s, &opt);
	CU_ASSERT_EQUAL_FATAL(uv_tcp_open(&e->s.tcp, fd), 0);
	CU_ASSERT_EQUAL_FATAL(tls_session_create(context, name, &e->tls), 0);
	wire_stream_start(&e->s, e->tls);
}

/* False: not before patience ends. */
static bool run_until(bool (*done)(void))
{
	uint64_t until = uv_hrtime() + PATIENCE_NS;

	while (!done() && uv_hrtime() < until)
		uv_run(&loop, UV_RUN_ONCE);
	return done();
}

static bool both_open(void)
{
	return a.opened && b.opened;
}

static void set_up(void)
{
	int fd[2];

	if (!server)
		make_contexts();
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	in_yield = gone = false;
	CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
	CU_ASSERT_EQUAL_FATAL(wire_loop_open(&loop, 1024 * 1024, &wire), 0);
	uv_timer_init(&loop, &resume);
	uv_timer_start(&resume, on_resume, PAUSE_MS, PAUSE_MS);
	uv_check_init(&loop, &after_poll);
	uv_check_start(&after_poll, on_after_poll);
	connect_pair(fd);
	side_start(&a, fd[0], server, NULL);
	side_start(&b, fd[1], client, "hub.example.com");
	CU_ASSERT_FATAL(run_until(both_open));
}

static void on_gone(void *arg)
{
	(void)arg;
	gone = true;
}

static bool both_closed(void)
{
	return a.closed && b.closed;
}

static bool all_gone(void)
{
	return gone;
}

static void tear_down(void)
{
	wire_stream_abort(&a.s);
	wire_stream_abort(&b.s);
	CU_ASSERT(run_until(both_closed));
	CU_ASSERT_EQUAL(a.wrong + b.wrong, 0);
	uv_close((uv_handle_t *)&resume, NULL);
	uv_close((uv_handle_t *)&after_poll, NULL);
	wire_loop_close(wire, on_gone, NULL);
	CU_ASSERT(run_until(all_gone));
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

/* --- what stops the reading ------------------------------------------------------------------- */

static bool all_heard(void)
{
	return a.heard == FRAMES;
}

static void flood(void)
{
	while (b.sent < FRAMES)
		if (!say(&b, b.sent++))
			CU_FAIL_FATAL("refused");
}

static void slices(void)
{
	set_up();
	a.burn_ns = 2000;
	flood();
	CU_ASSERT(run_until(all_heard));
	CU_ASSERT(a.yields > 5);
	CU_ASSERT(a.s.read_max < WIRE_READ_MAX);
	tear_down();
}

static void pauses(void)
{
	set_up();
	a.pause_every = 3000;
	flood();
	CU_ASSERT(run_until(all_heard));
	CU_ASSERT(a.pauses >= FRAMES / 3000);
	tear_down();
}

static void pauses_in_slices(void)
{
	set_up();
	in_yield = true;
	a.burn_ns = 2000;
	a.pause_every = 7000;
	flood();
	CU_ASSERT(run_until(all_heard));
	CU_ASSERT(a.yields > 5);
	CU_ASSERT(a.pauses > FRAMES / 7000);
	tear_down();
}

/* --- who does not read ------------------------------------------------------------------------ */

static bool echoes_heard(void)
{
	return b.heard == FRAMES;
}

/* As one that asks and never reads, at a hub that holds it: its questions are heard all the same,
 * the answers wait, and come where it reads again. */
static void mute(void)
{
	set_up();
	a.echo = true;
	a.pause_every = 10000;
	wire_stream_pause(&b.s, true);
	flood();
	CU_ASSERT(run_until(all_heard));
	CU_ASSERT_EQUAL(b.heard, 0);
	CU_ASSERT_FALSE(a.ended);
	wire_stream_pause(&b.s, false);
	CU_ASSERT(run_until(echoes_heard));
	tear_down();
}

static bool a_ended(void)
{
	return a.ended;
}

/* What waits for one that never reads is bounded, and it loses its connection in the end. */
static void never_reads(void)
{
	int small = 4096;
	uv_os_fd_t fd;

	set_up();
	CU_ASSERT_EQUAL(uv_fileno((uv_handle_t *)&a.s.tcp, &fd), 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	wire_stream_pause(&b.s, true);
	while (say(&a, a.sent++)) {
		CU_ASSERT(wire_stream_pending(&a.s) <= CONTROL_MAX);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	CU_ASSERT(run_until(a_ended));
	CU_ASSERT_EQUAL(a.why, WIRE_END_NOT_READING);
	CU_ASSERT_FALSE(wire_stream_is_open(&a.s));
	tear_down();
}

TT_TESTS("stream", {"read in slices, to the end", slices}, {"paused and resumed", pauses},
	 {"paused and resumed where a slice ends", pauses_in_slices},
	 {"who asks and does not read is heard", mute},
	 {"who never reads is bounded, and ended", never_reads})
