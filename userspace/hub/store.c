/* SPDX-License-Identifier: MIT */
#include "hub/store.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "plat/clock.h"

enum kind { FIND_TOKEN, ENROLL, RENEWED, SEEN, SNAPSHOT };

struct request {
	struct request *next;
	enum kind kind;
	void *ctx;
	uint64_t cookie;
	enum hub_db_outcome outcome;
	uint32_t id;
	uint64_t at_s;
	union {
		void (*token)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
			      struct hub_db_token *t);
		void (*node)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
			     struct hub_node_facts *node);
	} done;
	union {
		struct {
			uint8_t id[MESH_TOKEN_ID_LEN];
			struct hub_db_token found;
		} token;
		struct {
			struct hub_db_enrolment e;
			char version[64], hostname[64];
			struct hub_node_facts node;
		} enroll;
		struct {
			uint8_t bytes[20];
			uint8_t len;
		} serial;
		struct hub_snapshot snapshot;
	} u;
};

struct queue {
	struct request *first, **last;
};

struct hub_store {
	uv_loop_t *loop;
	struct hub_store_handlers on;
	uv_thread_t thread;
	uv_async_t async;
	/* between the two threads */
	uv_mutex_t lock;
	uv_cond_t wake;
	struct queue todo, done;
	bool stopping, snapshot_out;
	/* the loop's thread */
	uint32_t pending;
	bool loaded;
	void (*closed)(void *arg);
	void *closed_arg;
	_Atomic uint64_t failures; /* any thread */
	/* the store's thread */
	struct hub_db *db;
	struct queue late; /* writes without an answer that failed */
	uint64_t version, looked_ns;
	bool read_once;
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_push(struct queue *q, struct request *r)
{
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
}

static struct request *queue_pop(struct queue *q)
{
	struct request *r = q->first;

	if (r && !(q->first = r->next))
		q->last = &q->first;
	return r;
}

static void request_free(struct request *r)
{
	if (r->kind == SNAPSHOT) {
		for (uint32_t i = 0; i < r->u.snapshot.count; i++)
			free(r->u.snapshot.node[i].subnets);
		free(r->u.snapshot.node);
	} else if (r->kind == ENROLL) {
		free(r->u.enroll.node.subnets);
	}
	crypto_wipe(r, sizeof(*r));
	free(r);
}

/* --- the store's thread ----------------------------------------------------------------------- */

static void complain(struct hub_store *s, const char *event, enum hub_db_outcome o)
{
	const char *why = hub_db_outcome_text(o);

	atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
	tt_log_limited(TT_LOG_ERROR, event, why, plat_clock_mono(), 2, TT_F_STR("error", why),
		       TT_F_STR("detail", hub_db_error(s->db)));
}

static void answer(struct hub_store *s, struct request *r)
{
	uv_mutex_lock(&s->lock);
	queue_push(&s->done, r);
	uv_mutex_unlock(&s->lock);
	uv_async_send(&s->async);
}

struct collecting {
	struct hub_snapshot *out;
	uint32_t room;
	bool failed;
};

static void collect(void *ctx, struct hub_db_node *n)
{
	struct collecting *c = ctx;

	if (c->out->count == c->room) {
		uint32_t room = c->room ? c->room * 2 : 64;
		void *more = realloc(c->out->node, room * sizeof(*c->out->node));
		if (!more) {
			c->failed = true;
			free(n->facts.subnets);
			return;
		}
		c->out->node = more;
		c->room = room;
	}
	c->out->node[c->out->count++] = n->facts;
}

/* Policy and nodes of one moment: in one read transaction. */
static enum hub_db_outcome read_all(struct hub_store *s, struct hub_snapshot *out)
{
	struct collecting c = {.out = out};
	enum hub_db_outcome o = hub_db_read_begin(s->db);

	if (o != HUB_DB_OK)
		return o;
	o = hub_db_policy(s->db, &out->policy);
	if (o == HUB_DB_OK)
		o = hub_db_nodes(s->db, collect, &c);
	hub_db_read_end(s->db);
	return o == HUB_DB_OK && c.failed ? HUB_DB_FAILED : o;
}

static void load(struct hub_store *s, uint64_t version)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return;
	r->kind = SNAPSHOT;
	enum hub_db_outcome o = read_all(s, &r->u.snapshot);
	if (o != HUB_DB_OK) {
		complain(s, "store.read_failed", o);
		request_free(r);
		return;
	}
	s->version = version;
	s->read_once = true;
	uv_mutex_lock(&s->lock);
	s->snapshot_out = true;
	uv_mutex_unlock(&s->lock);
	answer(s, r);
}

static void look(struct hub_store *s)
{
	uv_mutex_lock(&s->lock);
	bool out = s->snapshot_out;
	uv_mutex_unlock(&s->lock);

	s->looked_ns = uv_hrtime();
	if (out)
		return;
	/* before the reading, so that what is written meanwhile is seen next time */
	uint64_t version = hub_db_version(s->db);
	if (!s->read_once || (version && version != s->version))
		load(s, version);
}

