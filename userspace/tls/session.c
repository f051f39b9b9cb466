/* SPDX-License-Identifier: MIT */
#include "tls/session.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "crypto/mem.h"
#include "tls/cert_impl.h"

static const uint8_t alpn[] = "\x08taltun/1";
#define ALPN_LEN 9

struct tls_context {
	SSL_CTX *ssl;
	bool server;
	bool by_hash; /* trust the CA with this key */
	uint8_t ca_key_hash[TLS_HASH_LEN];
};

/* Bytes that wait; memory only while there are some. */
struct tls_bytes {
	uint8_t *bytes;
	size_t off, len, cap;
};

struct tls_session {
	SSL *ssl;
	struct tls_context *context;
	struct tls_bytes in, out;
	const uint8_t *lent_in; /* read after `in` */
	size_t lent_in_len;
	uint8_t *lent_out; /* filled before `out` */
	size_t lent_out_len, lent_out_cap;
	enum tls_state state;
	enum tls_failure failure;
};

/* --- bytes in and out -------------------------------------------------------------------------
 */

static bool bytes_add(struct tls_bytes *b, const uint8_t *from, size_t len)
{
	if (b->len + len > b->cap) {
		size_t cap = TT_MAX(b->len + len, 2 * b->cap);
		uint8_t *more = OPENSSL_realloc(b->bytes, cap);

		if (!more)
			return false;
		b->bytes = more;
		b->cap = cap;
	}
	memcpy(b->bytes + b->len, from, len);
	b->len += len;
	return true;
}

static size_t bytes_take(struct tls_bytes *b, uint8_t *to, size_t room)
{
	size_t n = TT_MIN(b->len - b->off, room);

	if (n)
		memcpy(to, b->bytes + b->off, n);
	b->off += n;
	if (b->off == b->len) {
		OPENSSL_free(b->bytes);
		*b = (struct tls_bytes){0};
	}
	return n;
}

static int wire_read(BIO *bio, char *to, int room)
{
	struct tls_session *s = BIO_get_data(bio);
	size_t want = (size_t)room, n = bytes_take(&s->in, (uint8_t *)to, want);
	size_t more = TT_MIN(want - n, s->lent_in_len);

	BIO_clear_retry_flags(bio);
	if (more) {
		memcpy(to + n, s->lent_in, more);
		s->lent_in += more;
		s->lent_in_len -= more;
	}
	if (n + more == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	return (int)(n + more);
}

/* What does not fit into what was lent waits in memory of our own, and all that follows behind it.
 */
static int wire_write(BIO *bio, const char *from, int len)
{
	struct tls_session *s = BIO_get_data(bio);
	size_t n = (size_t)len;

	BIO_clear_retry_flags(bio);
	if (s->out.len == 0 && n <= s->lent_out_cap - s->lent_out_len) {
		memcpy(s->lent_out + s->lent_out_len, from, n);
		s->lent_out_len += n;
		return len;
	}
	return bytes_add(&s->out, (const uint8_t *)from, n) ? len : -1;
}

static long wire_control(BIO *bio, int command, long number, void *arg)
{
	(void)bio;
	(void)number;
	(void)arg;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire_method;
static pthread_once_t wire_method_once = PTHREAD_ONCE_INIT;

/* Lives as long as the program, as the library's own do. */
static void make_wire_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "taltun wire");
	if (m && BIO_meth_set_read(m, wire_read) && BIO_meth_set_write(m, wire_write) &&
	    BIO_meth_set_ctrl(m, wire_control))
		wire_method = m;
}

static bool attach_wire(struct tls_session *s)
{
	pthread_once(&wire_method_once, make_wire_method);
	BIO *bio = wire_method ? BIO_new(wire_method) : NULL;

	if (!bio)
		return false;
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio); /* which owns it */
	return true;
}

/* --- context ---------------------------------------------------------------------------------- */

static X509 *load_cert(const struct tls_der *der)
{
	const uint8_t *at = der->bytes;

	return d2i_X509(NULL, &at, (long)der->len);
}

