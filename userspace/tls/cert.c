/* SPDX-License-Identifier: MIT */
#include "tls/cert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/b64.h"
#include "crypto/mem.h"
#include "tls/cert_impl.h"

#define URI_NODE "taltun:node:"
#define URI_WG	 "taltun:wg:"

const char *tls_error(char *buf, size_t cap)
{
	unsigned long e = ERR_get_error();

	ERR_error_string_n(e, buf, cap);
	ERR_clear_error();
	return buf;
}

bool tls_sha256(const void *data, size_t len, uint8_t out[TLS_HASH_LEN])
{
	return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1;
}

/* --- keys and DER ----------------------------------------------------------------------------- */

/* Any i2d function, into caller space. */
#define PUT_DER(fn, obj, out)                                                  \
	({                                                                     \
		int put_len = fn(obj, NULL);                                   \
		bool put_ok = put_len > 0 && put_len <= (int)TLS_CERT_DER_MAX; \
		if (put_ok) {                                                  \
			uint8_t *put_at = (out)->bytes;                        \
			fn(obj, &put_at);                                      \
			(out)->len = (uint32_t)put_len;                        \
		}                                                              \
		put_ok;                                                        \
	})

static EVP_PKEY *load_key(const struct tls_der *key)
{
	const uint8_t *at = key->bytes;

	return key->len <= TLS_CERT_DER_MAX ? d2i_AutoPrivateKey(NULL, &at, (long)key->len) : NULL;
}

/* A certificate that fills its DER exactly. */
static X509 *load_cert(const uint8_t *der, size_t len)
{
	const uint8_t *at = der;

	if (!len || len > TLS_CERT_DER_MAX)
		return NULL;
	X509 *x = d2i_X509(NULL, &at, (long)len);

	if (x && at != der + len) {
		X509_free(x);
		x = NULL;
	}
	return x;
}

static int put_private_key(EVP_PKEY *pkey, struct tls_der *key)
{
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(pkey);
	bool ok = p8 && PUT_DER(i2d_PKCS8_PRIV_KEY_INFO, p8, key);

	PKCS8_PRIV_KEY_INFO_free(p8);
	return ok ? 0 : -EIO;
}

int tls_key_generate(struct tls_der *key)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	int err = pkey ? put_private_key(pkey, key) : -EIO;

	EVP_PKEY_free(pkey);
	return err;
}

static bool acceptable_key(EVP_PKEY *pkey)
{
	int id = pkey ? EVP_PKEY_get_base_id(pkey) : 0;

	return id == EVP_PKEY_ED25519 || (id == EVP_PKEY_EC && EVP_PKEY_get_bits(pkey) == 256);
}

/* Ed25519 signs without a separate hash. */
static const EVP_MD *hash_for(EVP_PKEY *pkey)
{
	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

/* --- requests --------------------------------------------------------------------------------- */

int tls_csr_create(const struct tls_der *key, struct tls_der *csr)
{
	EVP_PKEY *pkey = load_key(key);
	X509_REQ *req = X509_REQ_new();
	int err = -EIO;

	if (pkey && req && X509_REQ_set_version(req, 0) && X509_REQ_set_pubkey(req, pkey) &&
	    X509_REQ_sign(req, pkey, hash_for(pkey)) && PUT_DER(i2d_X509_REQ, req, csr))
		err = 0;
	X509_REQ_free(req);
	EVP_PKEY_free(pkey);
	return err;
}

static X509_REQ *load_csr(const uint8_t *csr, size_t len)
{
	const uint8_t *at = csr;

	if (!len || len > TLS_CERT_CSR_MAX)
		return NULL;
	X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)len);
	EVP_PKEY *pkey = req ? X509_REQ_get0_pubkey(req) : NULL;

	if (req && (at != csr + len || !acceptable_key(pkey) || X509_REQ_verify(req, pkey) != 1)) {
		X509_REQ_free(req);
		req = NULL;
	}
	ERR_clear_error();
	return req;
}

int tls_csr_check(const uint8_t *csr, size_t len)
{
	X509_REQ *req = load_csr(csr, len);

	X509_REQ_free(req);
	return req ? 0 : -EINVAL;
}

/* --- making certificates ---------------------------------------------------------------------- */

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext && X509_add_ext(x, ext, -1);

	X509_EXTENSION_free(ext);
	return ok;
}

