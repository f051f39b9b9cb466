/* SPDX-License-Identifier: MIT */
#include "hub/db.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tt_test.h"

#define NOW 1800000000

static char dir[64], path[96];

static struct hub_db *make(const char *pool4, const char *pool6)
{
	struct hub_settings s = {.name = "hub.example.com", .tcp_port = 443};
	struct hub_db *db;

	snprintf(dir, sizeof(dir), "/tmp/tt-hub-db.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hub.db", dir);
	CU_ASSERT_EQUAL_FATAL(hub_db_open(path, true, &db), HUB_DB_OK);
	if (pool4)
		tt_cidr_parse(pool4, &s.pool4);
	if (pool6)
		tt_cidr_parse(pool6, &s.pool6);
	CU_ASSERT_EQUAL_FATAL(hub_db_settings_save(db, &s), HUB_DB_OK);
	return db;
}

static void drop(struct hub_db *db)
{
	char cmd[96];

	hub_db_close(db);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
}

static struct hub_db_token token(unsigned n, const char *name, enum hub_role role)
{
	struct hub_db_token t = {.role = role, .created_s = NOW, .expires_s = NOW + 3600};

	memcpy(t.id, &n, sizeof(n));
	t.secret[0] = (uint8_t)n;
	snprintf(t.name, sizeof(t.name), "%s", name);
	return t;
}

static enum hub_db_outcome enroll(struct hub_db *db, unsigned n, uint64_t now,
				  struct hub_node_facts *out)
{
	struct hub_db_enrolment e = {.now_s = now,
				     .cert_until_s = now + 86400,
				     .cert_serial_len = 16,
				     .version = "1",
				     .hostname = "h"};

	memcpy(e.token_id, &n, sizeof(n));
	memcpy(e.wg_public_key, &n, sizeof(n));
	e.wg_public_key[31] = 1;
	enum hub_db_outcome o = hub_db_enroll(db, &e, out);
	free(out->subnets);
	return o;
}

static void add_and_enroll(struct hub_db *db, unsigned n, const char *name, enum hub_role role,
			   uint64_t now, const char *address)
{
	struct hub_db_token t = token(n, name, role);
	struct hub_node_facts f;
	char text[TT_IP_TEXT_MAX];

	t.created_s = now;
	t.expires_s = now + 3600;
	CU_ASSERT_EQUAL_FATAL(hub_db_token_add(db, &t), HUB_DB_OK);
	CU_ASSERT_EQUAL_FATAL(enroll(db, n, now, &f), HUB_DB_OK);
	CU_ASSERT_STRING_EQUAL(tt_ip_format(&f.addresses[0], text), address);
	CU_ASSERT_STRING_EQUAL(f.name, name);
}

/* --- the file --------------------------------------------------------------------------------- */

static void file(void)
{
	struct hub_db *db = make("10.90.0.0/16", "fd90:1:2::/64"), *other;
	struct hub_settings s;
	struct stat st;

	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(hub_db_open(path, true, &other), HUB_DB_EXISTS);
	CU_ASSERT_EQUAL(hub_db_open("/nonexistent/hub.db", false, &other), HUB_DB_NOT_FOUND);
	CU_ASSERT_EQUAL_FATAL(hub_db_open(path, false, &other), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_settings_load(other, &s), HUB_DB_OK);
	CU_ASSERT_STRING_EQUAL(s.name, "hub.example.com");
	CU_ASSERT_EQUAL(s.tcp_port, 443);
	CU_ASSERT_EQUAL(s.pool4.bits, 16);
	CU_ASSERT_EQUAL(s.pool6.bits, 64);
	hub_db_close(other);
	drop(db);
}

