/* SPDX-License-Identifier: MIT
 *
 * The AEAD contract: one-shot for handshake fields, bursts for packets. Nothing else knows which
 * cipher or which library it is.
 *
 * The nonce is WireGuard's: four zero bytes and the counter in little endian. A (key, counter) pair
 * seals once, ever; the caller sees to that.
 *
 * Everywhere: len counts plaintext bytes; the sealed side has len + CRYPTO_AEAD_TAG_LEN bytes. src
 * and dst are the same memory or do not overlap. Where opening fails, the len bytes of dst are
 * zeroed (in place: the ciphertext is gone), so no unauthenticated plaintext is ever handed on.
 *
 * A build with TT_BENCH_NULL_AEAD=1 (benchmarks only) has one backend, "null": its bursts copy, and
 * accept every tag. One-shot stays real, so what a burst sealed must be opened by a burst.
 */
#ifndef TT_CRYPTO_AEAD_H
#define TT_CRYPTO_AEAD_H

#include "base/types.h"

#define CRYPTO_AEAD_KEY_LEN   32
#define CRYPTO_AEAD_TAG_LEN   16
#define CRYPTO_AEAD_BURST_MAX 64 /* jobs in one call: one bit each in crypto_aead_open_burst() */
#define CRYPTO_AEAD_CTX_ALIGN 64

enum crypto_aead_suite {
	CRYPTO_AEAD_CHACHA20_POLY1305 = 0,
};

/* A secret: lives in the caller's locked memory, is wiped by its owner with crypto_wipe(). */
struct crypto_aead_key {
	uint8_t bytes[CRYPTO_AEAD_KEY_LEN];
	uint8_t suite; /* enum crypto_aead_suite; all zero memory is ChaCha20-Poly1305 */
	uint8_t pad[7];
};

/* One packet of a burst. src and dst need no alignment. */
struct crypto_aead_job {
	const uint8_t *src;
	uint8_t *dst;
	uint64_t counter;
	uint32_t len; /* plaintext bytes, for seal and for open */
};

/* --- start ----------------------------------------------------------------------------------- */

enum crypto_aead_choice {
	CRYPTO_AEAD_CHOSEN,
	CRYPTO_AEAD_UNKNOWN,	 /* no backend of that name */
	CRYPTO_AEAD_UNAVAILABLE, /* not in this build, or the CPU lacks what it needs */
	CRYPTO_AEAD_BROKEN,	 /* it gave a wrong answer to the self-test */
};

/*
 * Chooses the backend of this process and initialises the libraries: once, at start, before other
 * threads and before crypto_aead_ctx_init(). forced: NULL or "auto", "ipsec-mb", "libsodium".
 * *chosen: the name of the backend, or on failure of the one that was refused (static string, or
 * forced itself). "auto" passes over a broken backend; crypto_aead_refused() then names it;
 * a short packet that comes alone goes past the backend it chose, to the one with the least code.
 * A second call changes the choice for contexts that are initialised from then on.
 */
enum crypto_aead_choice crypto_aead_select(const char *forced, const char **chosen);

/* The backend that the last crypto_aead_select() passed over because it is broken, or NULL. */
const char *crypto_aead_refused(void);

/* Names of the backends in this build, best first; ends with NULL. */
const char *const *crypto_aead_backends(void);

/*
 * State of one thread: crypto_aead_ctx_size() bytes (a few hundred KiB) of the caller, aligned to
 * CRYPTO_AEAD_CTX_ALIGN. Holds no key between calls. NULL where the library refuses; never after a
 * successful crypto_aead_select() on the same machine.
 */
struct crypto_aead_ctx;
size_t crypto_aead_ctx_size(void);
struct crypto_aead_ctx *crypto_aead_ctx_init(void *memory);
const char *crypto_aead_ctx_backend(const struct crypto_aead_ctx *ctx);

/* --- bursts: the packet path ------------------------------------------------------------------ */

/* Seals n <= CRYPTO_AEAD_BURST_MAX packets of one key. No associated data. */
void crypto_aead_seal_burst(struct crypto_aead_ctx *ctx, const struct crypto_aead_key *key,
			    const struct crypto_aead_job *jobs, size_t n);

/*
 * Opens n <= CRYPTO_AEAD_BURST_MAX packets of one key. Bit i of the result is set where the tag of
 * jobs[i] is right; a job that fails does not disturb the others.
 */
uint64_t crypto_aead_open_burst(struct crypto_aead_ctx *ctx, const struct crypto_aead_key *key,
				const struct crypto_aead_job *jobs, size_t n)
	__attribute__((warn_unused_result));

/* --- one-shot: handshake fields, keepalives; any thread, no context ----------------------------
 */

void crypto_aead_seal(const struct crypto_aead_key *key, uint64_t counter, const void *aad,
		      size_t aad_len, const uint8_t *src, size_t len, uint8_t *dst);

/* src holds len bytes of ciphertext and the tag. */
bool crypto_aead_open(const struct crypto_aead_key *key, uint64_t counter, const void *aad,
		      size_t aad_len, const uint8_t *src, size_t len, uint8_t *dst)
	__attribute__((warn_unused_result));

#endif