static bool set_basics(X509 *x, const char *name, const uint8_t *serial, size_t serial_len,
		       uint64_t not_before_s, uint64_t not_after_s)
{
	X509_NAME *subject = X509_get_subject_name(x);
	BIGNUM *bn = BN_bin2bn(serial, (int)serial_len, NULL);
	bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) &&
		  X509_set_version(x, 2) &&
		  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1,
					     -1, 0) &&
		  ASN1_TIME_set(X509_getm_notBefore(x), (time_t)not_before_s) &&
		  ASN1_TIME_set(X509_getm_notAfter(x), (time_t)not_after_s);

	BN_free(bn);
	return ok;
}

int tls_ca_create(const struct tls_der *key, const char *name, uint64_t not_before_s,
		  uint64_t not_after_s, struct tls_der *cert)
{
	EVP_PKEY *pkey = load_key(key);
	X509 *x = X509_new();
	uint8_t serial[16];
	int err = -EIO;

	RAND_bytes(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40;
	if (pkey && x && set_basics(x, name, serial, sizeof(serial), not_before_s, not_after_s) &&
	    X509_set_issuer_name(x, X509_get_subject_name(x)) && X509_set_pubkey(x, pkey) &&
	    add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    add_extension(x, x, NID_subject_key_identifier, "hash") &&
	    X509_sign(x, pkey, hash_for(pkey)) && PUT_DER(i2d_X509, x, cert))
		err = 0;
	X509_free(x);
	EVP_PKEY_free(pkey);
	return err;
}

static bool add_alternative(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_STRING *text = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	if (!gn || !text || !ASN1_STRING_set(text, data, (int)len)) {
		GENERAL_NAME_free(gn);
		ASN1_STRING_free(text);
		return false;
	}
	GENERAL_NAME_set0_value(gn, type, text);
	if (sk_GENERAL_NAME_push(names, gn) > 0)
		return true;
	GENERAL_NAME_free(gn);
	return false;
}

static bool add_uri(GENERAL_NAMES *names, const char *prefix, const char *text)
{
	char uri[128];
	size_t a = strlen(prefix), b = strlen(text);

	if (a + b > sizeof(uri))
		return false;
	memcpy(uri, prefix, a);
	memcpy(uri + a, text, b);
	return add_alternative(names, GEN_URI, uri, a + b);
}

static bool add_names(X509 *x, const struct tls_cert_request *req)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	char wg[TT_KEY_B64_LEN + 1];
	bool ok = names != NULL;

	if (ok && req->role == TLS_CERT_HUB) {
		ASN1_OCTET_STRING *ip = a2i_IPADDRESS(req->name);

		ERR_clear_error();
		if (ip)
			ok = add_alternative(names, GEN_IPADD, ASN1_STRING_get0_data(ip),
					     (size_t)ASN1_STRING_length(ip));
		else
			ok = add_alternative(names, GEN_DNS, req->name, strlen(req->name));
		ASN1_OCTET_STRING_free(ip);
	} else if (ok) {
		tt_key_to_b64(req->wg_public_key, wg);
		ok = add_uri(names, URI_NODE, req->name) && add_uri(names, URI_WG, wg);
	}
	ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) > 0;
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return ok;
}