static void damaged(void)
{
	struct hub_db *db = make("10.90.0.0/16", NULL);
	static const char junk[8192] = "this is no database, whatever its name says";
	FILE *f;

	hub_db_close(db);
	f = fopen(path, "r+");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fwrite(junk, sizeof(junk), 1, f);
	fclose(f);
	CU_ASSERT_EQUAL(hub_db_open(path, false, &db), HUB_DB_CORRUPT);
	CU_ASSERT_PTR_NULL(db);
	/* another program's database */
	unlink(path);
	char cmd[160];
	snprintf(cmd, sizeof(cmd), "sqlite3 %s 'CREATE TABLE x (y)' 2>/dev/null", path);
	if (system(cmd) == 0)
		CU_ASSERT_EQUAL(hub_db_open(path, false, &db), HUB_DB_CORRUPT);
	drop(NULL);
}

static void version_of_others(void)
{
	struct hub_db *a = make("10.90.0.0/16", NULL), *b;
	struct hub_db_token t = token(1, "x", HUB_ROLE_CLIENT);

	CU_ASSERT_EQUAL_FATAL(hub_db_open(path, false, &b), HUB_DB_OK);
	uint64_t before = hub_db_version(a), own = hub_db_version(b);
	CU_ASSERT_EQUAL(hub_db_token_add(b, &t), HUB_DB_OK);
	CU_ASSERT_NOT_EQUAL(hub_db_version(a), before);
	CU_ASSERT_EQUAL(hub_db_version(b), own);
	hub_db_close(b);
	drop(a);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static unsigned counted;
static void count_token(void *ctx, const struct hub_db_token *t)
{
	(void)ctx;
	counted++;
	CU_ASSERT_EQUAL(t->secret[0], 0);
}

static void tokens(void)
{
	struct hub_db *db = make("10.90.0.0/16", NULL);
	struct hub_db_token t = token(1, "laptop", HUB_ROLE_CLIENT), found;
	struct hub_node_facts f;

	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_token_find(db, t.id, &found), HUB_DB_OK);
	CU_ASSERT_EQUAL(found.secret[0], 1);
	CU_ASSERT_STRING_EQUAL(found.name, "laptop");
	/* one open token for a name */
	t = token(2, "laptop", HUB_ROLE_CLIENT);
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_EXISTS);
	t = token(3, "Laptop", HUB_ROLE_CLIENT);
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_BAD);
	t = token(4, "a", HUB_ROLE_CLIENT);
	snprintf(t.subnets, sizeof(t.subnets), "192.168.0.0/24");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_BAD);
	t.role = HUB_ROLE_GATEWAY;
	snprintf(t.subnets, sizeof(t.subnets), "0.0.0.0/0");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_BAD);
	snprintf(t.subnets, sizeof(t.subnets), "10.90.5.0/24");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_BAD);
	snprintf(t.subnets, sizeof(t.subnets), "192.168.0.0/24");
	snprintf(t.groups, sizeof(t.groups), "ops Bad");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_BAD);
	snprintf(t.groups, sizeof(t.groups), "ops site-2");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
	CU_ASSERT_EQUAL(enroll(db, 4, NOW + 1, &f), HUB_DB_OK);
	CU_ASSERT_EQUAL(f.subnet_count, 1);
	CU_ASSERT_EQUAL(f.groups, 3);
	/* a subnet has one owner */
	t = token(5, "b", HUB_ROLE_GATEWAY);
	snprintf(t.subnets, sizeof(t.subnets), "192.168.0.0/24");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_EXISTS);
	CU_ASSERT_EQUAL(hub_db_tokens(db, count_token, NULL), HUB_DB_OK);
	CU_ASSERT_EQUAL(counted, 2);

	CU_ASSERT_EQUAL(enroll(db, 1, NOW + 3600, &f), HUB_DB_TOKEN_EXPIRED);
	CU_ASSERT_EQUAL(enroll(db, 9, NOW, &f), HUB_DB_NOT_FOUND);
	CU_ASSERT_EQUAL(enroll(db, 1, NOW + 1, &f), HUB_DB_OK);
	CU_ASSERT_EQUAL(enroll(db, 1, NOW + 2, &f), HUB_DB_TOKEN_USED);
	CU_ASSERT_EQUAL(hub_db_token_remove(db, t.id), HUB_DB_NOT_FOUND);
	drop(db);
}

