/* SPDX-License-Identifier: MIT */
#include "wire/stream_impl.h"

#include <errno.h>
#include <stdlib.h>

/* A queue of packets goes out before the turn ends where it holds so much: one turn may read far
 * more than a queue takes. */
#define PUSH_BYTES (3 * WIRE_RECORD)
/* After so many reads the turn counts as ended: libuv may hand out tens of thousands in one. */
#define READS_MAX 64
/* Of a stream in one turn; and what it reads at once, where frames are small and take long. */
#define SLICE_NS (1 * TT_NS_PER_MS)
#define READ_MIN 2048u

static void flush(struct wire_stream *s);
static void push(struct wire_stream *s);
static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf);
static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf);

/* --- the loop --------------------------------------------------------------------------------- */

struct tt_mono wire_loop_now(const struct wire_loop *l)
{
	return (struct tt_mono){uv_now(l->loop) * TT_NS_PER_MS + 1};
}

size_t wire_loop_packet_bytes(const struct wire_loop *l)
{
	return l->packet_bytes;
}

/* Everything that was queued in this turn goes out before the loop sleeps. */
static void flush_all(struct wire_loop *l)
{
	l->reads = 0;
	while (!tt_list_empty(&l->dirty)) {
		struct wire_stream *s = TT_CONTAINER_OF(l->dirty.next, struct wire_stream, dirty);

		tt_list_del(&s->dirty);
		flush(s);
	}
}

/* They had their slice of this turn; the next one begins. */
static void read_again(struct wire_loop *l)
{
	l->turn++;
	while (!tt_list_empty(&l->yielded)) {
		struct wire_stream *s =
			TT_CONTAINER_OF(l->yielded.next, struct wire_stream, yielded);

		tt_list_del(&s->yielded);
		if (!s->paused)
			uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
	}
}

static void on_turn_end(uv_prepare_t *p)
{
	flush_all(p->data);
	read_again(p->data);
}

int wire_loop_open(uv_loop_t *loop, size_t packet_bytes, struct wire_loop **out)
{
	struct wire_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->packet_bytes_max = packet_bytes;
	tt_list_init(&l->dirty);
	tt_list_init(&l->yielded);
	uv_prepare_init(loop, &l->turn_end);
	l->turn_end.data = l;
	uv_prepare_start(&l->turn_end, on_turn_end);
	/* it works for the others: the loop may end where only it is left */
	uv_unref((uv_handle_t *)&l->turn_end);
	*out = l;
	return 0;
}

static void on_loop_closed(uv_handle_t *h)
{
	struct wire_loop *l = h->data;

	wire_pool_free(l);
	if (l->closed)
		l->closed(l->closed_arg);
	free(l);
}

void wire_loop_close(struct wire_loop *l, void (*closed)(void *arg), void *arg)
{
	l->closed = closed;
	l->closed_arg = arg;
	uv_close((uv_handle_t *)&l->turn_end, on_loop_closed);
}

/* --- queueing --------------------------------------------------------------------------------- */

static void mark(struct wire_stream *s)
{
	if (tt_list_empty(&s->dirty))
		tt_list_add_tail(&s->loop->dirty, &s->dirty);
}

static void end(struct wire_stream *s, enum wire_end why)
{
	if (s->ended)
		return;
	s->ended = true;
	tt_list_del(&s->dirty);
	tt_list_del(&s->yielded);
	s->on->ended(s->ctx, why);
}

/* Whoever sends still uses what ended() may free: it ends when the turn does. */
static void doom(struct wire_stream *s, enum wire_end why)
{
	if (!s->doomed)
		s->doom = why;
	s->doomed = true;
	mark(s);
}

bool wire_stream_is_open(const struct wire_stream *s)
{
	return s->opened && !s->ended && !s->doomed && !s->finishing;
}

bool wire_stream_send(struct wire_stream *s, const uint8_t *frame, size_t len)
{
	if (s->ended || s->doomed || s->finishing || !s->tls)
		return false;
	if (!wire_control_put(s, frame, len)) {
		doom(s, WIRE_END_NOT_READING);
		return false;
	}
	s->drain_due = true;
	mark(s);
	return true;
}

