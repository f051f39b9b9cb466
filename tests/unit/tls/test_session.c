/* SPDX-License-Identifier: MIT */
#include "tls/session.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <time.h>

#include "tt_test.h"

#define YEAR UINT64_C(31536000)

static struct tls_der ca_key, ca, other_ca_key, other_ca, hub_key, hub, node_key, node;
static uint8_t wg_key[32] = {1, 2, 3};
static struct tls_cert_info ca_info;

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

static int issue(enum tls_cert_role role, const char *name, const struct tls_der *key,
		 uint64_t from, uint64_t to, struct tls_der *out)
{
	struct tls_der csr;
	struct tls_cert_request req = {.role = role,
				       .name = name,
				       .wg_public_key = wg_key,
				       .csr = csr.bytes,
				       .not_before_s = from,
				       .not_after_s = to,
				       .serial = {7}};

	CU_ASSERT_EQUAL_FATAL(tls_csr_create(key, &csr), 0);
	req.csr_len = csr.len;
	return tls_cert_issue(&ca, &ca_key, &req, out);
}

static void make_all(void)
{
	if (ca.len)
		return;
	uint64_t from = now_s() - 3600, to = now_s() + YEAR;
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&ca_key), 0);
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&other_ca_key), 0);
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&hub_key), 0);
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&node_key), 0);
	CU_ASSERT_EQUAL_FATAL(tls_ca_create(&ca_key, "Taltun CA", from, to, &ca), 0);
	CU_ASSERT_EQUAL_FATAL(tls_ca_create(&other_ca_key, "Taltun CA", from, to, &other_ca), 0);
	CU_ASSERT_EQUAL_FATAL(issue(TLS_CERT_HUB, "hub.example.com", &hub_key, from, to, &hub), 0);
	CU_ASSERT_EQUAL_FATAL(issue(TLS_CERT_NODE, "laptop-a", &node_key, from, to, &node), 0);
	CU_ASSERT_EQUAL_FATAL(tls_cert_parse(ca.bytes, ca.len, &ca_info), 0);
}

/* --- certificates ----------------------------------------------------------------------------- */

static void certificates(void)
{
	struct tls_cert_info i;

	make_all();
	CU_ASSERT_EQUAL(ca_info.role, TLS_CERT_CA);
	CU_ASSERT_EQUAL(tls_cert_parse(node.bytes, node.len, &i), 0);
	CU_ASSERT_EQUAL(i.role, TLS_CERT_NODE);
	CU_ASSERT_STRING_EQUAL(i.name, "laptop-a");
	CU_ASSERT_TRUE(i.has_wg_key && memcmp(i.wg_public_key, wg_key, 32) == 0);
	CU_ASSERT_TRUE(i.not_before_s < now_s() && i.not_after_s > now_s());
	CU_ASSERT_EQUAL(tls_cert_parse(hub.bytes, hub.len, &i), 0);
	CU_ASSERT_EQUAL(i.role, TLS_CERT_HUB);
	CU_ASSERT_TRUE(tls_cert_signed_by(&node, &ca));
	CU_ASSERT_FALSE(tls_cert_signed_by(&node, &other_ca));
	CU_ASSERT_FALSE(tls_cert_signed_by(&node, &hub));
	CU_ASSERT_TRUE(tls_cert_has_key(&node, &node_key));
	CU_ASSERT_FALSE(tls_cert_has_key(&node, &hub_key));
	CU_ASSERT_TRUE(tls_cert_same_key(&node, &node));
	CU_ASSERT_FALSE(tls_cert_same_key(&node, &hub));
	CU_ASSERT_FALSE(tls_cert_same_key(&node, &node_key));
}

static void broken_certificates(void)
{
	struct tls_cert_info i;
	struct tls_der d;
	unsigned accepted = 0;

	make_all();
	for (uint32_t n = 0; n < node.len; n++)
		accepted += tls_cert_parse(node.bytes, n, &i) == 0;
	CU_ASSERT_EQUAL(accepted, 0);
	for (uint32_t n = 0; n < node.len; n++) {
		d = node;
		d.bytes[n] ^= 0x20;
		accepted += tls_cert_signed_by(&d, &ca);
	}
	CU_ASSERT_EQUAL(accepted, 0);
	d = node;
	d.bytes[d.len++] = 0;
	CU_ASSERT_EQUAL(tls_cert_parse(d.bytes, d.len, &i), -EINVAL);
}