static bool fill(X509 *x, X509 *ca, X509_REQ *csr, const struct tls_cert_request *req)
{
	uint8_t serial[sizeof(req->serial)];

	memcpy(serial, req->serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and always as long */
	return set_basics(x, req->name, serial, sizeof(serial), req->not_before_s,
			  req->not_after_s) &&
	       X509_set_issuer_name(x, X509_get_subject_name(ca)) &&
	       X509_set_pubkey(x, X509_REQ_get0_pubkey(csr)) &&
	       add_extension(x, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, ca, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x, ca, NID_ext_key_usage,
			     req->role == TLS_CERT_HUB ? "serverAuth" : "clientAuth") &&
	       add_extension(x, ca, NID_authority_key_identifier, "keyid:always") &&
	       add_names(x, req);
}

static bool request_valid(const struct tls_cert_request *req)
{
	size_t n = req->name ? strlen(req->name) : 0;

	return n > 0 && n < TLS_NAME_MAX && req->not_before_s < req->not_after_s &&
	       (req->role == TLS_CERT_HUB || (req->role == TLS_CERT_NODE && req->wg_public_key));
}

int tls_cert_issue(const struct tls_der *ca_cert, const struct tls_der *ca_key,
		   const struct tls_cert_request *req, struct tls_der *cert)
{
	if (!request_valid(req))
		return -EINVAL;
	X509_REQ *csr = load_csr(req->csr, req->csr_len);

	if (!csr)
		return -EINVAL;
	X509 *ca = load_cert(ca_cert->bytes, ca_cert->len), *x = X509_new();
	EVP_PKEY *pkey = load_key(ca_key);
	int err = -EIO;

	if (ca && x && pkey && fill(x, ca, csr, req) && X509_sign(x, pkey, hash_for(pkey)) &&
	    PUT_DER(i2d_X509, x, cert))
		err = 0;
	X509_free(x);
	X509_free(ca);
	EVP_PKEY_free(pkey);
	X509_REQ_free(csr);
	return err;
}

/* --- reading certificates --------------------------------------------------------------------- */

static bool take_text(char out[TLS_NAME_MAX], const char *text, size_t len)
{
	if (!len || len >= TLS_NAME_MAX || memchr(text, 0, len))
		return false;
	memcpy(out, text, len);
	out[len] = 0;
	return true;
}

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

/* The two names of a node certificate, each exactly once. */
static bool take_node_names(const GENERAL_NAMES *names, struct tls_cert_info *out)
{
	unsigned named = 0, keyed = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);
		if (gn->type != GEN_URI)
			continue;
		const char *text = (const char *)ASN1_STRING_get0_data(gn->d.ia5);
		size_t len = (size_t)ASN1_STRING_length(gn->d.ia5), skip;

		if (starts_with(text, len, URI_NODE)) {
			skip = strlen(URI_NODE);
			named += take_text(out->name, text + skip, len - skip) ? 1u : 2u;
		} else if (starts_with(text, len, URI_WG)) {
			skip = strlen(URI_WG);
			keyed += tt_key_from_b64(text + skip, len - skip, out->wg_public_key) == 0
					 ? 1u
					 : 2u;
		}
	}
	out->has_wg_key = keyed == 1;
	return named == 1 && keyed == 1;
}

static void take_common_name(X509 *x, struct tls_cert_info *out)
{
	X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *text =
		at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));

	if (text)
		take_text(out->name, (const char *)ASN1_STRING_get0_data(text),
			  (size_t)ASN1_STRING_length(text));
}

static bool take_role(X509 *x, struct tls_cert_info *out)
{
	uint32_t usage = X509_get_extended_key_usage(x);
	bool has_usage = X509_get_extension_flags(x) & EXFLAG_XKUSAGE;

	if (X509_check_ca(x) == 1) {
		out->role = TLS_CERT_CA;
		take_common_name(x, out);
		return true;
	}
	if (!has_usage)
		return true;
	if (usage == XKU_SSL_SERVER) {
		out->role = TLS_CERT_HUB;
		take_common_name(x, out);
		return true;
	}
	if (usage != XKU_SSL_CLIENT)
		return true;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool ok = names && take_node_names(names, out);

	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	if (ok)
		out->role = TLS_CERT_NODE;
	return ok;
}

static bool take_time(const ASN1_TIME *t, uint64_t *out)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm))
		return false;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, secs = 0;
	bool ok = epoch && ASN1_TIME_diff(&days, &secs, epoch, t);

	ASN1_TIME_free(epoch);
	if (!ok || days < 0 || secs < 0)
		return false;
	*out = (uint64_t)days * 86400 + (uint64_t)secs;
	return true;
}

static bool take_serial(X509 *x, struct tls_cert_info *out)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	int len = ASN1_STRING_length(serial);

	if (len <= 0 || len > (int)sizeof(out->serial))
		return false;
	memcpy(out->serial, ASN1_STRING_get0_data(serial), (size_t)len);
	out->serial_len = (uint8_t)len;
	return true;
}

static bool take_key_hash(X509 *x, uint8_t out[TLS_HASH_LEN])
{
	uint8_t *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
	bool ok = len > 0 && EVP_Digest(spki, (size_t)len, out, NULL, EVP_sha256(), NULL);

	OPENSSL_free(spki);
	return ok;
}