/* Two handles, one token, at the same time. */
static unsigned winners, losers, strange;
static pthread_barrier_t start;

static void *racer(void *arg)
{
	unsigned n = *(unsigned *)arg;
	struct hub_db *db;
	struct hub_node_facts f;

	if (hub_db_open(path, false, &db) != HUB_DB_OK)
		return NULL;
	pthread_barrier_wait(&start);
	struct hub_db_enrolment e = {.now_s = NOW + 1, .cert_serial_len = 16};
	unsigned token_number = 1;
	memcpy(e.token_id, &token_number, sizeof(token_number));
	e.wg_public_key[0] = (uint8_t)(n + 1);
	enum hub_db_outcome o = hub_db_enroll(db, &e, &f);
	__atomic_add_fetch(o == HUB_DB_OK	    ? &winners
			   : o == HUB_DB_TOKEN_USED ? &losers
						    : &strange,
			   1, __ATOMIC_SEQ_CST);
	hub_db_close(db);
	return NULL;
}

static void one_wins(void)
{
	for (unsigned round = 0; round < 10; round++) {
		struct hub_db *db = make("10.90.0.0/16", NULL);
		struct hub_db_token t = token(1, "one", HUB_ROLE_CLIENT);
		pthread_t th[4];
		unsigned n[4] = {0, 1, 2, 3};

		winners = losers = strange = 0;
		CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
		pthread_barrier_init(&start, NULL, 4);
		for (unsigned i = 0; i < 4; i++)
			pthread_create(&th[i], NULL, racer, &n[i]);
		for (unsigned i = 0; i < 4; i++)
			pthread_join(th[i], NULL);
		pthread_barrier_destroy(&start);
		CU_ASSERT_EQUAL(winners, 1);
		CU_ASSERT_EQUAL(losers, 3);
		CU_ASSERT_EQUAL(strange, 0);
		drop(db);
	}
}

/* --- addresses -------------------------------------------------------------------------------- */

static void pools(void)
{
	struct hub_db *db = make("10.90.0.0/29", "fd90:1:2::/64");
	struct hub_db_token t;
	struct hub_node_facts f;
	char text[TT_IP_TEXT_MAX];

	/* the first host address waits for a gateway */
	add_and_enroll(db, 1, "a", HUB_ROLE_CLIENT, NOW, "10.90.0.2");
	add_and_enroll(db, 2, "gw", HUB_ROLE_GATEWAY, NOW, "10.90.0.1");
	add_and_enroll(db, 3, "gw2", HUB_ROLE_GATEWAY, NOW, "10.90.0.3");
	t = token(4, "b", HUB_ROLE_CLIENT);
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
	CU_ASSERT_EQUAL(enroll(db, 4, NOW, &f), HUB_DB_OK);
	CU_ASSERT_EQUAL(f.address_count, 2);
	CU_ASSERT_STRING_EQUAL(tt_ip_format(&f.addresses[1], text), "fd90:1:2::4");
	CU_ASSERT_EQUAL(f.id, 4);
	/* a revoked node's address rests, but for a node of that name */
	CU_ASSERT_EQUAL(hub_db_node_revoke(db, "a", NOW + 10), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_node_revoke(db, "a", NOW + 10), HUB_DB_NOT_FOUND);
	add_and_enroll(db, 5, "c", HUB_ROLE_CLIENT, NOW + 20, "10.90.0.5");
	add_and_enroll(db, 6, "d", HUB_ROLE_CLIENT, NOW + 20, "10.90.0.6");
	t = token(7, "e", HUB_ROLE_CLIENT);
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
	CU_ASSERT_EQUAL(enroll(db, 7, NOW + 30, &f), HUB_DB_NO_ADDRESS);
	/* nothing of a failed enrolment stays: the token is good for another try */
	add_and_enroll(db, 8, "a", HUB_ROLE_CLIENT, NOW + 40, "10.90.0.2");
	CU_ASSERT_EQUAL(hub_db_node_revoke(db, "d", NOW + 50), HUB_DB_OK);
	CU_ASSERT_EQUAL(enroll(db, 7, NOW + 60, &f), HUB_DB_NO_ADDRESS);
	t = token(9, "late", HUB_ROLE_CLIENT);
	t.created_s = NOW + 8 * 86400;
	t.expires_s = t.created_s + 60;
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
	CU_ASSERT_EQUAL(enroll(db, 9, t.created_s, &f), HUB_DB_OK);
	CU_ASSERT_STRING_EQUAL(tt_ip_format(&f.addresses[0], text), "10.90.0.6");
	CU_ASSERT(f.id > 6);
	drop(db);
}