static void requests(void)
{
	struct tls_der csr, out;
	unsigned accepted = 0;

	make_all();
	CU_ASSERT_EQUAL(tls_csr_create(&node_key, &csr), 0);
	CU_ASSERT_EQUAL(tls_csr_check(csr.bytes, csr.len), 0);
	for (uint32_t n = 0; n < csr.len; n++) {
		csr.bytes[n] ^= 1;
		accepted += tls_csr_check(csr.bytes, csr.len) == 0;
		csr.bytes[n] ^= 1;
	}
	CU_ASSERT_EQUAL(accepted, 0);
	CU_ASSERT_EQUAL(issue(TLS_CERT_NODE, "", &node_key, 1, 2, &out), -EINVAL);
	CU_ASSERT_EQUAL(issue(TLS_CERT_NODE, "x", &node_key, 2, 2, &out), -EINVAL);
	CU_ASSERT_EQUAL(issue(TLS_CERT_CA, "x", &node_key, 1, 2, &out), -EINVAL);
}

static void pem(void)
{
	char text[TLS_CERT_PEM_MAX];
	struct tls_der back;

	make_all();
	CU_ASSERT_EQUAL(tls_cert_to_pem(&node, text, sizeof(text)), 0);
	CU_ASSERT_EQUAL(tls_cert_from_pem(text, strlen(text), &back), 0);
	CU_ASSERT_TRUE(back.len == node.len && memcmp(back.bytes, node.bytes, node.len) == 0);
	CU_ASSERT_EQUAL(tls_key_to_pem(&node_key, text, sizeof(text)), 0);
	CU_ASSERT_EQUAL(tls_key_from_pem(text, strlen(text), &back), 0);
	CU_ASSERT_TRUE(tls_cert_has_key(&node, &back));
	CU_ASSERT_EQUAL(tls_cert_from_pem("nothing", 7, &back), -EINVAL);
	CU_ASSERT_EQUAL(tls_key_from_pem("", 0, &back), -EINVAL);
}

/* --- sessions --------------------------------------------------------------------------------- */

struct pair {
	struct tls_context *cc, *sc;
	struct tls_session *c, *s;
};

static void pump(struct pair *p)
{
	uint8_t buf[4096];
	size_t n, moved;

	do {
		moved = 0;
		while ((n = tls_session_output(p->c, buf, sizeof(buf))) > 0) {
			tls_session_feed(p->s, buf, n);
			moved += n;
		}
		while ((n = tls_session_output(p->s, buf, sizeof(buf))) > 0) {
			tls_session_feed(p->c, buf, n);
			moved += n;
		}
		/* alerts of a TLS 1.3 server reach a client that believes itself open */
		tls_session_read(p->c, buf, sizeof(buf));
		tls_session_read(p->s, buf, sizeof(buf));
	} while (moved);
}

static void join(struct pair *p, const struct tls_context_options *client,
		 const struct tls_context_options *server, const char *name)
{
	struct tls_context_options c = *client, s = *server;

	make_all();
	s.server = true;
	CU_ASSERT_EQUAL_FATAL(tls_context_create(&c, &p->cc), 0);
	CU_ASSERT_EQUAL_FATAL(tls_context_create(&s, &p->sc), 0);
	CU_ASSERT_EQUAL_FATAL(tls_session_create(p->cc, name, &p->c), 0);
	CU_ASSERT_EQUAL_FATAL(tls_session_create(p->sc, NULL, &p->s), 0);
	pump(p);
}

static void part(struct pair *p)
{
	tls_session_destroy(p->c);
	tls_session_destroy(p->s);
	tls_context_destroy(p->cc);
	tls_context_destroy(p->sc);
}

static const struct tls_context_options node_side = {.cert = &node, .key = &node_key, .ca = &ca};
static const struct tls_context_options hub_side = {.cert = &hub, .key = &hub_key, .ca = &ca};

