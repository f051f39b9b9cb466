/* SPDX-License-Identifier: MIT */
#include "wire/stream.h"

#include <errno.h>
#include <stdlib.h>

#define RECORD	  (16 * 1024) /* plain bytes of one TLS record */
#define WRITE_MAX (64 * 1024) /* for the socket at once */
#define READ_MAX  (64 * 1024)
/* After so many reads the turn counts as ended: libuv may hand out tens of thousands in one. */
#define READS_MAX 64

struct wire_loop {
	uv_loop_t *loop;
	uv_prepare_t turn_end;
	struct tt_list dirty;
	size_t packet_bytes, packet_bytes_max;
	unsigned reads; /* since the last flush of all */
	void (*closed)(void *arg);
	void *closed_arg;
	uint8_t read_buffer[READ_MAX];
	uint8_t plain[RECORD];
	uint8_t record[RECORD];
	uint8_t wire[WRITE_MAX + RECORD];
};

struct wire_chunk {
	struct wire_chunk *next;
	uint32_t len, off;
	uint8_t bytes[];
};

static void flush(struct wire_stream *s);

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

static void on_turn_end(uv_prepare_t *p)
{
	flush_all(p->data);
}

int wire_loop_open(uv_loop_t *loop, size_t packet_bytes, struct wire_loop **out)
{
	struct wire_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->packet_bytes_max = packet_bytes;
	tt_list_init(&l->dirty);
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

/* --- queues ----------------------------------------------------------------------------------- */

static struct wire_chunk *chunk_new(uint32_t len)
{
	struct wire_chunk *k = malloc(sizeof(*k) + len);

	if (k) {
		k->next = NULL;
		k->len = len;
		k->off = 0;
	}
	return k;
}

static void queue_push(struct wire_queue *q, struct wire_chunk *k)
{
	if (q->last)
		q->last->next = k;
	else
		q->first = k;
	q->last = k;
	q->count++;
	q->bytes += k->len;
}

static void queue_pop(struct wire_queue *q)
{
	struct wire_chunk *k = q->first;

	q->first = k->next;
	if (!q->first)
		q->last = NULL;
	q->count--;
	q->bytes -= k->len;
	free(k);
}

static void data_pop(struct wire_stream *s)
{
	s->loop->packet_bytes -= s->data.first->len;
	queue_pop(&s->data);
}

static void free_queues(struct wire_stream *s)
{
	while (s->control.first)
		queue_pop(&s->control);
	while (s->data.first)
		data_pop(s);
}

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
	s->on->ended(s->ctx, why);
}

bool wire_stream_is_open(const struct wire_stream *s)
{
	return s->opened && !s->ended && !s->finishing;
}

bool wire_stream_send(struct wire_stream *s, const uint8_t *frame, size_t len)
{
	if (s->ended || s->finishing || !s->tls)
		return false;
	struct wire_chunk *k =
		s->control.bytes + len > s->control_max ? NULL : chunk_new((uint32_t)len);

	if (!k) {
		end(s, WIRE_END_NOT_READING);
		return false;
	}
	memcpy(k->bytes, frame, len);
	queue_push(&s->control, k);
	s->drain_due = true;
	mark(s);
	return true;
}

bool wire_stream_relay(struct wire_stream *s, uint32_t node_id, const uint8_t *packet, uint32_t len,
		       struct wire_stats *st)
{
	struct wire_loop *l = s->loop;
	uint32_t whole = MESH_FRAME_RELAY_BEFORE + len;

	if (!wire_stream_is_open(s))
		return false;
	if (s->data.count >= s->data_max) {
		data_pop(s);
		st->dropped_oldest++;
	}
	struct wire_chunk *k =
		l->packet_bytes + whole > l->packet_bytes_max ? NULL : chunk_new(whole);

	if (!k) {
		st->dropped_memory++;
		return false;
	}
	mesh_frame_relay_write(k->bytes, node_id, len);
	memcpy(k->bytes + MESH_FRAME_RELAY_BEFORE, packet, len);
	queue_push(&s->data, k);
	l->packet_bytes += whole;
	st->packets++;
	st->packet_bytes += len;
	mark(s);
	return true;
}

/* --- out -------------------------------------------------------------------------------------- */

/* Fills one record: all control that there is, then packets. A packet is not cut, so that one may
 * still be dropped while it waits. */