static enum hub_db_outcome write_one(struct hub_store *s, struct request *r)
{
	return r->kind == SEEN ? hub_db_node_seen(s->db, r->id, r->at_s)
			       : hub_db_node_renewed(s->db, r->id, r->u.serial.bytes,
						     r->u.serial.len, r->at_s);
}

/* Those without an answer, many in one transaction; what fails comes again with the next look. */
static void write_quiet(struct hub_store *s, struct queue *todo)
{
	enum hub_db_outcome o = hub_db_write_begin(s->db);

	for (struct request *r = todo->first; r && o == HUB_DB_OK; r = r->next)
		o = write_one(s, r);
	o = hub_db_write_end(s->db, o);
	if (o == HUB_DB_OK) {
		struct request *r;
		while ((r = queue_pop(todo)))
			answer(s, r);
		return;
	}
	complain(s, "store.write_failed", o);
	struct request *r;
	while ((r = queue_pop(todo)))
		queue_push(&s->late, r);
}

static void serve_one(struct hub_store *s, struct request *r)
{
	if (r->kind == FIND_TOKEN)
		r->outcome = hub_db_token_find(s->db, r->u.token.id, &r->u.token.found);
	else
		r->outcome = hub_db_enroll(s->db, &r->u.enroll.e, &r->u.enroll.node);
	if (r->outcome >= HUB_DB_FULL)
		complain(s, "store.write_failed", r->outcome);
	answer(s, r);
}

static void serve_all(struct hub_store *s, struct queue *todo)
{
	struct queue quiet;
	struct request *r;

	queue_init(&quiet);
	while ((r = queue_pop(todo))) {
		if (r->kind == SEEN || r->kind == RENEWED)
			queue_push(&quiet, r);
		else
			serve_one(s, r);
	}
	if (quiet.first)
		write_quiet(s, &quiet);
}

static void retry_late(struct hub_store *s)
{
	struct queue again;
	struct request *r;

	if (!s->late.first)
		return;
	queue_init(&again);
	while ((r = queue_pop(&s->late)))
		queue_push(&again, r);
	write_quiet(s, &again);
}

/* Waits for work or the next look; false where the end has come and nothing is left to do. */
static bool next_work(struct hub_store *s, struct queue *todo)
{
	const uint64_t every = HUB_STORE_LOOK_MS * TT_NS_PER_MS;
	struct request *r;

	queue_init(todo);
	uv_mutex_lock(&s->lock);
	while (!s->todo.first && !s->stopping) {
		uint64_t since = uv_hrtime() - s->looked_ns;
		if (since >= every)
			break;
		uv_cond_timedwait(&s->wake, &s->lock, every - since);
	}
	while ((r = queue_pop(&s->todo)))
		queue_push(todo, r);
	bool end = s->stopping && !todo->first;
	uv_mutex_unlock(&s->lock);
	return !end;
}

static void run(void *arg)
{
	struct hub_store *s = arg;
	struct queue todo;

	look(s);
	while (next_work(s, &todo)) {
		serve_all(s, &todo);
		if (uv_hrtime() - s->looked_ns < HUB_STORE_LOOK_MS * TT_NS_PER_MS)
			continue;
		retry_late(s);
		look(s);
	}
}

/* --- the loop's thread ------------------------------------------------------------------------ */

static void deliver(struct hub_store *s, struct request *r)
{
	switch (r->kind) {
	case FIND_TOKEN:
		r->done.token(r->ctx, r->cookie, r->outcome, &r->u.token.found);
		break;
	case ENROLL:
		r->done.node(r->ctx, r->cookie, r->outcome, &r->u.enroll.node);
		/* the registry has taken it where it was OK */
		if (r->outcome == HUB_DB_OK)
			r->u.enroll.node.subnets = NULL;
		break;
	case SNAPSHOT:
		uv_mutex_lock(&s->lock);
		s->snapshot_out = false;
		uv_mutex_unlock(&s->lock);
		s->loaded = true;
		s->on.loaded(s->on.ctx, &r->u.snapshot);
		for (uint32_t i = 0; i < r->u.snapshot.count; i++)
			r->u.snapshot.node[i].subnets = NULL;
		break;
	case RENEWED:
	case SEEN:
		break;
	}
}

static void on_async(uv_async_t *a)
{
	struct hub_store *s = a->data;
	struct request *r;

	for (;;) {
		uv_mutex_lock(&s->lock);
		r = queue_pop(&s->done);
		uv_mutex_unlock(&s->lock);
		if (!r)
			return;
		if (r->kind != SNAPSHOT)
			s->pending--;
		deliver(s, r);
		request_free(r);
	}
}