static void mutual(void)
{
	struct tls_cert_info i;
	struct tls_der chain;
	uint8_t a[32], b[32];
	struct pair p;

	join(&p, &node_side, &hub_side, "hub.example.com");
	CU_ASSERT_EQUAL(tls_session_state(p.c), TLS_OPEN);
	CU_ASSERT_EQUAL(tls_session_state(p.s), TLS_OPEN);
	CU_ASSERT_TRUE(tls_session_peer(p.s, &i));
	CU_ASSERT_STRING_EQUAL(i.name, "laptop-a");
	CU_ASSERT_TRUE(tls_session_peer(p.c, &i));
	CU_ASSERT_EQUAL(i.role, TLS_CERT_HUB);
	CU_ASSERT_TRUE(tls_session_peer_ca(p.c, &chain) && chain.len == ca.len);
	CU_ASSERT_TRUE(tls_session_export(p.c, "EXPORTER-taltun-enroll", a, 32));
	CU_ASSERT_TRUE(tls_session_export(p.s, "EXPORTER-taltun-enroll", b, 32));
	CU_ASSERT_TRUE(memcmp(a, b, 32) == 0);
	part(&p);
}

static void bytes_through(void)
{
	static uint8_t out[100000], in[100000];
	uint8_t wire[777];
	size_t got = 0, n;
	struct pair p;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	join(&p, &node_side, &hub_side, "hub.example.com");
	CU_ASSERT_TRUE(tls_session_write(p.c, out, sizeof(out)));
	while ((n = tls_session_output(p.c, wire, sizeof(wire))) > 0) {
		tls_session_feed(p.s, wire, n);
		got += tls_session_read(p.s, in + got, sizeof(in) - got);
	}
	CU_ASSERT_EQUAL(got, sizeof(out));
	CU_ASSERT_TRUE(memcmp(in, out, sizeof(out)) == 0);
	tls_session_close(p.c);
	pump(&p);
	CU_ASSERT_EQUAL(tls_session_state(p.s), TLS_CLOSED);
	CU_ASSERT_FALSE(tls_session_write(p.c, out, 1));
	part(&p);
}

static void by_hash(void)
{
	struct tls_context_options c = {.ca_key_hash = ca_info.key_hash};
	struct tls_cert_info i;
	struct tls_der chain;
	uint8_t wrong[32];
	struct pair p;

	join(&p, &c, &hub_side, "hub.example.com");
	CU_ASSERT_EQUAL(tls_session_state(p.c), TLS_OPEN);
	CU_ASSERT_EQUAL(tls_session_state(p.s), TLS_OPEN);
	CU_ASSERT_FALSE(tls_session_peer(p.s, &i));
	CU_ASSERT_TRUE(tls_session_peer_ca(p.c, &chain));
	CU_ASSERT_TRUE(chain.len == ca.len && memcmp(chain.bytes, ca.bytes, ca.len) == 0);
	part(&p);
	memcpy(wrong, ca_info.key_hash, 32);
	wrong[31] ^= 1;
	c.ca_key_hash = wrong;
	join(&p, &c, &hub_side, "hub.example.com");
	CU_ASSERT_EQUAL(tls_session_failure(p.c), TLS_FAIL_UNTRUSTED);
	CU_ASSERT_EQUAL(tls_session_state(p.s), TLS_FAILED);
	part(&p);
}

static void expect(const struct tls_context_options *c, const struct tls_context_options *s,
		   const char *name, enum tls_failure client, enum tls_failure server)
{
	struct pair p;

	join(&p, c, s, name);
	CU_ASSERT_EQUAL(tls_session_failure(p.c), client);
	CU_ASSERT_EQUAL(tls_session_failure(p.s), server);
	part(&p);
}

