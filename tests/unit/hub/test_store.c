/* SPDX-License-Identifier: MIT
 *
 * The store's thread: what is there is loaded, what others write is seen, answers come in order.
 */
#include "hub/store.h"

#include <unistd.h>

#include "tt_test.h"

#define NOW 1800000000

static char dir[64], path[96];
static uv_loop_t loop;
static struct hub_store *store;
static unsigned loads, nodes, tokens, enrolled, lost;
static uint64_t cookies;
static uint32_t groups;
static bool closed;

static void on_loaded(void *ctx, struct hub_snapshot *s)
{
	(void)ctx;
	loads++;
	nodes = s->count;
	groups = s->policy.count;
	for (uint32_t i = 0; i < s->count; i++)
		free(s->node[i].subnets);
}

static void add_token(struct hub_db *db, unsigned n)
{
	struct hub_db_token t = {
		.role = HUB_ROLE_GATEWAY, .created_s = NOW, .expires_s = NOW + 3600};

	memcpy(t.id, &n, sizeof(n));
	snprintf(t.name, sizeof(t.name), "n%u", n);
	snprintf(t.groups, sizeof(t.groups), "g");
	snprintf(t.subnets, sizeof(t.subnets), "192.168.%u.0/24", n % 256);
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
}

static struct hub_db *begin(void)
{
	struct hub_settings s = {.name = "h", .tcp_port = 443};
	struct hub_store_handlers on = {.loaded = on_loaded};
	struct hub_db *db;

	snprintf(dir, sizeof(dir), "/tmp/tt-hub-store.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hub.db", dir);
	CU_ASSERT_EQUAL_FATAL(hub_db_open(path, true, &db), HUB_DB_OK);
	tt_cidr_parse("10.90.0.0/16", &s.pool4);
	CU_ASSERT_EQUAL_FATAL(hub_db_settings_save(db, &s), HUB_DB_OK);
	loads = nodes = tokens = enrolled = lost = groups = 0;
	cookies = 0;
	closed = false;
	uv_loop_init(&loop);
	CU_ASSERT_EQUAL_FATAL(hub_store_start(&loop, path, &on, &store), HUB_DB_OK);
	return db;
}

static void on_closed(void *arg)
{
	(void)arg;
	closed = true;
}

static void end(struct hub_db *db)
{
	char cmd[96];

	hub_store_stop(store, on_closed, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_TRUE(closed);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	hub_db_close(db);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
}

/* Turns of the loop until *what is at least `wanted`; 5 s at most. */
static bool until(const unsigned *what, unsigned wanted)
{
	for (unsigned i = 0; i < 500 && *what < wanted; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		if (*what < wanted)
			usleep(10000);
	}
	return *what >= wanted;
}

static void on_token(void *ctx, uint64_t cookie, enum hub_db_outcome o, struct hub_db_token *t)
{
	(void)ctx;
	CU_ASSERT_EQUAL(o, HUB_DB_OK);
	CU_ASSERT_EQUAL(t->role, HUB_ROLE_GATEWAY);
	CU_ASSERT_EQUAL(cookie, ++cookies);
	tokens++;
}

static void on_enrolled(void *ctx, uint64_t cookie, enum hub_db_outcome o,
			struct hub_node_facts *node)
{
	(void)ctx;
	CU_ASSERT_EQUAL(cookie, ++cookies);
	if (o == HUB_DB_OK) {
		enrolled++;
		CU_ASSERT_EQUAL(node->subnet_count, 1);
		free(node->subnets);
	} else {
		lost++;
		CU_ASSERT_EQUAL(o, HUB_DB_TOKEN_USED);
	}
}

static bool enroll(unsigned n, uint8_t key, uint64_t cookie)
{
	struct hub_db_enrolment e = {.now_s = NOW, .cert_serial_len = 16, .version = "v"};

	memcpy(e.token_id, &n, sizeof(n));
	memcpy(e.wg_public_key, &n, sizeof(n));
	e.wg_public_key[31] = key;
	return hub_store_enroll(store, &e, on_enrolled, NULL, cookie);
}

static void loads_and_looks(void)
{
	struct hub_db *db = begin();

	CU_ASSERT_TRUE(until(&loads, 1));
	CU_ASSERT_EQUAL(nodes, 0);
	add_token(db, 1);
	CU_ASSERT_TRUE(until(&loads, 2));
	CU_ASSERT_EQUAL(groups, 1);
	/* what the store itself writes is no news */
	CU_ASSERT_TRUE(enroll(1, 1, 1));
	CU_ASSERT_TRUE(until(&enrolled, 1));
	CU_ASSERT_TRUE(hub_store_seen(store, 1, NOW + 5));
	CU_ASSERT_TRUE(hub_store_renewed(store, 1, (const uint8_t *)"serial", 6, NOW + 6));
	usleep(600000);
	uv_run(&loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(loads, 2);
	CU_ASSERT_EQUAL(hub_db_node_revoke(db, "n1", NOW + 7), HUB_DB_OK);
	CU_ASSERT_TRUE(until(&loads, 3));
	CU_ASSERT_EQUAL(nodes, 1);
	end(db);
}

static void in_order(void)
{
	struct hub_db *db = begin();
	uint64_t cookie = 0;
	uint8_t id[MESH_TOKEN_ID_LEN] = {0};

	for (unsigned n = 1; n <= 20; n++)
		add_token(db, n);
	for (unsigned n = 1; n <= 20; n++) {
		memcpy(id, &n, sizeof(n));
		CU_ASSERT_TRUE(hub_store_find_token(store, id, on_token, NULL, ++cookie));
		CU_ASSERT_TRUE(enroll(n, 1, ++cookie));
		CU_ASSERT_TRUE(hub_store_seen(store, n, NOW));
		CU_ASSERT_TRUE(enroll(n, 2, ++cookie));
	}
	CU_ASSERT_TRUE(until(&lost, 20));
	CU_ASSERT_EQUAL(enrolled, 20);
	CU_ASSERT_EQUAL(tokens, 20);
	end(db);
}

static void bounded(void)
{
	struct hub_db *db = begin();
	uint8_t id[MESH_TOKEN_ID_LEN] = {1};
	unsigned taken = 0;

	add_token(db, 1);
	while (taken < 2 * HUB_STORE_PENDING_MAX &&
	       hub_store_find_token(store, id, on_token, NULL, taken + 1))
		taken++;
	CU_ASSERT_EQUAL(taken, HUB_STORE_PENDING_MAX);
	/* what was not answered is not answered any more */
	end(db);
	CU_ASSERT(tokens <= taken);
}

TT_TESTS("hub_store", {"loads, and sees what others write", loads_and_looks},
	 {"answers in order", in_order}, {"bounded, and stopped with work to do", bounded})
