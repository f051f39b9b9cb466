/* SPDX-License-Identifier: MIT
 *
 * One TLS 1.3 connection as bytes in, bytes out (RFC 8446): no socket in here. The caller feeds
 * what came from the wire, sends what wants to go out, and reads and writes plain bytes. ALPN
 * "taltun/1", no session tickets, no early data, no renegotiation, no compression.
 *
 * A context is made once and shared by its sessions; a session belongs to one thread.
 */
#ifndef TT_TLS_SESSION_H
#define TT_TLS_SESSION_H

#include "tls/cert.h"

struct tls_context;
struct tls_session;

struct tls_context_options {
	bool server;
	/* Our certificate and key; a client that enrols has none (NULL). */
	const struct tls_der *cert;
	const struct tls_der *key;
	/*
	 * Whom to believe. CA certificate, or, for a client that enrols, only the hash of its key:
	 * the server sends the CA along with its own certificate, and it must match.
	 */
	const struct tls_der *ca;
	const uint8_t *ca_key_hash;
};

/* 0, -EINVAL (certificate and key do not fit), -EIO. Copies what it needs. */
int tls_context_create(const struct tls_context_options *opt, struct tls_context **out);
void tls_context_destroy(struct tls_context *c); /* after its sessions; NULL is allowed */

/* server_name: for a client, what the server's certificate must be for; a server passes NULL.
 * 0 or -EIO. */
int tls_session_create(struct tls_context *c, const char *server_name, struct tls_session **out);
void tls_session_destroy(struct tls_session *s);

enum tls_state {
	TLS_HANDSHAKE,
	TLS_OPEN,
	TLS_CLOSED, /* the other side said goodbye in an orderly way */
	TLS_FAILED,
};

enum tls_failure {
	TLS_FAIL_NONE,
	TLS_FAIL_PROTOCOL,    /* not TLS 1.3, a broken record, a wrong tag */
	TLS_FAIL_ALPN,	      /* another protocol inside */
	TLS_FAIL_UNTRUSTED,   /* signed by somebody else */
	TLS_FAIL_EXPIRED,     /* a certificate's time is over */
	TLS_FAIL_NOT_YET,     /* or has not come: a clock is wrong */
	TLS_FAIL_NAME,	      /* the server is somebody else */
	TLS_FAIL_ROLE,	      /* a node's certificate where the hub's should be, or the reverse */
	TLS_FAIL_REFUSED,     /* the other side refused ours */
	TLS_FAIL_NO_RESOURCE, /* out of memory, queue full */
	TLS_FAIL_COUNT,
};

/* Bytes from the wire; all of them are taken. Returns the state. */
enum tls_state tls_session_feed(struct tls_session *s, const uint8_t *bytes, size_t len);
/* Up to cap bytes for the wire; 0: none. They are gone from the session then. */
size_t tls_session_output(struct tls_session *s, uint8_t *buf, size_t cap);
/* Bytes that output() would give, and those in what is lent. */
size_t tls_session_output_pending(const struct tls_session *s);
/*
 * The same without copies. Input: the bytes stay in place until read() gives 0, or until others or
 * NULL are lent; what is not read by then is gone. Output: what is encrypted goes to buf as long as
 * it has room, behind it to memory of the session's own, where output() finds it; nothing may be
 * pending when it is lent. return_output() ends that: how many bytes of buf are filled.
 */
enum tls_state tls_session_lend_input(struct tls_session *s, const uint8_t *bytes, size_t len);
void tls_session_lend_output(struct tls_session *s, uint8_t *buf, size_t cap);
size_t tls_session_return_output(struct tls_session *s);
/* Plain bytes received; 0: none now. */
size_t tls_session_read(struct tls_session *s, uint8_t *buf, size_t cap);
/* Encrypts at once; false: not open, or failed. One call is one record up to 16 KiB. */
bool tls_session_write(struct tls_session *s, const uint8_t *bytes, size_t len);
/* Says goodbye; what is left to send comes out of output(). */
void tls_session_close(struct tls_session *s);

enum tls_state tls_session_state(const struct tls_session *s);
enum tls_failure tls_session_failure(const struct tls_session *s);
const char *tls_failure_text(enum tls_failure f); /* for people; never NULL */
const char *tls_failure_name(enum tls_failure f); /* for metrics: "untrusted" */

/* Once open. The other side's certificate, verified; false: it has shown none. */
bool tls_session_peer(const struct tls_session *s, struct tls_cert_info *out);
/* A client's: the CA that the server was verified against, for keeping. */
bool tls_session_peer_ca(const struct tls_session *s, struct tls_der *ca);
/* Keying material of this connection (RFC 8446, 7.5): binds what is said inside to it. */
bool tls_session_export(const struct tls_session *s, const char *label, uint8_t *out, size_t len);

#endif