bool wire_stream_relay(struct wire_stream *s, uint32_t node_id, const uint8_t *packet, uint32_t len,
		       struct wire_stats *st)
{
	if (!wire_stream_is_open(s) || !wire_data_put(s, node_id, packet, len, st))
		return false;
	mark(s);
	if (s->data.bytes >= PUSH_BYTES)
		push(s);
	return true;
}

/* --- out -------------------------------------------------------------------------------------- */

/* Where only packets wait, a chunk of them is a record, and is not copied again. */
static bool encrypt_packets(struct wire_stream *s)
{
	const struct wire_chunk *k = s->data.first;
	bool ok = tls_session_write(s->tls, k->bytes + k->off, k->len - k->off);

	wire_data_pop_chunk(s);
	return ok;
}

static bool encrypt_more(struct wire_stream *s)
{
	if (!s->opened)
		return false;
	if (s->control.first)
		return tls_session_write(s->tls, s->loop->record,
					 wire_queues_gather(s, s->loop->record));
	return s->data.first && encrypt_packets(s);
}

/* Fills the loop's buffer for the socket; returns how much of it. */
static size_t fill_wire(struct wire_stream *s)
{
	struct wire_loop *l = s->loop;
	size_t n = tls_session_output(s->tls, l->wire, sizeof(l->wire));

	if (tls_session_output_pending(s->tls))
		return n;
	tls_session_lend_output(s->tls, l->wire + n, sizeof(l->wire) - n);
	while (n + tls_session_output_pending(s->tls) < WIRE_WRITE_MAX - WIRE_RECORD &&
	       encrypt_more(s))
		;
	return n + tls_session_return_output(s->tls);
}

static void on_written(uv_write_t *w, int status)
{
	struct wire_stream *s = w->data;

	s->writing = false;
	free(s->write_buffer);
	s->write_buffer = NULL;
	s->moved = wire_loop_now(s->loop);
	if (s->ended)
		return;
	if (status < 0)
		end(s, WIRE_END_RESET);
	else
		mark(s);
}

/* What the socket does not take at once waits in memory of its own. False: nothing more now. */
static bool to_socket(struct wire_stream *s, uint8_t *bytes, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
	int sent = uv_try_write((uv_stream_t *)&s->tcp, &buf, 1);

	if (sent < 0 && sent != UV_EAGAIN) {
		doom(s, WIRE_END_RESET);
		return false;
	}
	s->moved = wire_loop_now(s->loop);
	sent = sent < 0 ? 0 : sent;
	if ((size_t)sent == len)
		return true;
	len -= (size_t)sent;
	s->write_buffer = malloc(len);
	if (!s->write_buffer) {
		doom(s, WIRE_END_RESET);
		return false;
	}
	memcpy(s->write_buffer, bytes + sent, len);
	buf = uv_buf_init((char *)s->write_buffer, (unsigned)len);
	s->write.data = s;
	if (uv_write(&s->write, (uv_stream_t *)&s->tcp, &buf, 1, on_written) != 0)
		doom(s, WIRE_END_RESET);
	else
		s->writing = true;
	return false;
}

static void drained(struct wire_stream *s)
{
	if (!s->drain_due || s->control.first || s->ended || s->finishing)
		return;
	s->drain_due = false;
	s->on->drained(s->ctx);
}

static void made_room(struct wire_stream *s)
{
	if (!s->room_due || s->data.first || s->writing || !wire_stream_is_open(s))
		return;
	s->room_due = false;
	s->on->room(s->ctx);
}

uint32_t wire_stream_room(const struct wire_stream *s)
{
	return s->writing || !wire_stream_is_open(s) ? 0 : s->data_max - s->data.count;
}

void wire_stream_want_room(struct wire_stream *s)
{
	s->room_due = true;
	mark(s);
}

/* Everything is sent: the last thing is TLS's own goodbye. */
static void say_goodbye(struct wire_stream *s)
{
	if (s->said_goodbye) {
		end(s, WIRE_END_FINISHED);
		return;
	}
	s->said_goodbye = true;
	tls_session_close(s->tls);
	mark(s);
}

