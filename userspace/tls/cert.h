/* SPDX-License-Identifier: MIT
 *
 * Certificates of a mesh: the hub's own CA (RFC 5280), the hub's server certificate, and node
 * certificates that bind a node's name to its WireGuard public key. Keys are ECDSA P-256; what
 * comes in as a request may be Ed25519 as well. Everything is DER in caller space; PEM is for
 * files. Stateless; any thread.
 *
 * A node certificate says in its subject alternative names:
 *   URI taltun:node:NAME      the name under which the hub knows it
 *   URI taltun:wg:BASE64      its WireGuard public key
 */
#ifndef TT_TLS_CERT_H
#define TT_TLS_CERT_H

#include "base/types.h"

#define TLS_CERT_DER_MAX 2048
#define TLS_CERT_PEM_MAX 4096
#define TLS_CERT_KEY_MAX 512 /* PKCS#8 DER */
#define TLS_CERT_CSR_MAX 1024
#define TLS_NAME_MAX	 64 /* with the terminating zero */
#define TLS_HASH_LEN	 32

enum tls_cert_role { TLS_CERT_OTHER, TLS_CERT_CA, TLS_CERT_HUB, TLS_CERT_NODE };

struct tls_cert_info {
	enum tls_cert_role role;
	char name[TLS_NAME_MAX]; /* of the node or hub; of the CA its common name */
	bool has_wg_key;
	uint8_t wg_public_key[32];
	uint64_t not_before_s, not_after_s; /* wall time */
	uint8_t serial[20];
	uint8_t serial_len;
	uint8_t key_hash[TLS_HASH_LEN]; /* SHA-256 of SubjectPublicKeyInfo */
};

/* A blob of DER. Wipe those that hold keys (crypto_wipe). */
struct tls_der {
	uint32_t len;
	uint8_t bytes[TLS_CERT_DER_MAX];
};

/* All return 0, -EINVAL (not what it should be), or -EIO (the library failed; tls_error()). */

int tls_key_generate(struct tls_der *key);
/* A request for a certificate, signed with the key. The hub decides what the certificate says. */
int tls_csr_create(const struct tls_der *key, struct tls_der *csr);
/* Checks the request's own signature, its size and kind of key. */
int tls_csr_check(const uint8_t *csr, size_t len);

int tls_ca_create(const struct tls_der *key, const char *name, uint64_t not_before_s,
		  uint64_t not_after_s, struct tls_der *cert);

struct tls_cert_request {
	enum tls_cert_role role; /* HUB or NODE */
	const char *name;	 /* HUB: its DNS name or address, what clients compare */
	const uint8_t *wg_public_key;
	const uint8_t *csr;
	size_t csr_len;
	uint64_t not_before_s, not_after_s;
	uint8_t serial[16]; /* drawn by the caller */
};
/* Signs; the request's own signature is checked first. */
int tls_cert_issue(const struct tls_der *ca_cert, const struct tls_der *ca_key,
		   const struct tls_cert_request *req, struct tls_der *cert);

/* What a certificate says; who signed it is not looked at. */
int tls_cert_parse(const uint8_t *der, size_t len, struct tls_cert_info *out);
/* Signed by this CA, and the key is the certificate's. */
bool tls_cert_signed_by(const struct tls_der *cert, const struct tls_der *ca_cert);
bool tls_cert_has_key(const struct tls_der *cert, const struct tls_der *key);
/* Both are of one key. */
bool tls_cert_same_key(const struct tls_der *a, const struct tls_der *b);

/* PEM text, zero-terminated, of a certificate or key; and back (the first block of its kind). */
int tls_cert_to_pem(const struct tls_der *cert, char *pem, size_t cap);
int tls_cert_from_pem(const char *pem, size_t len, struct tls_der *cert);
int tls_key_to_pem(const struct tls_der *key, char *pem, size_t cap);
int tls_key_from_pem(const char *pem, size_t len, struct tls_der *key);

bool tls_sha256(const void *data, size_t len, uint8_t out[TLS_HASH_LEN]);

/* Text of the library's last error on this thread, and clears it. */
const char *tls_error(char *buf, size_t cap);

#endif