static void names_and_keys(void)
{
	struct hub_db *db = make("10.90.0.0/24", NULL);
	struct hub_db_token t = token(2, "a", HUB_ROLE_CLIENT);
	struct hub_node_facts f;

	add_and_enroll(db, 1, "a", HUB_ROLE_CLIENT, NOW, "10.90.0.2");
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_EXISTS);
	CU_ASSERT_STRING_EQUAL(hub_db_error(db), "a node \"a\" exists; revoke it first");
	/* the key of a node that is here */
	t = token(3, "b", HUB_ROLE_CLIENT);
	CU_ASSERT_EQUAL(hub_db_token_add(db, &t), HUB_DB_OK);
	struct hub_db_enrolment e = {.now_s = NOW, .cert_serial_len = 16};
	unsigned n = 3, key = 1;
	memcpy(e.token_id, &n, sizeof(n));
	memcpy(e.wg_public_key, &key, sizeof(key));
	e.wg_public_key[31] = 1;
	CU_ASSERT_EQUAL(hub_db_enroll(db, &e, &f), HUB_DB_EXISTS);
	CU_ASSERT_EQUAL(hub_db_node_revoke(db, "a", NOW + 1), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_enroll(db, &e, &f), HUB_DB_OK);
	drop(db);
}

/* --- policy ----------------------------------------------------------------------------------- */

static void policy(void)
{
	struct hub_db *db = make("10.90.0.0/24", NULL);
	struct hub_policy p;

	CU_ASSERT_EQUAL(hub_db_allow(db, "ops", "dev"), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_allow(db, "dev", "ops"), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_allow(db, "dev", "dev"), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_allow(db, "Dev", "dev"), HUB_DB_BAD);
	CU_ASSERT_EQUAL(hub_db_allow(db, "", "dev"), HUB_DB_BAD);
	CU_ASSERT_EQUAL(hub_db_policy(db, &p), HUB_DB_OK);
	CU_ASSERT_EQUAL(p.count, 2);
	CU_ASSERT_EQUAL(p.joined[0], 2);
	CU_ASSERT_EQUAL(p.joined[1], 3);
	CU_ASSERT_EQUAL(hub_db_deny(db, "ops", "dev"), HUB_DB_OK);
	CU_ASSERT_EQUAL(hub_db_deny(db, "ops", "dev"), HUB_DB_NOT_FOUND);
	CU_ASSERT_EQUAL(hub_db_deny(db, "ops", "nobody"), HUB_DB_NOT_FOUND);
	CU_ASSERT_EQUAL(hub_db_policy(db, &p), HUB_DB_OK);
	CU_ASSERT_EQUAL(p.joined[0], 0);
	CU_ASSERT_EQUAL(p.joined[1], 2);
	/* as many groups as there are bits */
	char name[16];
	for (unsigned i = 2; i < HUB_GROUPS_MAX; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		CU_ASSERT_EQUAL(hub_db_allow(db, name, "dev"), HUB_DB_OK);
	}
	CU_ASSERT_EQUAL(hub_db_allow(db, "toomany", "dev"), HUB_DB_BAD);
	drop(db);
}

TT_TESTS("hub_db", {"the file", file}, {"damaged files", damaged},
	 {"what others write is seen", version_of_others}, {"tokens", tokens},
	 {"one token, four at once: one wins", one_wins}, {"address pools", pools},
	 {"names and keys have one owner", names_and_keys}, {"policy", policy})
