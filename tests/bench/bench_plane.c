/* SPDX-License-Identifier: MIT
 *
 * What the two ways from a TUN buffer to sealed messages cost, without the system calls around
 * them: copy and checksum into the slot, then encrypt there; or checksum where it lies, and encrypt
 * out of the TUN buffer into the slot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/aead.h"
#include "datapath/csum.h"
#include "datapath/segment.h"
#include "packets.h"
#include "wg/messages.h"

#define MSS	 1368
#define SEGMENTS 45
#define HDR	 52
#define INNER	 (MSS + HDR)
#define SLOT	 (INNER + 4 + WG_DATA_OVERHEAD) /* padded to 16 */
#define ROUNDS	 400
#define REPEATS	 15

static uint8_t tun[66000], out[SEGMENTS * SLOT + 64];
static struct plat_vnet_hdr vnet = {PLAT_VNET_F_NEEDS_CSUM, PLAT_VNET_GSO_TCPV4, HDR, MSS, 20, 16};
static struct crypto_aead_key key;
static struct crypto_aead_ctx *ctx;
static size_t super_len;

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void build(void)
{
	static uint8_t payload[SEGMENTS * MSS];
	struct pk k = pk_tcp(false);
	struct pk_rng r = {1};

	pk_fill(&r, payload, sizeof(payload));
	k.opts_len = 12;
	memset(k.opts, 1, 12);
	super_len = pk_build(tun, &k, payload, sizeof(payload), true);
}

static void segments_in_place(void)
{
	struct crypto_aead_job job[SEGMENTS];
	struct dp_segmenter sg;
	struct dp_inner in;
	unsigned n = 0;

	dp_inner_parse(tun, super_len, &in);
	dp_segmenter_init(&sg, &vnet, tun, &in);
	for (; sg.left; n++) {
		uint8_t *plain = out + n * SLOT + WG_DATA_HEADER;

		dp_segmenter_next(&sg, plain);
		job[n] = (struct crypto_aead_job){plain, plain, n, INNER + 4};
	}
	crypto_aead_seal_burst(ctx, &key, job, n);
}

/* Headers are written into the super-packet over what was encrypted before, so one by one. */
static void segments_out_of_place(void)
{
	uint8_t hdr[HDR];

	memcpy(hdr, tun, HDR);
	for (unsigned n = 0; n < SEGMENTS; n++) {
		uint8_t *pkt = tun + n * MSS;
		struct crypto_aead_job job = {pkt, out + n * SLOT + WG_DATA_HEADER, n, INNER};

		memcpy(pkt, hdr, HDR);
		uint16_t check = dp_csum_fold(dp_csum_partial(pkt + 20, MSS + HDR - 20, 0));

		memcpy(pkt + 36, &check, sizeof(check));
		crypto_aead_seal_burst(ctx, &key, &job, 1);
	}
}

static void singles_in_place(void)
{
	struct crypto_aead_job job[SEGMENTS];

	for (unsigned n = 0; n < SEGMENTS; n++) {
		uint8_t *plain = out + n * SLOT + WG_DATA_HEADER;

		memcpy(plain, tun + n * MSS, 20);
		dp_csum_copy(plain + 20, tun + n * MSS + 20, INNER - 20, 0);
		job[n] = (struct crypto_aead_job){plain, plain, n, INNER + 4};
	}
	crypto_aead_seal_burst(ctx, &key, job, SEGMENTS);
}

static void singles_out_of_place(void)
{
	struct crypto_aead_job job[SEGMENTS];
	volatile uint32_t sink;

	for (unsigned n = 0; n < SEGMENTS; n++) {
		sink = dp_csum_partial(tun + n * MSS + 20, INNER - 20, 0);
		job[n] = (struct crypto_aead_job){tun + n * MSS, out + n * SLOT + WG_DATA_HEADER, n,
						  INNER + 4};
	}
	(void)sink;
	crypto_aead_seal_burst(ctx, &key, job, SEGMENTS);
}

static void copy_and_checksum_only(void)
{
	struct dp_segmenter sg;
	struct dp_inner in;
	unsigned n = 0;

	dp_inner_parse(tun, super_len, &in);
	dp_segmenter_init(&sg, &vnet, tun, &in);
	for (; sg.left; n++)
		dp_segmenter_next(&sg, out + n * SLOT + WG_DATA_HEADER);
}

static void measure(const char *name, void (*fn)(void))
{
	double best = 1e9;

	for (unsigned i = 0; i < REPEATS; i++) {
		build();
		double t = cpu_now();

		for (unsigned r = 0; r < ROUNDS; r++)
			fn();
		t = cpu_now() - t;
		best = TT_MIN(best, t);
	}
	printf("%-34s %6.1f Gb/s  %6.1f ns per packet\n", name,
	       8e-9 * ROUNDS * SEGMENTS * INNER / best, best * 1e9 / (ROUNDS * SEGMENTS));
}

int main(void)
{
	const char *backend;

	if (crypto_aead_select(getenv("TALTUN_AEAD"), &backend) != CRYPTO_AEAD_CHOSEN)
		return 1;
	ctx = crypto_aead_ctx_init(aligned_alloc(CRYPTO_AEAD_CTX_ALIGN, crypto_aead_ctx_size()));
	printf("aead %s, checksum %s\n", backend, dp_csum_init());
	measure("copy and checksum only", copy_and_checksum_only);
	measure("super-packet, in place, burst", segments_in_place);
	measure("super-packet, out of place", segments_out_of_place);
	measure("single packets, in place", singles_in_place);
	measure("single packets, out of place", singles_out_of_place);
	return 0;
}
