/* SPDX-License-Identifier: MIT
 *
 * The sample messages of RFC 5769, and of RFC 8489 appendix B as erratum 6268 corrects it (the
 * printed one lacks its PASSWORD-ALGORITHM and cannot be verified).
 */
#ifndef TT_TEST_STUN_VECTORS_H
#define TT_TEST_STUN_VECTORS_H

#include <openssl/evp.h>

#include "../crypto/vectors.h"
#include "crypto/hmac.h"
#include "mesh/stun.h"

#define STUN_MATRIX                            \
	"\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa" \
	"\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"

struct stun_vector {
	const char *name;
	const char *hex;
	const char *key; /* the text of the key, or of what is hashed to get it */
	enum crypto_hmac_hash integrity;
	enum { STUN_KEY_SHORT, STUN_KEY_MD5, STUN_KEY_SHA256 } kind;
};

static const struct stun_vector stun_vectors[] = {
	{"rfc 5769 2.1, request",
	 "000100582112a442b7e7a701bc34d686fa87dfae"
	 "802200105354554e207465737420636c69656e74"
	 "002400046e0001ff80290008932ff9b151263b36"
	 "000600096576746a3a68367659202020"
	 "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
	 "80280004e57a3bcf",
	 "VOkJxbRl1RmTxUk/WvJxBt", CRYPTO_HMAC_SHA1, STUN_KEY_SHORT},
	{"rfc 5769 2.2, IPv4 response",
	 "0101003c2112a442b7e7a701bc34d686fa87dfae"
	 "8022000b7465737420766563746f7220"
	 "002000080001a147e112a643"
	 "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
	 "80280004c07d4c96",
	 "VOkJxbRl1RmTxUk/WvJxBt", CRYPTO_HMAC_SHA1, STUN_KEY_SHORT},
	{"rfc 5769 2.3, IPv6 response",
	 "010100482112a442b7e7a701bc34d686fa87dfae"
	 "8022000b7465737420766563746f7220"
	 "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
	 "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
	 "80280004c8fb0b4c",
	 "VOkJxbRl1RmTxUk/WvJxBt", CRYPTO_HMAC_SHA1, STUN_KEY_SHORT},
	{"rfc 5769 2.4, long-term request",
	 "000100602112a44278ad3433c6ad72c029da412e"
	 "00060012e3839ee38388e383aae38383e382afe382b90000"
	 "0015001c662f2f3439396b3935346436"
	 "4f4c33346f4c39465354767936347341"
	 "0014000b6578616d706c652e6f726700"
	 "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666",
	 STUN_MATRIX ":example.org:TheMatrIX", CRYPTO_HMAC_SHA1, STUN_KEY_MD5},
	{"rfc 8489 B.1, long-term request",
	 "000100902112a44278ad3433c6ad72c029da412e"
	 "001e00204a3cf38fef6992bda952c6780417da0f"
	 "24819415569e60b205c46e41407f1704"
	 "001500296f624d61744a6f733241414143662f2f"
	 "3439396b39353464364f4c33346f4c3946535476"
	 "7936347341000000"
	 "0014000b6578616d706c652e6f726700"
	 "001d000400020000"
	 "001c0020b5c7bf005b6c52a21c51c5e892f81924"
	 "136296cb927c43149309278cc6518e65",
	 STUN_MATRIX ":example.org:TheMatrIX", CRYPTO_HMAC_SHA256, STUN_KEY_SHA256},
};

#define STUN_VECTOR_MAX 256

static inline size_t stun_vector_bytes(const struct stun_vector *v, uint8_t out[STUN_VECTOR_MAX])
{
	return vec_hex(v->hex, out, STUN_VECTOR_MAX);
}

/* The key of its integrity; returns the length. */
static inline size_t stun_vector_key(const struct stun_vector *v, uint8_t key[64])
{
	unsigned len = (unsigned)strlen(v->key);

	if (v->kind == STUN_KEY_SHORT)
		memcpy(key, v->key, len);
	else
		EVP_Digest(v->key, len, key, &len,
			   v->kind == STUN_KEY_MD5 ? EVP_md5() : EVP_sha256(), NULL);
	return len;
}

#endif
