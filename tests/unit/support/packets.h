/* SPDX-License-Identifier: MIT
 *
 * Inner packets for tests, built and checked byte by byte, so that nothing here shares an idea (or
 * a mistake) with the vectorised code under test.
 */
#ifndef TT_TEST_PACKETS_H
#define TT_TEST_PACKETS_H

#include "base/types.h"

/* xorshift64*: the same flows in every run. */
struct pk_rng {
	uint64_t s;
};

static inline uint32_t pk_rand(struct pk_rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return (uint32_t)((r->s * UINT64_C(2685821657736338717)) >> 32);
}

static inline void pk_fill(struct pk_rng *r, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)pk_rand(r);
}

/* Big-endian words, one after the other; not folded. */
static inline uint64_t pk_naive_sum(const uint8_t *p, size_t len, uint64_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint64_t)p[i] << 8;
	return sum;
}

static inline uint16_t pk_naive_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

struct pk {
	bool v6;
	uint8_t proto; /* 6 or 17 */
	uint8_t tos, ttl;
	uint32_t flow_label;
	uint16_t id;
	bool df;
	uint8_t host_src, host_dst; /* last byte of the addresses */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t tcp_flags;
	uint16_t window, urgent;
	uint8_t opts[40]; /* TCP options */
	uint8_t opts_len; /* a multiple of 4 */
};

#define PK_ACK 0x10
#define PK_PSH 0x08
#define PK_FIN 0x01
#define PK_SYN 0x02
#define PK_CWR 0x80
#define PK_ECE 0x40

static inline struct pk pk_tcp(bool v6)
{
	return (struct pk){.v6 = v6,
			   .proto = 6,
			   .ttl = 64,
			   .df = true,
			   .id = 1000,
			   .host_src = 1,
			   .host_dst = 2,
			   .sport = 40000,
			   .dport = 443,
			   .seq = 0xfffffc00,
			   .ack = 77,
			   .tcp_flags = PK_ACK,
			   .window = 502};
}

static inline struct pk pk_udp(bool v6)
{
	struct pk k = pk_tcp(v6);
	k.proto = 17;
	return k;
}

static inline size_t pk_l3_len(const struct pk *k)
{
	return k->v6 ? 40 : 20;
}

static inline size_t pk_hdr_len(const struct pk *k)
{
	return pk_l3_len(k) + (k->proto == 6 ? 20u + k->opts_len : 8u);
}

static inline uint64_t pk_pseudo(const uint8_t *pkt, uint8_t proto, size_t l4_len)
{
	bool v6 = pkt[0] >> 4 == 6;
	uint64_t sum = pk_naive_sum(v6 ? pkt + 8 : pkt + 12, v6 ? 32 : 8, 0);
	return sum + proto + (l4_len >> 16) + (l4_len & 0xffff);
}

static inline void pk_put_l3(uint8_t *out, const struct pk *k, size_t total)
{
	if (k->v6) {
		tt_store_be32(out, 6u << 28 | (uint32_t)k->tos << 20 | k->flow_label);
		tt_store_be16(out + 4, (uint16_t)(total - 40));
		out[6] = k->proto;
		out[7] = k->ttl;
		memset(out + 8, 0x20, 32);
		out[23] = k->host_src;
		out[39] = k->host_dst;
		return;
	}
	memset(out, 0, 20);
	out[0] = 0x45;
	out[1] = k->tos;
	tt_store_be16(out + 2, (uint16_t)total);
	tt_store_be16(out + 4, k->id);
	out[6] = k->df ? 0x40 : 0;
	out[8] = k->ttl;
	out[9] = k->proto;
	memcpy(out + 12, (uint8_t[]){10, 9, 8, k->host_src, 10, 9, 8, k->host_dst}, 8);
	tt_store_be16(out + 10, (uint16_t)~pk_naive_fold(pk_naive_sum(out, 20, 0)));
}

/*
 * Writes a whole packet and returns its length. open_csum: the L4 checksum holds the pseudo sum
 * only, as a kernel leaves it with NEEDS_CSUM.
 */
static inline size_t pk_build(uint8_t *out, const struct pk *k, const void *payload, size_t len,
			      bool open_csum)
{
	size_t l3 = pk_l3_len(k), hdr = pk_hdr_len(k), total = hdr + len;
	uint8_t *l4 = out + l3;
	size_t check = k->proto == 6 ? 16 : 6;

	pk_put_l3(out, k, total);
	memset(l4, 0, hdr - l3);
	tt_store_be16(l4, k->sport);
	tt_store_be16(l4 + 2, k->dport);
	if (k->proto == 6) {
		tt_store_be32(l4 + 4, k->seq);
		tt_store_be32(l4 + 8, k->ack);
		l4[12] = (uint8_t)((hdr - l3) / 4 << 4);
		l4[13] = k->tcp_flags;
		tt_store_be16(l4 + 14, k->window);
		tt_store_be16(l4 + 18, k->urgent);
		memcpy(l4 + 20, k->opts, k->opts_len);
	} else {
		tt_store_be16(l4 + 4, (uint16_t)(total - l3));
	}
	memcpy(out + hdr, payload, len);
	uint64_t sum = pk_pseudo(out, k->proto, total - l3);
	if (open_csum) {
		tt_store_be16(l4 + check, pk_naive_fold(sum));
	} else {
		uint16_t c = (uint16_t)~pk_naive_fold(pk_naive_sum(l4, total - l3, sum));
		tt_store_be16(l4 + check, c ? c : 0xffff);
	}
	return total;
}

/* All checksums of a packet whose L4 header starts at l4_off. */
static inline bool pk_intact(const uint8_t *pkt, size_t total, size_t l4_off, uint8_t proto)
{
	if (pkt[0] >> 4 == 4 && pk_naive_fold(pk_naive_sum(pkt, (pkt[0] & 15) * 4u, 0)) != 0xffff)
		return false;
	uint64_t sum = pk_pseudo(pkt, proto, total - l4_off);
	return pk_naive_fold(pk_naive_sum(pkt + l4_off, total - l4_off, sum)) == 0xffff;
}

#endif