int tls_cert_info_of(X509 *x, struct tls_cert_info *out)
{
	memset(out, 0, sizeof(*out));
	bool ok = take_role(x, out) && take_time(X509_get0_notBefore(x), &out->not_before_s) &&
		  take_time(X509_get0_notAfter(x), &out->not_after_s) && take_serial(x, out) &&
		  take_key_hash(x, out->key_hash);

	ERR_clear_error();
	return ok ? 0 : -EINVAL;
}

int tls_cert_parse(const uint8_t *der, size_t len, struct tls_cert_info *out)
{
	X509 *x = load_cert(der, len);

	memset(out, 0, sizeof(*out));
	int err = x ? tls_cert_info_of(x, out) : -EINVAL;
	X509_free(x);
	ERR_clear_error();
	return err;
}

bool tls_cert_signed_by(const struct tls_der *cert, const struct tls_der *ca_cert)
{
	X509 *x = load_cert(cert->bytes, cert->len), *ca = load_cert(ca_cert->bytes, ca_cert->len);
	EVP_PKEY *pkey = ca ? X509_get0_pubkey(ca) : NULL;
	bool ok = x && pkey && X509_check_ca(ca) == 1 && X509_check_issued(ca, x) == X509_V_OK &&
		  X509_verify(x, pkey) == 1;

	X509_free(x);
	X509_free(ca);
	ERR_clear_error();
	return ok;
}

bool tls_cert_has_key(const struct tls_der *cert, const struct tls_der *key)
{
	X509 *x = load_cert(cert->bytes, cert->len);
	EVP_PKEY *pkey = load_key(key);
	bool ok = x && pkey && X509_check_private_key(x, pkey) == 1;

	X509_free(x);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return ok;
}

bool tls_cert_same_key(const struct tls_der *a, const struct tls_der *b)
{
	X509 *x = load_cert(a->bytes, a->len), *y = load_cert(b->bytes, b->len);
	EVP_PKEY *kx = x ? X509_get0_pubkey(x) : NULL, *ky = y ? X509_get0_pubkey(y) : NULL;
	bool ok = kx && ky && EVP_PKEY_eq(kx, ky) == 1;

	X509_free(x);
	X509_free(y);
	ERR_clear_error();
	return ok;
}

/* --- PEM -------------------------------------------------------------------------------------- */

static int bio_to_text(BIO *bio, char *pem, size_t cap)
{
	int n = BIO_read(bio, pem, (int)cap - 1);

	if (n <= 0 || BIO_pending(bio) > 0)
		return -EIO;
	pem[n] = 0;
	return 0;
}

int tls_cert_to_pem(const struct tls_der *cert, char *pem, size_t cap)
{
	X509 *x = load_cert(cert->bytes, cert->len);
	BIO *bio = BIO_new(BIO_s_mem());
	int err = x && bio && PEM_write_bio_X509(bio, x) ? bio_to_text(bio, pem, cap) : -EIO;

	BIO_free(bio);
	X509_free(x);
	return err;
}

int tls_cert_from_pem(const char *pem, size_t len, struct tls_der *cert)
{
	BIO *bio = len && len <= TLS_CERT_PEM_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	int err = x && PUT_DER(i2d_X509, x, cert) ? 0 : -EINVAL;

	X509_free(x);
	BIO_free(bio);
	ERR_clear_error();
	return err;
}

int tls_key_to_pem(const struct tls_der *key, char *pem, size_t cap)
{
	EVP_PKEY *pkey = load_key(key);
	BIO *bio = BIO_new(BIO_s_secmem());
	bool ok =
		pkey && bio && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
	int err = ok ? bio_to_text(bio, pem, cap) : -EIO;

	BIO_free(bio);
	EVP_PKEY_free(pkey);
	return err;
}

/* A key file is never protected by a pass phrase: nobody is there to ask. */
static int no_pass_phrase(char *buf, int size, int rwflag, void *u)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)u;
	return -1;
}

int tls_key_from_pem(const char *pem, size_t len, struct tls_der *key)
{
	BIO *bio = len && len <= TLS_CERT_PEM_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
	int err = acceptable_key(pkey) ? put_private_key(pkey, key) : -EINVAL;

	EVP_PKEY_free(pkey);
	BIO_free(bio);
	ERR_clear_error();
	return err;
}
