/* SPDX-License-Identifier: MIT
 *
 * One line in one form for everybody who could not show who he is; what reads logs to keep such
 * sources away (scripts/fail2ban/) relies on it:
 *
 *	level=warn event=auth.failed source=203.0.113.7 method=token why="..."
 */
#ifndef TT_HUB_AUTH_LOG_H
#define TT_HUB_AUTH_LOG_H

#include "base/addr.h"
#include "tls/session.h"

enum hub_auth_method { HUB_AUTH_TOKEN, HUB_AUTH_TLS, HUB_AUTH_CERTIFICATE, HUB_AUTH_METHODS };
const char *hub_auth_method_name(enum hub_auth_method method); /* "token" */

/* At most 50 lines a second of each method, whoever comes. The loop's thread; why is static. */
void hub_auth_failed(const struct tt_endpoint *source, enum hub_auth_method method,
		     const char *why);
/* Of a TLS session that ended so; says nothing where it is not the other side's fault. */
void hub_auth_tls_failed(const struct tt_endpoint *source, enum tls_failure failure);

/* Since the start, whether they were written or not. The loop's thread. */
uint64_t hub_auth_failures(enum hub_auth_method method);

#endif