static uint32_t gather(struct wire_stream *s, uint8_t *record)
{
	uint32_t used = 0;

	while (s->control.first && used < RECORD) {
		struct wire_chunk *k = s->control.first;
		uint32_t n = TT_MIN(k->len - k->off, RECORD - used);

		memcpy(record + used, k->bytes + k->off, n);
		used += n;
		k->off += n;
		if (k->off == k->len)
			queue_pop(&s->control);
	}
	while (!s->control.first && s->data.first && used + s->data.first->len <= RECORD) {
		memcpy(record + used, s->data.first->bytes, s->data.first->len);
		used += s->data.first->len;
		data_pop(s);
	}
	return used;
}

static bool encrypt_more(struct wire_stream *s)
{
	uint32_t n = s->opened ? gather(s, s->loop->record) : 0;

	if (n)
		return tls_session_write(s->tls, s->loop->record, n);
	if (!s->opened || !s->data.first)
		return false;
	/* a packet longer than a record goes alone, over several */
	bool ok = tls_session_write(s->tls, s->data.first->bytes, s->data.first->len);
	data_pop(s);
	return ok;
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
		end(s, WIRE_END_RESET);
		return false;
	}
	s->moved = wire_loop_now(s->loop);
	sent = sent < 0 ? 0 : sent;
	if ((size_t)sent == len)
		return true;
	len -= (size_t)sent;
	s->write_buffer = malloc(len);
	if (!s->write_buffer) {
		end(s, WIRE_END_RESET);
		return false;
	}
	memcpy(s->write_buffer, bytes + sent, len);
	buf = uv_buf_init((char *)s->write_buffer, (unsigned)len);
	s->write.data = s;
	if (uv_write(&s->write, (uv_stream_t *)&s->tcp, &buf, 1, on_written) != 0)
		end(s, WIRE_END_RESET);
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

static void flush(struct wire_stream *s)
{
	struct wire_loop *l = s->loop;

	while (!s->writing && !s->ended) {
		while (tls_session_output_pending(s->tls) < WRITE_MAX - RECORD && encrypt_more(s))
			;
		size_t n = tls_session_output(s->tls, l->wire, sizeof(l->wire));

		if (n) {
			if (!to_socket(s, l->wire, n))
				return;
			drained(s);
			continue;
		}
		if (s->finishing) {
			say_goodbye(s);
		} else {
			drained(s);
			made_room(s);
		}
		return;
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
	if (s->ended || s->finishing)
		return;
	s->finishing = true;
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
	while (!s->ended && !s->finishing) {
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
	enum tls_state state = tls_session_feed(s->tls, bytes, len);
	size_t n;

	/* alerts, too, want to be sent */
	mark(s);
	if (state == TLS_OPEN && !s->opened) {
		s->opened = true;
		s->on->opened(s->ctx);
	}
	while (!s->ended && !s->finishing &&
	       (n = tls_session_read(s->tls, l->plain, sizeof(l->plain))) > 0)
		take_plain(s, l->plain, n);
	if (s->ended || s->finishing)
		return;
	state = tls_session_state(s->tls);
	if (state == TLS_CLOSED)
		end(s, WIRE_END_BY_PEER);
	if (state != TLS_FAILED)
		return;
	flush(s); /* the alert that says why */
	end(s, WIRE_END_TLS);
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
	take_bytes(s, (const uint8_t *)buf->base, (size_t)n);
	/* the stream may be its owner's again: only the loop is looked at */
	if (++l->reads >= READS_MAX)
		flush_all(l);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct wire_stream *s = TT_CONTAINER_OF((uv_tcp_t *)h, struct wire_stream, tcp);

	(void)size;
	*buf = uv_buf_init((char *)s->loop->read_buffer, sizeof(s->loop->read_buffer));
}

/* --- life ------------------------------------------------------------------------------------- */

void wire_stream_init(struct wire_stream *s, const struct wire_stream_options *opt)
{
	memset(s, 0, sizeof(*s));
	s->loop = opt->loop;
	s->on = opt->on;
	s->ctx = opt->ctx;
	s->control_max = opt->control_bytes;
	s->data_max = opt->data_packets;
	tt_list_init(&s->dirty);
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

static void on_closed(uv_handle_t *h)
{
	struct wire_stream *s = TT_CONTAINER_OF((uv_tcp_t *)h, struct wire_stream, tcp);

	tls_session_destroy(s->tls);
	s->tls = NULL;
	free_queues(s);
	free(s->frame_buffer);
	free(s->write_buffer);
	s->frame_buffer = s->write_buffer = NULL;
	s->on->closed(s->ctx);
}

void wire_stream_abort(struct wire_stream *s)
{
	s->ended = true;
	tt_list_del(&s->dirty);
	if (!uv_is_closing((uv_handle_t *)&s->tcp))
		uv_close((uv_handle_t *)&s->tcp, on_closed);
}
