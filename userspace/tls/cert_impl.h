/* SPDX-License-Identifier: MIT
 *
 * What session.c needs of cert.c beyond its header: a certificate that the library has taken apart
 * already. To do so again costs 0.1 ms.
 */
#ifndef TT_TLS_CERT_IMPL_H
#define TT_TLS_CERT_IMPL_H

#include <openssl/x509.h>

#include "tls/cert.h"

/* As tls_cert_parse(). */
int tls_cert_info_of(X509 *x, struct tls_cert_info *out);

#endif
