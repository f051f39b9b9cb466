/* SPDX-License-Identifier: MIT
 *
 * Cost of cutting a 64 KiB super-packet into packets, and of putting 45 packets together again.
 *
 *	bench_gso [MILLISECONDS-PER-LINE]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/csum.h"
#include "datapath/gro.h"
#include "datapath/segment.h"
#include "packets.h"

#define MSS	1388
#define PACKETS 45
#define SLOT	2048

static uint8_t payload[PACKETS * MSS];
static uint8_t super[66000];
static uint8_t slots[PACKETS][SLOT] __attribute__((aligned(64)));
static uint8_t saved[PACKETS][128];
static struct dp_gro gro;

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t cut(const struct plat_vnet_hdr *vnet, size_t len)
{
	struct dp_inner in;
	struct dp_segmenter sg;
	if (dp_inner_parse(super, len, &in) != TT_DROP_NONE ||
	    dp_segmenter_init(&sg, vnet, super, &in) != TT_DROP_NONE)
		exit(1);
	for (uint32_t i = 0; sg.left; i++)
		dp_segmenter_next(&sg, slots[i] + 16);
	return sg.count;
}

static uint32_t merge(unsigned flags)
{
	const struct dp_gro_out *outs;
	struct dp_inner in;
	dp_gro_init(&gro, flags);
	for (unsigned i = 0; i < PACKETS; i++) {
		if (dp_inner_parse(slots[i] + 16, SLOT - 16, &in) != TT_DROP_NONE)
			exit(1);
		dp_gro_add(&gro, slots[i] + 16, &in);
	}
	return dp_gro_flush(&gro, &outs);
}

/* The merge rewrites headers; put them back between runs. */
static void restore(void)
{
	for (unsigned i = 0; i < PACKETS; i++)
		memcpy(slots[i] + 16, saved[i], sizeof(saved[i]));
}

static void report(const char *what, double best, unsigned bytes)
{
	printf("%-34s %8.0f ns  %6.1f ns/packet  %6.1f Gb/s\n", what, best, best / PACKETS,
	       bytes * 8.0 / best);
}

static void one_kind(const char *name, struct pk k, uint8_t gso_type, double ns_per_line)
{
	char line[64];
	struct plat_vnet_hdr vnet = {
		1, gso_type, 0, MSS, (uint16_t)pk_l3_len(&k), k.proto == 6 ? 16 : 6};
	size_t len = pk_build(super, &k, payload, sizeof(payload), true);
	double best = 1e18;
	for (double until = now_ns() + ns_per_line; now_ns() < until;) {
		double start = now_ns();
		cut(&vnet, len);
		best = TT_MIN(best, now_ns() - start);
	}
	snprintf(line, sizeof(line), "%s: segment", name);
	report(line, best, sizeof(payload));

	for (unsigned i = 0; i < PACKETS; i++)
		memcpy(saved[i], slots[i] + 16, sizeof(saved[i]));
	best = 1e18;
	uint32_t writes = 0;
	for (double until = now_ns() + ns_per_line; now_ns() < until; restore()) {
		double start = now_ns();
		writes = merge(PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO);
		best = TT_MIN(best, now_ns() - start);
	}
	snprintf(line, sizeof(line), "%s: parse and merge (%u write)", name, writes);
	report(line, best, sizeof(payload));

	best = 1e18;
	for (double until = now_ns() + ns_per_line; now_ns() < until;) {
		double start = now_ns();
		writes = merge(PLAT_TUN_VNET_HDR);
		best = TT_MIN(best, now_ns() - start);
	}
	snprintf(line, sizeof(line), "%s: not granted (%u writes)", name, writes);
	report(line, best, sizeof(payload));
}

int main(int argc, char **argv)
{
	double ns = (argc > 1 ? atof(argv[1]) : 200) * 1e6;
	printf("checksum: %s; %u packets of %u bytes\n", dp_csum_init(), PACKETS, MSS);
	one_kind("TCP over IPv4", pk_tcp(false), PLAT_VNET_GSO_TCPV4, ns);
	one_kind("TCP over IPv6", pk_tcp(true), PLAT_VNET_GSO_TCPV6, ns);
	one_kind("UDP over IPv4", pk_udp(false), PLAT_VNET_GSO_UDP_L4, ns);
	one_kind("UDP over IPv6", pk_udp(true), PLAT_VNET_GSO_UDP_L4, ns);
	return 0;
}
