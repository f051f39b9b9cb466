/* SPDX-License-Identifier: MIT */
#include "crypto/aead.h"

#include <sodium/core.h>
#include "crypto/aead_backend.h"

/* A packet up to this length that comes alone goes to the backend with the least code. */
#define ALONE_MAX 128

struct crypto_aead_ctx {
	const struct crypto_aead_backend *backend;
	_Alignas(CRYPTO_AEAD_CTX_ALIGN) uint8_t state[];
};

const struct crypto_aead_backend *const crypto_aead_builtin[] = {
#ifdef TT_BENCH_NULL_AEAD
	&crypto_aead_backend_null,
#else
#ifdef __x86_64__
	&crypto_aead_backend_avx512,
#endif
#ifdef TT_HAVE_IPSEC_MB
	&crypto_aead_backend_ipsec_mb,
#endif
	&crypto_aead_backend_libsodium,
#endif
	NULL,
};

/* Every name there can be, so that "not in this build" and "no such thing" differ. */
static const char *const known_names[] = {"avx512", "ipsec-mb", "libsodium"};

/* Written at start, before other threads exist. */
static const struct crypto_aead_backend *selected;
static const char *refused;
/* NULL: a backend was asked for by name, and does all the work */
static const struct crypto_aead_backend *for_one;

static enum crypto_aead_choice select_auto(const struct crypto_aead_backend *const *candidates,
					   const char **chosen)
{
	enum crypto_aead_choice result = CRYPTO_AEAD_UNAVAILABLE;

	for (; *candidates; candidates++) {
		enum crypto_aead_choice r = (*candidates)->probe();

		*chosen = (*candidates)->name;
		if (r == CRYPTO_AEAD_CHOSEN) {
			selected = *candidates;
			return r;
		}
		if (r == CRYPTO_AEAD_BROKEN) {
			refused = (*candidates)->name;
			result = r;
		}
	}
	return result;
}

static enum crypto_aead_choice select_named(const struct crypto_aead_backend *const *candidates,
					    const char *name, const char **chosen)
{
	*chosen = name;
	for (; *candidates; candidates++) {
		if (strcmp((*candidates)->name, name) != 0)
			continue;
		enum crypto_aead_choice r = (*candidates)->probe();

		if (r == CRYPTO_AEAD_CHOSEN)
			selected = *candidates;
		*chosen = (*candidates)->name;
		return r;
	}
	for (size_t i = 0; i < TT_ARRAY_LEN(known_names); i++)
		if (strcmp(known_names[i], name) == 0)
			return CRYPTO_AEAD_UNAVAILABLE;
	return CRYPTO_AEAD_UNKNOWN;
}

enum crypto_aead_choice crypto_aead_select_from(const struct crypto_aead_backend *const *candidates,
						const char *forced, const char **chosen)
{
	/* one-shot calls and X25519 go through libsodium, whatever the packets use */
	*chosen = "libsodium";
	if (sodium_init() < 0)
		return CRYPTO_AEAD_UNAVAILABLE;
	refused = NULL;
	for_one = NULL;
	if (!forced || strcmp(forced, "auto") == 0) {
		enum crypto_aead_choice choice = select_auto(candidates, chosen);

#ifndef TT_BENCH_NULL_AEAD
		if (crypto_aead_backend_compact.probe() == CRYPTO_AEAD_CHOSEN)
			for_one = &crypto_aead_backend_compact;
#endif
		return choice;
	}
	return select_named(candidates, forced, chosen);
}

enum crypto_aead_choice crypto_aead_select(const char *forced, const char **chosen)
{
	return crypto_aead_select_from(crypto_aead_builtin, forced, chosen);
}

const char *crypto_aead_refused(void)
{
	return refused;
}

const char *const *crypto_aead_backends(void)
{
	static const char *names[TT_ARRAY_LEN(crypto_aead_builtin)];

	for (size_t i = 0; crypto_aead_builtin[i]; i++)
		names[i] = crypto_aead_builtin[i]->name;
	return names;
}

size_t crypto_aead_ctx_size(void)
{
	size_t state = 0;

	/* of the largest backend, so that the answer does not depend on the choice */
	for (size_t i = 0; crypto_aead_builtin[i]; i++)
		state = TT_MAX(state, crypto_aead_builtin[i]->state_size());
	return TT_ALIGN_UP(sizeof(struct crypto_aead_ctx) + state, (size_t)CRYPTO_AEAD_CTX_ALIGN);
}

struct crypto_aead_ctx *crypto_aead_ctx_init(void *memory)
{
	struct crypto_aead_ctx *ctx = memory;

	tt_assert(selected && (uintptr_t)memory % CRYPTO_AEAD_CTX_ALIGN == 0);
	ctx->backend = selected;
	return ctx->backend->state_init(ctx->state) ? ctx : NULL;
}

const char *crypto_aead_ctx_backend(const struct crypto_aead_ctx *ctx)
{
	return ctx->backend->name;
}

static inline const struct crypto_aead_backend *
backend_for(const struct crypto_aead_ctx *ctx, const struct crypto_aead_job *jobs, size_t n)
{
	return n == 1 && for_one && jobs->len <= ALONE_MAX ? for_one : ctx->backend;
}

void crypto_aead_seal_burst(struct crypto_aead_ctx *ctx, const struct crypto_aead_key *key,
			    const struct crypto_aead_job *jobs, size_t n)
{
	tt_assert(n <= CRYPTO_AEAD_BURST_MAX && key->suite == CRYPTO_AEAD_CHACHA20_POLY1305);
	if (n > 0)
		backend_for(ctx, jobs, n)->seal_burst(ctx->state, key, jobs, n);
}

uint64_t crypto_aead_open_burst(struct crypto_aead_ctx *ctx, const struct crypto_aead_key *key,
				const struct crypto_aead_job *jobs, size_t n)
{
	tt_assert(n <= CRYPTO_AEAD_BURST_MAX && key->suite == CRYPTO_AEAD_CHACHA20_POLY1305);
	return n > 0 ? backend_for(ctx, jobs, n)->open_burst(ctx->state, key, jobs, n) : 0;
}