static bool use_identity(SSL_CTX *ssl, const struct tls_context_options *opt)
{
	if (!opt->cert)
		return true;
	const uint8_t *at = opt->key->bytes;
	X509 *x = load_cert(opt->cert);
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &at, (long)opt->key->len);
	bool ok = x && pkey && SSL_CTX_use_certificate(ssl, x) == 1 &&
		  SSL_CTX_use_PrivateKey(ssl, pkey) == 1 && SSL_CTX_check_private_key(ssl) == 1;

	X509_free(x);
	EVP_PKEY_free(pkey);
	/* whoever enrols knows the CA by its hash only, and needs to see it */
	if (ok && opt->server && opt->ca) {
		X509 *ca = load_cert(opt->ca);
		ok = ca && SSL_CTX_add_extra_chain_cert(ssl, ca) == 1;
		if (!ok)
			X509_free(ca);
	}
	return ok;
}

static bool use_trust(SSL_CTX *ssl, const struct tls_context_options *opt)
{
	if (!opt->ca)
		return true;
	X509 *ca = load_cert(opt->ca);
	bool ok = ca && X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), ca) == 1;

	X509_free(ca);
	return ok;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i + 1 <= in_len && i + 1u + in[i] <= in_len; i += 1u + in[i]) {
		if (1u + in[i] == ALPN_LEN && memcmp(in + i, alpn, ALPN_LEN) == 0) {
			*out = in + i + 1;
			*out_len = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool key_hash_is(X509 *x, const uint8_t want[TLS_HASH_LEN])
{
	uint8_t hash[TLS_HASH_LEN], *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
	bool ok = len > 0 && EVP_Digest(spki, (size_t)len, hash, NULL, EVP_sha256(), NULL) &&
		  crypto_equal(hash, want, TLS_HASH_LEN);

	OPENSSL_free(spki);
	return ok;
}

/* The server has sent its CA along: the one whose key has the hash we were told is believed. */
static int verify_by_hash(X509_STORE_CTX *store, void *arg)
{
	const struct tls_context *c = arg;
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
	STACK_OF(X509) *trusted = sk_X509_new_null();
	int ok = 0;

	for (int i = 0; trusted && i < sk_X509_num(sent); i++) {
		X509 *x = sk_X509_value(sent, i);
		if (X509_check_ca(x) == 1 && key_hash_is(x, c->ca_key_hash))
			sk_X509_push(trusted, x);
	}
	if (trusted && sk_X509_num(trusted) > 0) {
		X509_STORE_CTX_set0_trusted_stack(store, trusted);
		ok = X509_verify_cert(store);
	} else {
		X509_STORE_CTX_set_error(store, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
	}
	sk_X509_free(trusted);
	return ok > 0;
}

static bool harden(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify_depth(ssl, 2);
	/* where both have AES in hardware the shorter key is a third faster, and long enough */
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					     "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
	       SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
	       SSL_CTX_set1_groups_list(ssl, "X25519:P-256") == 1;
}

int tls_context_create(const struct tls_context_options *opt, struct tls_context **out)
{
	struct tls_context *c = OPENSSL_zalloc(sizeof(*c));
	int err = -EIO;

	if (!c)
		return -EIO;
	c->server = opt->server;
	c->ssl = SSL_CTX_new(opt->server ? TLS_server_method() : TLS_client_method());
	if (!c->ssl || !harden(c->ssl))
		goto failed;
	err = -EINVAL;
	if (!use_identity(c->ssl, opt) || !use_trust(c->ssl, opt))
		goto failed;
	if (opt->server)
		SSL_CTX_set_alpn_select_cb(c->ssl, choose_alpn, NULL);
	else if (SSL_CTX_set_alpn_protos(c->ssl, alpn, ALPN_LEN) != 0)
		goto failed;
	if (opt->ca_key_hash) {
		c->by_hash = true;
		memcpy(c->ca_key_hash, opt->ca_key_hash, TLS_HASH_LEN);
		SSL_CTX_set_cert_verify_callback(c->ssl, verify_by_hash, c);
	}
	/* a server lets in who has no certificate yet: enrolment; what may be said then is the
	 * hub's to decide */
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	*out = c;
	ERR_clear_error();
	return 0;
failed:
	tls_context_destroy(c);
	return err;
}

void tls_context_destroy(struct tls_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	OPENSSL_free(c);
}

/* --- session ---------------------------------------------------------------------------------- */

static bool expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

int tls_session_create(struct tls_context *c, const char *server_name, struct tls_session **out)
{
	struct tls_session *s = OPENSSL_zalloc(sizeof(*s));

	if (!s)
		return -EIO;
	s->context = c;
	s->ssl = SSL_new(c->ssl);
	if (!s->ssl || !attach_wire(s)) {
		SSL_free(s->ssl);
		OPENSSL_free(s);
		return -EIO;
	}
	if (server_name && !expect_name(s->ssl, server_name)) {
		tls_session_destroy(s);
		return -EIO;
	}
	if (c->server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	*out = s;
	/* a client speaks first */
	return tls_session_feed(s, NULL, 0) == TLS_FAILED ? (tls_session_destroy(s), -EIO) : 0;
}

void tls_session_destroy(struct tls_session *s)
{
	if (!s)
		return;
	SSL_free(s->ssl);
	OPENSSL_free(s->in.bytes);
	OPENSSL_free(s->out.bytes);
	OPENSSL_free(s);
}

static enum tls_failure verify_failure(long result)
{
	switch (result) {
	case X509_V_OK:
		return TLS_FAIL_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_FAIL_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_FAIL_NOT_YET;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_FAIL_NAME;
	case X509_V_ERR_INVALID_PURPOSE:
		return TLS_FAIL_ROLE;
	default:
		return TLS_FAIL_UNTRUSTED;
	}
}

/* Reasons from SSL_R_SSLV3_ALERT_CLOSE_NOTIFY's neighbourhood are alerts of the other side. */
static enum tls_failure alert_failure(int reason)
{
	switch (reason) {
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return TLS_FAIL_ALPN;
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return TLS_FAIL_REFUSED;
	default:
		return TLS_FAIL_PROTOCOL;
	}
}

static void fail(struct tls_session *s)
{
	enum tls_failure why = verify_failure(SSL_get_verify_result(s->ssl));
	unsigned long e = ERR_peek_error();

	if (why == TLS_FAIL_NONE)
		why = ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE ? TLS_FAIL_NO_RESOURCE
								: alert_failure(ERR_GET_REASON(e));
	ERR_clear_error();
	s->state = TLS_FAILED;
	s->failure = why;
}

/* What a call of the library said; false: the session is over. */
static bool take_result(struct tls_session *s, int result)
{
	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_NONE:
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return true;
	case SSL_ERROR_ZERO_RETURN:
		s->state = TLS_CLOSED;
		return false;
	default:
		fail(s);
		return false;
	}
}

static bool opened(struct tls_session *s)
{
	const unsigned char *proto = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(s->ssl, &proto, &len);
	if (len + 1 != ALPN_LEN || memcmp(proto, alpn + 1, len) != 0) {
		s->state = TLS_FAILED;
		s->failure = TLS_FAIL_ALPN;
		return false;
	}
	s->state = TLS_OPEN;
	return true;
}

static enum tls_state shake_hands(struct tls_session *s)
{
	if (s->state == TLS_HANDSHAKE) {
		int r = SSL_do_handshake(s->ssl);

		if (r == 1)
			opened(s);
		else
			take_result(s, r);
	}
	return s->state;
}

enum tls_state tls_session_feed(struct tls_session *s, const uint8_t *bytes, size_t len)
{
	if (s->state != TLS_HANDSHAKE && s->state != TLS_OPEN)
		return s->state;
	if (len && !bytes_add(&s->in, bytes, len)) {
		s->state = TLS_FAILED;
		s->failure = TLS_FAIL_NO_RESOURCE;
		return s->state;
	}
	return shake_hands(s);
}

enum tls_state tls_session_lend_input(struct tls_session *s, const uint8_t *bytes, size_t len)
{
	s->lent_in = bytes;
	s->lent_in_len = len;
	return len ? shake_hands(s) : s->state;
}

size_t tls_session_output(struct tls_session *s, uint8_t *buf, size_t cap)
{
	return bytes_take(&s->out, buf, cap);
}

size_t tls_session_output_pending(const struct tls_session *s)
{
	return s->out.len - s->out.off + s->lent_out_len;
}

void tls_session_lend_output(struct tls_session *s, uint8_t *buf, size_t cap)
{
	s->lent_out = buf;
	s->lent_out_cap = cap;
	s->lent_out_len = 0;
}

size_t tls_session_return_output(struct tls_session *s)
{
	size_t n = s->lent_out_len;

	tls_session_lend_output(s, NULL, 0);
	return n;
}

size_t tls_session_read(struct tls_session *s, uint8_t *buf, size_t cap)
{
	size_t got = 0;

	while (s->state == TLS_OPEN && got < cap) {
		size_t n = 0;
		int r = SSL_read_ex(s->ssl, buf + got, cap - got, &n);

		got += n;
		if (r != 1) {
			take_result(s, r);
			break;
		}
	}
	return got;
}

bool tls_session_write(struct tls_session *s, const uint8_t *bytes, size_t len)
{
	while (s->state == TLS_OPEN && len) {
		size_t n = 0;
		int r = SSL_write_ex(s->ssl, bytes, len, &n);

		if (r != 1) {
			/* wire_write() takes everything: there is nothing to wait for */
			if (take_result(s, r)) {
				s->state = TLS_FAILED;
				s->failure = TLS_FAIL_NO_RESOURCE;
			}
			return false;
		}
		bytes += n;
		len -= n;
	}
	return s->state == TLS_OPEN;
}

void tls_session_close(struct tls_session *s)
{
	if (s->state == TLS_OPEN) {
		SSL_shutdown(s->ssl);
		ERR_clear_error();
		s->state = TLS_CLOSED;
	}
}

enum tls_state tls_session_state(const struct tls_session *s)
{
	return s->state;
}

enum tls_failure tls_session_failure(const struct tls_session *s)
{
	return s->failure;
}

/* --- words ------------------------------------------------------------------------------------ */

const char *tls_failure_text(enum tls_failure f)
{
	static const char *const text[] = {
		[TLS_FAIL_NONE] = "no failure",
		[TLS_FAIL_PROTOCOL] = "the other side does not speak TLS 1.3 as it should",
		[TLS_FAIL_ALPN] = "the other side does not speak taltun/1",
		[TLS_FAIL_UNTRUSTED] = "the certificate is signed by another CA",
		[TLS_FAIL_EXPIRED] = "the certificate has expired",
		[TLS_FAIL_NOT_YET] = "the certificate is not valid yet: check the clocks",
		[TLS_FAIL_NAME] = "the certificate is for another name",
		[TLS_FAIL_ROLE] = "the certificate is not meant for this",
		[TLS_FAIL_REFUSED] = "the other side refused our certificate",
		[TLS_FAIL_NO_RESOURCE] = "out of memory",
	};

	return (unsigned)f < TT_ARRAY_LEN(text) ? text[f] : "unknown";
}

const char *tls_failure_name(enum tls_failure f)
{
	static const char *const name[] = {
		[TLS_FAIL_NONE] = "none",	[TLS_FAIL_PROTOCOL] = "protocol",
		[TLS_FAIL_ALPN] = "alpn",	[TLS_FAIL_UNTRUSTED] = "untrusted",
		[TLS_FAIL_EXPIRED] = "expired", [TLS_FAIL_NOT_YET] = "not_yet_valid",
		[TLS_FAIL_NAME] = "name",	[TLS_FAIL_ROLE] = "role",
		[TLS_FAIL_REFUSED] = "refused", [TLS_FAIL_NO_RESOURCE] = "no_resource",
	};

	return (unsigned)f < TT_ARRAY_LEN(name) ? name[f] : "unknown";
}

/* --- who is there ----------------------------------------------------------------------------- */

static bool put_cert(X509 *x, struct tls_der *out)
{
	int len = i2d_X509(x, NULL);
	uint8_t *at = out->bytes;

	if (len <= 0 || len > (int)sizeof(out->bytes))
		return false;
	i2d_X509(x, &at);
	out->len = (uint32_t)len;
	return true;
}

bool tls_session_peer(const struct tls_session *s, struct tls_cert_info *out)
{
	X509 *x = s->state == TLS_OPEN ? SSL_get0_peer_certificate(s->ssl) : NULL;

	return x && SSL_get_verify_result(s->ssl) == X509_V_OK &&
	       i2d_X509(x, NULL) <= TLS_CERT_DER_MAX && tls_cert_info_of(x, out) == 0;
}

bool tls_session_peer_ca(const struct tls_session *s, struct tls_der *ca)
{
	STACK_OF(X509) *chain = s->state == TLS_OPEN ? SSL_get0_verified_chain(s->ssl) : NULL;
	int n = chain ? sk_X509_num(chain) : 0;

	return n >= 2 && put_cert(sk_X509_value(chain, n - 1), ca);
}

bool tls_session_export(const struct tls_session *s, const char *label, uint8_t *out, size_t len)
{
	return s->state == TLS_OPEN &&
	       SSL_export_keying_material(s->ssl, out, len, label, strlen(label), NULL, 0, 0) == 1;
}
