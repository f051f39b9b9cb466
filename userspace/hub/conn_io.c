/* SPDX-License-Identifier: MIT
 *
 * Bytes of a connection: from the socket through TLS to frames, and back.
 */
#include <errno.h>
#include <stdlib.h>

#include "hub/conn_impl.h"

/* --- queues ----------------------------------------------------------------------------------- */

static struct hub_chunk *chunk_new(uint32_t len)
{
	struct hub_chunk *k = malloc(sizeof(*k) + len);

	if (k) {
		k->next = NULL;
		k->len = len;
		k->off = 0;
	}
	return k;
}

static void queue_push(struct hub_queue *q, struct hub_chunk *k)
{
	if (q->last)
		q->last->next = k;
	else
		q->first = k;
	q->last = k;
	q->count++;
	q->bytes += k->len;
}

static void queue_pop(struct hub_queue *q)
{
	struct hub_chunk *k = q->first;

	q->first = k->next;
	if (!q->first)
		q->last = NULL;
	q->count--;
	q->bytes -= k->len;
	free(k);
}

static void data_pop(struct hub_conn *c)
{
	c->all->stats.packet_bytes -= c->data.first->len;
	queue_pop(&c->data);
}

void hub_conn_free_queues(struct hub_conn *c)
{
	while (c->control.first)
		queue_pop(&c->control);
	while (c->data.first)
		data_pop(c);
}

void hub_conn_mark(struct hub_conn *c)
{
	if (tt_list_empty(&c->dirty))
		tt_list_add_tail(&c->all->dirty, &c->dirty);
}

static bool closing(const struct hub_conn *c)
{
	return c->ending != HUB_CLOSE_NONE || uv_is_closing((const uv_handle_t *)&c->tcp);
}

bool hub_conn_send(struct hub_conn *c, const uint8_t *frame, size_t len)
{
	if (closing(c))
		return false;
	if (c->control.bytes + len > c->all->limits.control_bytes) {
		hub_conn_drop(c, HUB_CLOSE_NOT_READING);
		return false;
	}
	struct hub_chunk *k = chunk_new((uint32_t)len);

	if (!k) {
		hub_conn_drop(c, HUB_CLOSE_NOT_READING);
		return false;
	}
	memcpy(k->bytes, frame, len);
	queue_push(&c->control, k);
	c->drain_due = true;
	hub_conn_mark(c);
	return true;
}

bool hub_conn_relay(struct hub_conn *c, uint32_t from_node, const uint8_t *packet, uint32_t len)
{
	struct hub_conn_stats *st = &c->all->stats;
	uint32_t whole = MESH_FRAME_RELAY_BEFORE + len;

	if (closing(c) || !c->opened)
		return false;
	if (c->data.count >= c->all->limits.data_packets) {
		data_pop(c);
		st->relay_dropped_oldest++;
	}
	struct hub_chunk *k =
		st->packet_bytes + whole > c->all->limits.packet_bytes ? NULL : chunk_new(whole);

	if (!k) {
		st->relay_dropped_memory++;
		return false;
	}
	mesh_frame_relay_write(k->bytes, from_node, len);
	memcpy(k->bytes + MESH_FRAME_RELAY_BEFORE, packet, len);
	queue_push(&c->data, k);
	st->packet_bytes += whole;
	st->relayed_packets++;
	st->relayed_bytes += len;
	hub_conn_mark(c);
	return true;
}

/* --- out -------------------------------------------------------------------------------------- */

/* Fills one record: all control that there is, then packets. A packet is never cut, so that one may
 * still be dropped while it waits. */
static uint32_t gather(struct hub_conn *c, uint8_t *record)
{
	uint32_t used = 0;

	while (c->control.first && used < HUB_CONN_RECORD) {
		struct hub_chunk *k = c->control.first;
		uint32_t n = TT_MIN(k->len - k->off, HUB_CONN_RECORD - used);

		memcpy(record + used, k->bytes + k->off, n);
		used += n;
		k->off += n;
		if (k->off == k->len)
			queue_pop(&c->control);
	}
	while (!c->control.first && c->data.first && used + c->data.first->len <= HUB_CONN_RECORD) {
		memcpy(record + used, c->data.first->bytes, c->data.first->len);
		used += c->data.first->len;
		data_pop(c);
	}
	return used;
}

/* A packet longer than a record goes alone, over several. */
static bool encrypt_more(struct hub_conn *c)
{
	uint32_t n = gather(c, c->all->record);

	if (n)
		return tls_session_write(c->tls, c->all->record, n);
	if (!c->data.first)
		return false;
	bool ok = tls_session_write(c->tls, c->data.first->bytes, c->data.first->len);
	data_pop(c);
	return ok;
}

static void on_written(uv_write_t *w, int status)
{
	struct hub_conn *c = w->handle->data;

	c->writing = false;
	free(c->write_buffer);
	c->write_buffer = NULL;
	c->moved = hub_conn_now(c->all);
	if (status < 0)
		hub_conn_drop(c, HUB_CLOSE_RESET);
	else
		hub_conn_mark(c);
}