enum hub_db_outcome hub_store_start(uv_loop_t *loop, const char *path,
				    const struct hub_store_handlers *on, struct hub_store **out)
{
	struct hub_store *s = calloc(1, sizeof(*s));

	if (!s)
		return HUB_DB_FAILED;
	s->loop = loop;
	s->on = *on;
	queue_init(&s->todo);
	queue_init(&s->done);
	queue_init(&s->late);
	enum hub_db_outcome o = hub_db_open(path, false, &s->db);
	if (o != HUB_DB_OK) {
		free(s);
		return o;
	}
	uv_mutex_init(&s->lock);
	uv_cond_init(&s->wake);
	uv_async_init(loop, &s->async, on_async);
	s->async.data = s;
	if (uv_thread_create(&s->thread, run, s) != 0) {
		hub_db_close(s->db);
		return HUB_DB_FAILED; /* the program ends: the handle is the loop's */
	}
	*out = s;
	return HUB_DB_OK;
}

static void drop_all(struct queue *q)
{
	struct request *r;

	while ((r = queue_pop(q)))
		request_free(r);
}

static void on_closed(uv_handle_t *h)
{
	struct hub_store *s = h->data;

	drop_all(&s->todo);
	drop_all(&s->done);
	drop_all(&s->late);
	hub_db_close(s->db);
	uv_cond_destroy(&s->wake);
	uv_mutex_destroy(&s->lock);
	if (s->closed)
		s->closed(s->closed_arg);
	free(s);
}

void hub_store_stop(struct hub_store *s, void (*closed)(void *arg), void *arg)
{
	uv_mutex_lock(&s->lock);
	s->stopping = true;
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->lock);
	uv_thread_join(&s->thread);
	s->closed = closed;
	s->closed_arg = arg;
	uv_close((uv_handle_t *)&s->async, on_closed);
}

static struct request *request_new(struct hub_store *s, enum kind kind)
{
	struct request *r = s->pending < HUB_STORE_PENDING_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (r)
		r->kind = kind;
	return r;
}

static bool ask(struct hub_store *s, struct request *r)
{
	s->pending++;
	uv_mutex_lock(&s->lock);
	queue_push(&s->todo, r);
	uv_cond_signal(&s->wake);
	uv_mutex_unlock(&s->lock);
	return true;
}

bool hub_store_find_token(struct hub_store *s, const uint8_t id[MESH_TOKEN_ID_LEN],
			  void (*done)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
				       struct hub_db_token *t),
			  void *ctx, uint64_t cookie)
{
	struct request *r = request_new(s, FIND_TOKEN);

	if (!r)
		return false;
	r->done.token = done;
	r->ctx = ctx;
	r->cookie = cookie;
	memcpy(r->u.token.id, id, MESH_TOKEN_ID_LEN);
	return ask(s, r);
}

static void copy_text(char *out, size_t room, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	len = TT_MIN(len, room - 1);
	memcpy(out, text ? text : "", len);
	out[len] = 0;
}

bool hub_store_enroll(struct hub_store *s, const struct hub_db_enrolment *e,
		      void (*done)(void *ctx, uint64_t cookie, enum hub_db_outcome o,
				   struct hub_node_facts *node),
		      void *ctx, uint64_t cookie)
{
	struct request *r = request_new(s, ENROLL);

	if (!r)
		return false;
	r->done.node = done;
	r->ctx = ctx;
	r->cookie = cookie;
	r->u.enroll.e = *e;
	copy_text(r->u.enroll.version, sizeof(r->u.enroll.version), e->version);
	copy_text(r->u.enroll.hostname, sizeof(r->u.enroll.hostname), e->hostname);
	r->u.enroll.e.version = r->u.enroll.version;
	r->u.enroll.e.hostname = r->u.enroll.hostname;
	return ask(s, r);
}

bool hub_store_renewed(struct hub_store *s, uint32_t id, const uint8_t *serial, size_t serial_len,
		       uint64_t until_s)
{
	struct request *r = request_new(s, RENEWED);

	if (!r)
		return false;
	r->id = id;
	r->at_s = until_s;
	r->u.serial.len = (uint8_t)TT_MIN(serial_len, sizeof(r->u.serial.bytes));
	memcpy(r->u.serial.bytes, serial, r->u.serial.len);
	return ask(s, r);
}

bool hub_store_seen(struct hub_store *s, uint32_t id, uint64_t now_s)
{
	struct request *r = request_new(s, SEEN);

	if (!r)
		return false;
	r->id = id;
	r->at_s = now_s;
	return ask(s, r);
}

void hub_store_get_stats(const struct hub_store *s, struct hub_store_stats *out)
{
	*out = (struct hub_store_stats){.loaded = s->loaded,
					.pending = s->pending,
					.failures = atomic_load_explicit(&s->failures,
									 memory_order_relaxed)};
}