/* Hands the socket what there is, as far as it takes it. Calls nobody back. */
static void push(struct wire_stream *s)
{
	while (!s->writing && !s->ended && !s->doomed) {
		size_t n = fill_wire(s);

		if (!n || !to_socket(s, s->loop->wire, n))
			return;
	}
}

static void flush(struct wire_stream *s)
{
	push(s);
	if (s->doomed)
		end(s, s->doom);
	if (s->ended || s->writing)
		return;
	if (s->finishing) {
		say_goodbye(s);
	} else {
		drained(s);
		made_room(s);
	}
}

void wire_stream_flush(struct wire_stream *s)
{
	if (!s->tls || s->ended)
		return;
	tt_list_del(&s->dirty);
	flush(s);
}

void wire_stream_finish(struct wire_stream *s)
{
	if (s->ended || s->doomed || s->finishing)
		return;
	s->finishing = true;
	tt_list_del(&s->yielded);
	if (!s->tls) {
		end(s, WIRE_END_FINISHED);
		return;
	}
	uv_read_stop((uv_stream_t *)&s->tcp);
	mark(s);
}

/* --- in --------------------------------------------------------------------------------------- */

/* A buffer of its own only while a frame is unfinished. */
static bool more_space(struct wire_stream *s)
{
	uint32_t size = mesh_frame_reader_wanted(&s->reader);
	uint8_t *buffer = malloc(size);

	if (!buffer)
		return false;
	mesh_frame_reader_move(&s->reader, buffer, size);
	free(s->frame_buffer);
	s->frame_buffer = buffer;
	return true;
}

static void less_space(struct wire_stream *s)
{
	if (!s->frame_buffer || mesh_frame_reader_held(&s->reader) > 0)
		return;
	mesh_frame_reader_move(&s->reader, s->small, sizeof(s->small));
	free(s->frame_buffer);
	s->frame_buffer = NULL;
}

static void take_plain(struct wire_stream *s, const uint8_t *bytes, size_t len)
{
	struct mesh_frame f;

	mesh_frame_reader_feed(&s->reader, bytes, len);
	while (!s->ended && !s->doomed && !s->finishing) {
		switch (mesh_frame_reader_next(&s->reader, &f)) {
		case MESH_FRAME_READY:
			s->on->frame(s->ctx, &f);
			continue;
		case MESH_FRAME_MORE:
			less_space(s);
			return;
		case MESH_FRAME_SPACE:
			if (more_space(s))
				continue;
			end(s, WIRE_END_RESET);
			return;
		case MESH_FRAME_UNKNOWN_KIND:
		case MESH_FRAME_TOO_LONG:
		case MESH_FRAME_TOO_SHORT:
			end(s, WIRE_END_BAD_FRAME);
			return;
		}
	}
}

static void take_bytes(struct wire_stream *s, const uint8_t *bytes, size_t len)
{
	struct wire_loop *l = s->loop;
	enum tls_state state = tls_session_lend_input(s->tls, bytes, len);
	size_t n;

	/* alerts, too, want to be sent */
	mark(s);
	if (state == TLS_OPEN && !s->opened) {
		s->opened = true;
		s->on->opened(s->ctx);
	}
	while (!s->ended && !s->doomed && !s->finishing &&
	       (n = tls_session_read(s->tls, l->plain, sizeof(l->plain))) > 0)
		take_plain(s, l->plain, n);
	tls_session_lend_input(s->tls, NULL, 0);
	if (s->ended || s->doomed || s->finishing)
		return;
	state = tls_session_state(s->tls);
	if (state == TLS_CLOSED)
		end(s, WIRE_END_BY_PEER);
	if (state != TLS_FAILED)
		return;
	flush(s); /* the alert that says why */
	end(s, WIRE_END_TLS);
}