/* What the socket does not take at once waits in memory of its own. False: nothing more now. */
static bool to_socket(struct hub_conn *c, uint8_t *bytes, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
	int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

	if (sent < 0 && sent != UV_EAGAIN) {
		hub_conn_drop(c, HUB_CLOSE_RESET);
		return false;
	}
	sent = sent < 0 ? 0 : sent;
	if ((size_t)sent == len)
		return true;
	len -= (size_t)sent;
	c->write_buffer = malloc(len);
	if (!c->write_buffer) {
		hub_conn_drop(c, HUB_CLOSE_RESET);
		return false;
	}
	memcpy(c->write_buffer, bytes + sent, len);
	buf = uv_buf_init((char *)c->write_buffer, (unsigned)len);
	if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
		hub_conn_drop(c, HUB_CLOSE_RESET);
		return false;
	}
	c->writing = true;
	c->moved = hub_conn_now(c->all);
	return false;
}

static void drained(struct hub_conn *c)
{
	struct hub_conns *s = c->all;

	if (!c->drain_due || c->control.first || closing(c))
		return;
	c->drain_due = false;
	s->on.drained(s->on.ctx, c);
}

/* Everything is sent: the last thing is TLS's own goodbye. */
static void finish(struct hub_conn *c)
{
	if (!c->said_goodbye) {
		c->said_goodbye = true;
		tls_session_close(c->tls);
		hub_conn_mark(c);
		return;
	}
	hub_conn_drop(c, c->ending);
}

void hub_conn_flush(struct hub_conn *c)
{
	struct hub_conns *s = c->all;

	while (!c->writing && !uv_is_closing((uv_handle_t *)&c->tcp)) {
		while (tls_session_output_pending(c->tls) < HUB_CONN_WRITE_MAX - HUB_CONN_RECORD &&
		       encrypt_more(c))
			;
		size_t n = tls_session_output(c->tls, s->wire, sizeof(s->wire));

		if (n) {
			if (!to_socket(c, s->wire, n))
				return;
			drained(c);
			continue;
		}
		if (c->ending != HUB_CLOSE_NONE)
			finish(c);
		else
			drained(c);
		return;
	}
}

/* --- in --------------------------------------------------------------------------------------- */

/* A buffer of its own only while a frame is unfinished. */
static bool more_space(struct hub_conn *c)
{
	uint32_t size = mesh_frame_reader_wanted(&c->reader);
	uint8_t *buffer = malloc(size);

	if (!buffer)
		return false;
	mesh_frame_reader_move(&c->reader, buffer, size);
	free(c->frame_buffer);
	c->frame_buffer = buffer;
	return true;
}

static void less_space(struct hub_conn *c)
{
	if (!c->frame_buffer || mesh_frame_reader_held(&c->reader) > 0)
		return;
	mesh_frame_reader_move(&c->reader, c->small, sizeof(c->small));
	free(c->frame_buffer);
	c->frame_buffer = NULL;
}

static void take_plain(struct hub_conn *c, const uint8_t *bytes, size_t len)
{
	struct hub_conns *s = c->all;
	struct mesh_frame f;

	mesh_frame_reader_feed(&c->reader, bytes, len);
	while (!closing(c)) {
		switch (mesh_frame_reader_next(&c->reader, &f)) {
		case MESH_FRAME_READY:
			s->on.frame(s->on.ctx, c, &f);
			continue;
		case MESH_FRAME_MORE:
			less_space(c);
			return;
		case MESH_FRAME_SPACE:
			if (more_space(c))
				continue;
			hub_conn_drop(c, HUB_CLOSE_RESET);
			return;
		case MESH_FRAME_UNKNOWN_KIND:
		case MESH_FRAME_TOO_LONG:
		case MESH_FRAME_TOO_SHORT:
			hub_conn_drop(c, HUB_CLOSE_BAD_FRAME);
			return;
		}
	}
}

static void opened(struct hub_conn *c)
{
	struct hub_conns *s = c->all;
	struct tls_cert_info peer;

	c->opened = true;
	s->stats.opened++;
	if (tls_session_peer(c->tls, &peer)) {
		c->peer = malloc(sizeof(peer));
		if (!c->peer) {
			hub_conn_drop(c, HUB_CLOSE_RESET);
			return;
		}
		*c->peer = peer;
	}
	hub_conn_expect(c, true);
	s->on.opened(s->on.ctx, c);
}

static void take_bytes(struct hub_conn *c, const uint8_t *bytes, size_t len)
{
	struct hub_conns *s = c->all;
	enum tls_state state = tls_session_feed(c->tls, bytes, len);
	size_t n;

	/* alerts, too, want to be sent */
	hub_conn_mark(c);
	if (state == TLS_OPEN && !c->opened)
		opened(c);
	while (!closing(c) && (n = tls_session_read(c->tls, s->plain, sizeof(s->plain))) > 0)
		take_plain(c, s->plain, n);
	if (closing(c))
		return;
	state = tls_session_state(c->tls);
	if (state == TLS_FAILED)
		hub_conn_close(c, HUB_CLOSE_TLS);
	else if (state == TLS_CLOSED)
		hub_conn_close(c, HUB_CLOSE_BY_PEER);
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	struct hub_conn *c = tcp->data;

	if (n == 0)
		return;
	if (n < 0) {
		hub_conn_drop(c, n == UV_EOF ? HUB_CLOSE_BY_PEER : HUB_CLOSE_RESET);
		return;
	}
	c->heard = hub_conn_now(c->all);
	take_bytes(c, (const uint8_t *)buf->base, (size_t)n);
}

void hub_conn_on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct hub_conn *c = h->data;

	(void)size;
	*buf = uv_buf_init((char *)c->all->read_buffer, sizeof(c->all->read_buffer));
}

void hub_conn_start_reading(struct hub_conn *c)
{
	uv_read_start((uv_stream_t *)&c->tcp, hub_conn_on_alloc, on_read);
}
