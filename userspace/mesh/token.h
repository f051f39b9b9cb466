/* SPDX-License-Identifier: MIT
 *
 * The enrolment token: taltun://HOST:PORT/ID.SECRET.CAFINGERPRINT, the last three in base64url
 * without padding. The secret is known to the hub and to whoever has the line; it never crosses the
 * wire: the node proves that it has it. Pure functions; any thread.
 */
#ifndef TT_MESH_TOKEN_H
#define TT_MESH_TOKEN_H

#include "base/types.h"

#define MESH_TOKEN_ID_LEN	   12
#define MESH_TOKEN_SECRET_LEN	   32
#define MESH_TOKEN_FINGERPRINT_LEN 32  /* SHA-256 of the CA certificate's SubjectPublicKeyInfo */
#define MESH_TOKEN_HOST_MAX	   253 /* characters */
#define MESH_TOKEN_TEXT_MAX	   384 /* with the terminating zero */
#define MESH_TOKEN_ID_TEXT_MAX	   17

struct mesh_token {
	char host[MESH_TOKEN_HOST_MAX + 1]; /* a name, or an address; IPv6 without brackets */
	uint16_t tcp_port;
	uint8_t id[MESH_TOKEN_ID_LEN];
	uint8_t secret[MESH_TOKEN_SECRET_LEN]; /* wipe with crypto_wipe() after use */
	uint8_t ca_fingerprint[MESH_TOKEN_FINGERPRINT_LEN];
};

enum mesh_token_outcome {
	MESH_TOKEN_OK,
	MESH_TOKEN_TOO_LONG,
	MESH_TOKEN_BAD_SCHEME, /* does not begin with taltun:// */
	MESH_TOKEN_BAD_HOST,
	MESH_TOKEN_BAD_PORT,
	MESH_TOKEN_BAD_ID,
	MESH_TOKEN_BAD_SECRET,
	MESH_TOKEN_BAD_FINGERPRINT,
};

/* A sentence's end for the user, "the host is not a name or an address"; never NULL. */
const char *mesh_token_outcome_text(enum mesh_token_outcome o);

/*
 * Text of len bytes (no terminating zero needed) to *out. Only the canonical form is taken: what
 * mesh_token_format() writes, with nothing around it. out is all zero unless MESH_TOKEN_OK. The
 * time does not depend on the secret's bytes.
 */
enum mesh_token_outcome mesh_token_parse(const char *text, size_t len, struct mesh_token *out);

/* BAD_HOST or BAD_PORT where those are, and text is then empty. */
enum mesh_token_outcome mesh_token_format(const struct mesh_token *t,
					  char text[MESH_TOKEN_TEXT_MAX]);

/* The id alone, as status and `token list` show it; and back (len 16): false where it is not one.
 */
void mesh_token_id_format(const uint8_t id[MESH_TOKEN_ID_LEN], char text[MESH_TOKEN_ID_TEXT_MAX]);
bool mesh_token_id_parse(const char *text, size_t len, uint8_t id[MESH_TOKEN_ID_LEN]);

/* True where host is a DNS name (labels of [A-Za-z0-9_-], no dot at the end) or an IP address. */
bool mesh_token_host_is_valid(const char *host);

#define MESH_TOKEN_NONCE_LEN	  32
#define MESH_TOKEN_EXPORTER_LEN	  32
#define MESH_TOKEN_EXPORTER_LABEL "EXPORTER-taltun-enroll" /* RFC 8446 7.5, without a context */
#define MESH_TOKEN_PROOF_LEN	  32

/* What an enrolment is about; both ends must have seen the same. */
struct mesh_token_claim {
	const uint8_t *nonce;	      /* 32 bytes, from the hub, used once */
	const uint8_t *exporter;      /* 32 bytes, of this TLS connection */
	const uint8_t *wg_public_key; /* 32 bytes */
	const uint8_t *csr_sha256;    /* 32 bytes: SHA-256 of the DER of the CSR */
};

/*
 * HMAC-SHA256(secret, "taltun enroll v1" | nonce | exporter | WireGuard public key | csr_sha256).
 * The label is 16 bytes, without a zero behind it.
 */
void mesh_token_proof(uint8_t proof[MESH_TOKEN_PROOF_LEN],
		      const uint8_t secret[MESH_TOKEN_SECRET_LEN],
		      const struct mesh_token_claim *claim);

/* True where the proof is right; the time does not say where it is not. */
bool mesh_token_proof_check(const uint8_t proof[MESH_TOKEN_PROOF_LEN],
			    const uint8_t secret[MESH_TOKEN_SECRET_LEN],
			    const struct mesh_token_claim *claim);

#endif
