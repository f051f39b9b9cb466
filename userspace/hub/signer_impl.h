/* SPDX-License-Identifier: MIT
 *
 * What goes between signer and hub; signer*.c alone. One datagram each way, of fixed size.
 */
#ifndef TT_HUB_SIGNER_IMPL_H
#define TT_HUB_SIGNER_IMPL_H

#include "hub/signer.h"

struct hub_signer_answer {
	uint32_t outcome;   /* enum hub_sign_outcome */
	uint8_t serial[16]; /* of the request */
	struct tls_der cert;
};

/*
 * signer_child.c: the child's whole life. Says one byte through fd when it is ready to sign, and
 * ends with the descriptor. It forks who signs, and forks again when that one dies; the request
 * that was at hand is answered as failed. After several deaths in short time it gives up.
 */
_Noreturn void hub_signer_child(int fd, const char *ca_cert_path, const char *ca_key_path,
				pid_t parent, uid_t uid, gid_t gid);
/* The child: it keeps the one who signs. */
pid_t hub_signer_pid(const struct hub_signer *s);
/* What may be signed at this moment; pure. */
bool hub_signer_allows(const struct hub_sign_request *req, uint64_t now_s);

#endif
