/* SPDX-License-Identifier: MIT
 *
 * The only process that has the CA's key. It gets fixed-size requests over a socketpair and signs
 * what is within policy, whatever its parent says: node certificates, a lifetime of at most
 * HUB_SIGNER_DAYS_MAX, names that a node may have. It has no other descriptor and no network, and
 * ends with its parent.
 */
#ifndef TT_HUB_SIGNER_H
#define TT_HUB_SIGNER_H

#include <uv.h>

#include "mesh/hub_codec.h"
#include "tls/cert.h"

#define HUB_SIGNER_DAYS_MAX    90
#define HUB_SIGNER_PENDING_MAX 1024

struct hub_signer;

/*
 * Forks; before any thread and any loop exists. ca_key_path is read by the child (0600, its own
 * file), ca_cert_path as well. 0 or -errno: the child could not start, with a line in the log.
 */
int hub_signer_fork(const char *ca_cert_path, const char *ca_key_path, struct hub_signer **out);
/* Answers come on this loop from now on. */
int hub_signer_attach(struct hub_signer *s, uv_loop_t *loop);
/* Attached or not. closed() runs when the child has ended; what is pending is not answered. */
void hub_signer_stop(struct hub_signer *s, void (*closed)(void *arg), void *arg);

struct hub_sign_request {
	char name[MESH_HUB_NAME_MAX + 1];
	uint8_t wg_public_key[32];
	uint32_t csr_len;
	uint8_t csr[TLS_CERT_CSR_MAX];
	uint64_t not_before_s, not_after_s;
	uint8_t serial[16]; /* random, the caller's */
};

enum hub_sign_outcome {
	HUB_SIGN_OK,
	HUB_SIGN_BAD_REQUEST, /* the CSR */
	HUB_SIGN_POLICY,      /* name or lifetime */
	HUB_SIGN_FAILED,      /* the signer is gone, or cannot */
};

/* False where too much is pending or the signer is gone; then done() is not called. */
bool hub_signer_sign(struct hub_signer *s, const struct hub_sign_request *req,
		     void (*done)(void *ctx, uint64_t cookie, enum hub_sign_outcome o,
				  const struct tls_der *cert),
		     void *ctx, uint64_t cookie);
/* False: it has ended; nothing can be signed before the hub starts again. */
bool hub_signer_works(const struct hub_signer *s);
/* Requests that are not answered. */
uint32_t hub_signer_pending(const struct hub_signer *s);

#endif
