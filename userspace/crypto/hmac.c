/* SPDX-License-Identifier: MIT
 *
 * libcrypto's hash functions of old, because they live on the stack: its newer interface allocates
 * for every hash. They use the CPU's SHA instructions where it has them.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hmac.h"

#include <openssl/sha.h>

#include "crypto/mem.h"

#define HASH_BLOCK 64 /* of both hashes */

struct hash {
	enum crypto_hmac_hash kind;
	union {
		SHA_CTX sha1;
		SHA256_CTX sha256;
	};
};

static void hash_init(struct hash *h, enum crypto_hmac_hash kind)
{
	h->kind = kind;
	if (kind == CRYPTO_HMAC_SHA1)
		SHA1_Init(&h->sha1);
	else
		SHA256_Init(&h->sha256);
}

static void hash_update(struct hash *h, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (h->kind == CRYPTO_HMAC_SHA1)
		SHA1_Update(&h->sha1, data, len);
	else
		SHA256_Update(&h->sha256, data, len);
}

static void hash_final(struct hash *h, uint8_t *out)
{
	if (h->kind == CRYPTO_HMAC_SHA1)
		SHA1_Final(out, &h->sha1);
	else
		SHA256_Final(out, &h->sha256);
}

/* Starts a hash with the key block, XORed with `pad`. */
static void hash_keyed(struct hash *h, enum crypto_hmac_hash kind, const uint8_t block[HASH_BLOCK],
		       uint8_t pad)
{
	uint8_t padded[HASH_BLOCK];

	for (size_t i = 0; i < HASH_BLOCK; i++)
		padded[i] = block[i] ^ pad;
	hash_init(h, kind);
	hash_update(h, padded, sizeof(padded));
	crypto_wipe(padded, sizeof(padded));
}

/* A key that is longer than a block is replaced by its hash. */
static void key_block(enum crypto_hmac_hash kind, uint8_t block[HASH_BLOCK], const void *key,
		      size_t key_len)
{
	struct hash h;

	memset(block, 0, HASH_BLOCK);
	if (key_len <= HASH_BLOCK) {
		if (key_len > 0)
			memcpy(block, key, key_len);
		return;
	}
	hash_init(&h, kind);
	hash_update(&h, key, key_len);
	hash_final(&h, block);
	crypto_wipe(&h, sizeof(h));
}

void crypto_hmac(enum crypto_hmac_hash hash, uint8_t *out, const void *key, size_t key_len,
		 const struct crypto_part *parts, size_t count)
{
	uint8_t block[HASH_BLOCK], inner[CRYPTO_HMAC_MAX_LEN];
	struct hash h;

	key_block(hash, block, key, key_len);
	hash_keyed(&h, hash, block, 0x36);
	for (size_t i = 0; i < count; i++)
		hash_update(&h, parts[i].data, parts[i].len);
	hash_final(&h, inner);
	hash_keyed(&h, hash, block, 0x5c);
	hash_update(&h, inner, crypto_hmac_len(hash));
	hash_final(&h, out);
	crypto_wipe(block, sizeof(block));
	crypto_wipe(inner, sizeof(inner));
	crypto_wipe(&h, sizeof(h));
}

bool crypto_hmac_check(enum crypto_hmac_hash hash, const uint8_t *tag, size_t tag_len,
		       const void *key, size_t key_len, const struct crypto_part *parts,
		       size_t count)
{
	uint8_t want[CRYPTO_HMAC_MAX_LEN];

	if (tag_len == 0 || tag_len > crypto_hmac_len(hash))
		return false;
	crypto_hmac(hash, want, key, key_len, parts, count);
	bool same = crypto_equal(want, tag, tag_len);
	crypto_wipe(want, sizeof(want));
	return same;
}
