/* SPDX-License-Identifier: MIT
 *
 * The signer as a process: what it signs, what it refuses, and what is left when it dies.
 */
#include "hub/signer.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hub/file.h"
#include "hub/signer_impl.h"
#include "tt_test.h"

static char dir[64], cert_path[96], key_path[96];
static struct tls_der ca_key, ca;
static uv_loop_t loop;
static struct hub_signer *signer;

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/tt-hub-signer.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(cert_path, sizeof(cert_path), "%s/ca.crt", dir);
	snprintf(key_path, sizeof(key_path), "%s/ca.key", dir);
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&ca_key), 0);
	CU_ASSERT_EQUAL_FATAL(
		tls_ca_create(&ca_key, "CA", now_s() - 60, now_s() + 86400 * 365, &ca), 0);
	CU_ASSERT_EQUAL_FATAL(hub_file_write_cert(cert_path, &ca, false), 0);
	CU_ASSERT_EQUAL_FATAL(hub_file_write_key(key_path, &ca_key, false), 0);
	CU_ASSERT_EQUAL_FATAL(hub_signer_fork(cert_path, key_path, &signer), 0);
	uv_loop_init(&loop);
	CU_ASSERT_EQUAL_FATAL(hub_signer_attach(signer, &loop), 0);
}

static void end(void)
{
	char cmd[96];

	hub_signer_stop(signer, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
}

static struct hub_sign_request request(const char *name)
{
	struct hub_sign_request r = {.not_before_s = now_s() - 60,
				     .not_after_s = now_s() + 30 * 86400,
				     .wg_public_key = {1},
				     .serial = {5}};
	struct tls_der key, csr;

	snprintf(r.name, sizeof(r.name), "%s", name);
	tls_key_generate(&key);
	tls_csr_create(&key, &csr);
	r.csr_len = csr.len;
	memcpy(r.csr, csr.bytes, csr.len);
	return r;
}

struct result {
	unsigned count;
	uint64_t last_cookie;
	bool in_order;
	enum hub_sign_outcome outcome;
	struct tls_der cert;
};

static void on_done(void *ctx, uint64_t cookie, enum hub_sign_outcome o, const struct tls_der *cert)
{
	struct result *r = ctx;

	r->in_order = r->in_order && cookie == r->last_cookie + 1;
	r->last_cookie = cookie;
	r->count++;
	r->outcome = o;
	r->cert = *cert;
}

static enum hub_sign_outcome ask(const struct hub_sign_request *req, struct result *r)
{
	*r = (struct result){.in_order = true};
	CU_ASSERT_TRUE(hub_signer_sign(signer, req, on_done, r, 1));
	while (r->count == 0)
		uv_run(&loop, UV_RUN_ONCE);
	return r->outcome;
}

static void signs(void)
{
	struct result r;
	struct tls_cert_info info;
	struct hub_sign_request q = request("laptop-a");

	begin();
	CU_ASSERT_EQUAL(ask(&q, &r), HUB_SIGN_OK);
	CU_ASSERT_EQUAL(tls_cert_parse(r.cert.bytes, r.cert.len, &info), 0);
	CU_ASSERT_EQUAL(info.role, TLS_CERT_NODE);
	CU_ASSERT_STRING_EQUAL(info.name, "laptop-a");
	CU_ASSERT_EQUAL(info.wg_public_key[0], 1);
	CU_ASSERT_TRUE(tls_cert_signed_by(&r.cert, &ca));

	struct hub_sign_request bad = q;
	bad.csr[bad.csr_len - 1] ^= 1;
	CU_ASSERT_EQUAL(ask(&bad, &r), HUB_SIGN_BAD_REQUEST);
	bad = q;
	bad.csr_len = sizeof(bad.csr) + 1;
	CU_ASSERT_EQUAL(ask(&bad, &r), HUB_SIGN_BAD_REQUEST);
	bad = q;
	bad.not_after_s = now_s() + (HUB_SIGNER_DAYS_MAX + 1) * 86400;
	CU_ASSERT_EQUAL(ask(&bad, &r), HUB_SIGN_POLICY);
	bad = q;
	memset(bad.name, 'a', sizeof(bad.name));
	CU_ASSERT_EQUAL(ask(&bad, &r), HUB_SIGN_POLICY);
	CU_ASSERT_EQUAL(ask(&q, &r), HUB_SIGN_OK);
	end();
}

/* More than the socket holds at once. */
static void many(void)
{
	struct hub_sign_request q = request("x");
	struct result r = {.in_order = true};
	uint64_t asked = 0;

	begin();
	while (hub_signer_sign(signer, &q, on_done, &r, asked + 1))
		asked++;
	CU_ASSERT_EQUAL(asked, HUB_SIGNER_PENDING_MAX);
	while (r.count < asked)
		uv_run(&loop, UV_RUN_ONCE);
	CU_ASSERT_TRUE(r.in_order);
	CU_ASSERT_EQUAL(r.outcome, HUB_SIGN_OK);
	end();
}

/* The one below the child that was forked. */
static pid_t worker(void)
{
	char cmd[96];
	int pid = 0;

	snprintf(cmd, sizeof(cmd), "pgrep -P %d", (int)hub_signer_pid(signer));
	FILE *f = popen(cmd, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL_FATAL(fscanf(f, "%d", &pid), 1);
	pclose(f);
	CU_ASSERT_TRUE_FATAL(pid > 1);
	return (pid_t)pid;
}

/* Each death costs the request at hand at most; too many of them end it. */
static void dies(void)
{
	struct hub_sign_request q = request("x");
	struct result r = {.in_order = true};
	uint64_t asked = 0;

	begin();
	for (unsigned i = 0; i < 4; i++) {
		pid_t before = worker(), after = before;

		for (unsigned k = 0; k < 20; k++) {
			q.serial[1] = (uint8_t)++asked;
			CU_ASSERT_TRUE(hub_signer_sign(signer, &q, on_done, &r, asked));
		}
		CU_ASSERT_EQUAL(kill(before, SIGKILL), 0);
		while (r.count < asked)
			uv_run(&loop, UV_RUN_ONCE);
		for (unsigned k = 0; k < 100 && after == before; k++) {
			usleep(20000);
			after = worker();
		}
		CU_ASSERT_NOT_EQUAL(after, before);
		CU_ASSERT_TRUE(hub_signer_works(signer) && r.in_order);
	}
	CU_ASSERT_EQUAL(ask(&q, &r), HUB_SIGN_OK);
	CU_ASSERT_EQUAL(kill(worker(), SIGKILL), 0);
	while (hub_signer_works(signer))
		uv_run(&loop, UV_RUN_ONCE);
	CU_ASSERT_FALSE(hub_signer_sign(signer, &q, on_done, &r, 9));
	end();
}

static void policy(void)
{
	struct hub_sign_request q = request("x"), bad;
	uint64_t now = now_s();

	CU_ASSERT_TRUE(hub_signer_allows(&q, now));
	CU_ASSERT_FALSE(hub_signer_allows(&q, now + 3600));
	CU_ASSERT_FALSE(hub_signer_allows(&q, now - 3600));
	bad = q;
	bad.not_after_s = now;
	CU_ASSERT_FALSE(hub_signer_allows(&bad, now));
	bad = q;
	bad.not_after_s = UINT64_MAX;
	CU_ASSERT_FALSE(hub_signer_allows(&bad, now));
	bad = q;
	bad.not_before_s = UINT64_MAX;
	CU_ASSERT_FALSE(hub_signer_allows(&bad, now));
	bad = q;
	memset(bad.wg_public_key, 0, 32);
	CU_ASSERT_FALSE(hub_signer_allows(&bad, now));
	static const char *const names[] = {"", "A", "a b", "-a", "a..b", "a/b"};
	for (size_t i = 0; i < TT_ARRAY_LEN(names); i++) {
		bad = q;
		snprintf(bad.name, sizeof(bad.name), "%s", names[i]);
		CU_ASSERT_FALSE(hub_signer_allows(&bad, now));
	}
}

static void files(void)
{
	struct hub_signer *s;

	begin();
	CU_ASSERT_EQUAL(chmod(key_path, 0644), 0);
	CU_ASSERT_NOT_EQUAL(hub_signer_fork(cert_path, key_path, &s), 0);
	CU_ASSERT_EQUAL(chmod(key_path, 0600), 0);
	CU_ASSERT_NOT_EQUAL(hub_signer_fork(cert_path, "/nonexistent", &s), 0);
	/* a key that is not the CA's */
	struct tls_der other;
	tls_key_generate(&other);
	CU_ASSERT_EQUAL(hub_file_write_key(key_path, &other, true), 0);
	CU_ASSERT_NOT_EQUAL(hub_signer_fork(cert_path, key_path, &s), 0);
	end();
}

TT_TESTS("hub_signer", {"what it signs", signs}, {"many at once, in order", many},
	 {"who signs dies", dies}, {"policy", policy}, {"files that must not do", files})
