/* SPDX-License-Identifier: MIT
 *
 * What an enrolment leaves, made for a test: a CA, and a node's certificate and key.
 */
#ifndef TT_TEST_HUB_FILES_H
#define TT_TEST_HUB_FILES_H

#include <sys/stat.h>

#include "base/b64.h"
#include "crypto/x25519.h"
#include "tls/cert.h"
#include "tt_test.h"

#define HUB_FILES_KEY "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=" /* the node's private key */

struct hub_files {
	struct tls_der ca, ca_key, node, node_key;
};

static inline void hub_files_put(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	CU_ASSERT_FATAL(f != NULL);
	fputs(text, f);
	fclose(f);
	CU_ASSERT_EQUAL(chmod(path, mode), 0);
}

static inline void hub_files_put_cert(const char *dir, const char *name, const struct tls_der *der)
{
	char pem[TLS_CERT_PEM_MAX];

	CU_ASSERT_EQUAL_FATAL(tls_cert_to_pem(der, pem, sizeof(pem)), 0);
	hub_files_put(dir, name, pem, 0644);
}

static inline void hub_files_put_key(const char *dir, const char *name, const struct tls_der *der,
				     mode_t mode)
{
	char pem[TLS_CERT_PEM_MAX];

	CU_ASSERT_EQUAL_FATAL(tls_key_to_pem(der, pem, sizeof(pem)), 0);
	hub_files_put(dir, name, pem, mode);
}

static inline void hub_files_make_ca(struct tls_der *cert, struct tls_der *key)
{
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(key), 0);
	CU_ASSERT_EQUAL_FATAL(tls_ca_create(key, "test", 1000000000, 2000000000, cert), 0);
}

static inline void hub_files_issue(const struct tls_der *by, const struct tls_der *by_key,
				   const struct tls_der *key, const char *wg_private,
				   struct tls_der *out)
{
	uint8_t private_key[TT_KEY_LEN], public_key[TT_KEY_LEN];
	struct tls_der csr;
	struct tls_cert_request req = {.role = TLS_CERT_NODE,
				       .name = "laptop-a",
				       .wg_public_key = public_key,
				       .csr = csr.bytes,
				       .not_before_s = 1000000000,
				       .not_after_s = 2000000000,
				       .serial = {7}};

	CU_ASSERT_EQUAL_FATAL(tt_key_from_b64(wg_private, TT_KEY_B64_LEN, private_key), 0);
	crypto_x25519_base(public_key, private_key);
	CU_ASSERT_EQUAL_FATAL(tls_csr_create(key, &csr), 0);
	req.csr_len = csr.len;
	CU_ASSERT_EQUAL_FATAL(tls_cert_issue(by, by_key, &req, out), 0);
}

/* ca.crt, node.crt, node.key in this folder, which is made. */
static inline void hub_files_make(struct hub_files *h, const char *dir)
{
	CU_ASSERT_EQUAL_FATAL(mkdir(dir, 0700), 0);
	hub_files_make_ca(&h->ca, &h->ca_key);
	CU_ASSERT_EQUAL_FATAL(tls_key_generate(&h->node_key), 0);
	hub_files_issue(&h->ca, &h->ca_key, &h->node_key, HUB_FILES_KEY, &h->node);
	hub_files_put_cert(dir, "ca.crt", &h->ca);
	hub_files_put_cert(dir, "node.crt", &h->node);
	hub_files_put_key(dir, "node.key", &h->node_key, 0600);
}

#endif