/* One that takes long is read in smaller pieces, and no more in this turn. */
static void charge(struct wire_stream *s, uint64_t spent_ns)
{
	struct wire_loop *l = s->loop;

	if (spent_ns > SLICE_NS / 2)
		s->read_max = TT_MAX(s->read_max / 2, READ_MIN);
	else if (spent_ns < SLICE_NS / 8)
		s->read_max = TT_MIN(s->read_max * 2, (uint32_t)WIRE_READ_MAX);
	if (s->slice_turn != l->turn) {
		s->slice_turn = l->turn;
		s->slice_ns = 0;
	}
	s->slice_ns += spent_ns;
	if (s->slice_ns < SLICE_NS || s->doomed || s->finishing || s->paused)
		return;
	uv_read_stop((uv_stream_t *)&s->tcp);
	if (tt_list_empty(&s->yielded))
		tt_list_add_tail(&l->yielded, &s->yielded);
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	struct wire_stream *s = TT_CONTAINER_OF((uv_tcp_t *)tcp, struct wire_stream, tcp);
	struct wire_loop *l = s->loop;

	if (n == 0 || s->ended)
		return;
	if (n < 0) {
		end(s, n == UV_EOF ? WIRE_END_BY_PEER : WIRE_END_RESET);
		return;
	}
	s->heard = wire_loop_now(l);
	uint64_t began = uv_hrtime();

	take_bytes(s, (const uint8_t *)buf->base, (size_t)n);
	if (!s->ended)
		charge(s, uv_hrtime() - began);
	/* the stream may be its owner's again: only the loop is looked at */
	if (++l->reads >= READS_MAX)
		flush_all(l);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct wire_stream *s = TT_CONTAINER_OF((uv_tcp_t *)h, struct wire_stream, tcp);

	(void)size;
	*buf = uv_buf_init((char *)s->loop->read_buffer, s->read_max);
}

/* --- life ------------------------------------------------------------------------------------- */

void wire_stream_init(struct wire_stream *s, const struct wire_stream_options *opt)
{
	memset(s, 0, sizeof(*s));
	s->loop = opt->loop;
	s->on = opt->on;
	s->ctx = opt->ctx;
	s->control_max = opt->control_bytes;
	s->data_max = TT_MIN(opt->data_packets, (uint32_t)UINT16_MAX);
	s->data_bytes_max = opt->data_bytes ? opt->data_bytes : SIZE_MAX / 2;
	s->read_max = WIRE_READ_MAX;
	tt_list_init(&s->dirty);
	tt_list_init(&s->yielded);
	uv_tcp_init(opt->loop->loop, &s->tcp);
	mesh_frame_reader_init(&s->reader, s->small, sizeof(s->small), opt->control_frame_max,
			       opt->relay_frame_max);
}

void wire_stream_start(struct wire_stream *s, struct tls_session *tls)
{
	s->tls = tls;
	s->heard = s->moved = wire_loop_now(s->loop);
	uv_tcp_nodelay(&s->tcp, 1);
	uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
	mark(s);
}

void wire_stream_limit(struct wire_stream *s, uint32_t control_frame_max, uint32_t relay_frame_max)
{
	mesh_frame_reader_limit(&s->reader, control_frame_max, relay_frame_max);
}

void wire_stream_pause(struct wire_stream *s, bool pause)
{
	if (s->ended || s->finishing || !s->tls)
		return;
	s->paused = pause;
	tt_list_del(&s->yielded);
	if (pause)
		uv_read_stop((uv_stream_t *)&s->tcp);
	else
		uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
}

static void on_closed(uv_handle_t *h)
{
	struct wire_stream *s = TT_CONTAINER_OF((uv_tcp_t *)h, struct wire_stream, tcp);

	tls_session_destroy(s->tls);
	s->tls = NULL;
	wire_queues_free(s);
	free(s->frame_buffer);
	free(s->write_buffer);
	s->frame_buffer = s->write_buffer = NULL;
	s->on->closed(s->ctx);
}

void wire_stream_abort(struct wire_stream *s)
{
	s->ended = true;
	tt_list_del(&s->dirty);
	tt_list_del(&s->yielded);
	if (!uv_is_closing((uv_handle_t *)&s->tcp))
		uv_close((uv_handle_t *)&s->tcp, on_closed);
}