static void refusals(void)
{
	struct tls_der old, early;
	struct tls_context_options c = node_side, s = hub_side;

	make_all();
	expect(&c, &s, "other.example.com", TLS_FAIL_NAME, TLS_FAIL_REFUSED);
	expect(&c, &s, "192.0.2.1", TLS_FAIL_NAME, TLS_FAIL_REFUSED);
	c.ca = &other_ca;
	expect(&c, &s, "hub.example.com", TLS_FAIL_UNTRUSTED, TLS_FAIL_REFUSED);
	c = node_side;
	s.ca = &other_ca;
	expect(&c, &s, "hub.example.com", TLS_FAIL_REFUSED, TLS_FAIL_UNTRUSTED);
	s = hub_side;
	issue(TLS_CERT_NODE, "old", &node_key, now_s() - 7200, now_s() - 3600, &old);
	issue(TLS_CERT_NODE, "early", &node_key, now_s() + 3600, now_s() + 7200, &early);
	c.cert = &old;
	expect(&c, &s, "hub.example.com", TLS_FAIL_REFUSED, TLS_FAIL_EXPIRED);
	c.cert = &early;
	expect(&c, &s, "hub.example.com", TLS_FAIL_REFUSED, TLS_FAIL_NOT_YET);
	c = node_side;
	/* a node that plays the hub, and a hub's certificate used as a node's */
	s.cert = &node;
	s.key = &node_key;
	expect(&c, &s, "hub.example.com", TLS_FAIL_ROLE, TLS_FAIL_REFUSED);
	s = hub_side;
	c.cert = &hub;
	c.key = &hub_key;
	expect(&c, &s, "hub.example.com", TLS_FAIL_REFUSED, TLS_FAIL_ROLE);
}

/* Another client of the library: an older protocol, another ALPN, none. */
static enum tls_failure foreign(int version, const char *alpn_proto)
{
	struct tls_context_options opt = hub_side;
	struct tls_context *sc;
	struct tls_session *s;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *c;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	uint8_t buf[4096];
	int n;

	make_all();
	opt.server = true;
	SSL_CTX_set_max_proto_version(ctx, version);
	c = SSL_new(ctx);
	if (alpn_proto)
		SSL_set_alpn_protos(c, (const uint8_t *)alpn_proto, (unsigned)strlen(alpn_proto));
	SSL_set_bio(c, in, out);
	SSL_set_connect_state(c);
	CU_ASSERT_EQUAL_FATAL(tls_context_create(&opt, &sc), 0);
	CU_ASSERT_EQUAL_FATAL(tls_session_create(sc, NULL, &s), 0);
	for (int turn = 0; turn < 6; turn++) {
		SSL_do_handshake(c);
		while ((n = BIO_read(out, buf, sizeof(buf))) > 0)
			tls_session_feed(s, buf, (size_t)n);
		while ((n = (int)tls_session_output(s, buf, sizeof(buf))) > 0)
			BIO_write(in, buf, n);
	}
	enum tls_failure f = tls_session_failure(s);
	CU_ASSERT_NOT_EQUAL(tls_session_state(s), TLS_OPEN);
	SSL_free(c);
	SSL_CTX_free(ctx);
	tls_session_destroy(s);
	tls_context_destroy(sc);
	return f;
}

static void strangers(void)
{
	CU_ASSERT_EQUAL(foreign(TLS1_2_VERSION, "\x08taltun/1"), TLS_FAIL_PROTOCOL);
	CU_ASSERT_EQUAL(foreign(TLS1_1_VERSION, "\x08taltun/1"), TLS_FAIL_PROTOCOL);
	CU_ASSERT_EQUAL(foreign(TLS1_3_VERSION, "\x02h2"), TLS_FAIL_ALPN);
	CU_ASSERT_EQUAL(foreign(TLS1_3_VERSION, NULL), TLS_FAIL_ALPN);
}

static void garbage(void)
{
	struct tls_context_options opt = hub_side;
	struct tls_context *sc;
	struct tls_session *s;
	static const char http[] = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n";

	make_all();
	opt.server = true;
	CU_ASSERT_EQUAL_FATAL(tls_context_create(&opt, &sc), 0);
	CU_ASSERT_EQUAL_FATAL(tls_session_create(sc, NULL, &s), 0);
	CU_ASSERT_EQUAL(tls_session_feed(s, (const uint8_t *)http, sizeof(http)), TLS_FAILED);
	CU_ASSERT_EQUAL(tls_session_failure(s), TLS_FAIL_PROTOCOL);
	CU_ASSERT_EQUAL(tls_session_feed(s, (const uint8_t *)http, sizeof(http)), TLS_FAILED);
	tls_session_destroy(s);
	tls_context_destroy(sc);
}

TT_TESTS("tls session", {"certificates", certificates},
	 {"broken certificates", broken_certificates}, {"requests", requests}, {"pem", pem},
	 {"mutual", mutual}, {"bytes", bytes_through}, {"trust by hash", by_hash},
	 {"refusals", refusals}, {"strangers", strangers}, {"garbage", garbage})
