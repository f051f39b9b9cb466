/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "datapath/csum.h"
#include "datapath/gro.h"
#include "datapath/segment.h"
#include "packets.h"

#define ALL_FLAGS (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)
#define SLOT	  2048 /* bytes per packet buffer, headroom included */
#define HEADROOM  16

static struct dp_gro gro;
static uint8_t buffers[DP_GRO_PACKETS_MAX][SLOT];
static uint8_t stream[1 << 20];

/* What went in, in order, to be compared with what the outputs are cut into again. */
struct sent {
	size_t len;
	unsigned flow;
	bool taken;
	uint8_t bytes[SLOT];
};
static struct sent sent[DP_GRO_PACKETS_MAX];
static unsigned sent_count;

static void begin(unsigned flags)
{
	dp_gro_init(&gro, flags);
	sent_count = 0;
}

static void add_raw(const uint8_t *pkt, size_t len, unsigned flow)
{
	struct dp_inner in;
	uint8_t *buf = buffers[sent_count] + HEADROOM;
	memset(buffers[sent_count], 0xee, SLOT);
	memcpy(buf, pkt, len);
	sent[sent_count] = (struct sent){.len = len, .flow = flow};
	memcpy(sent[sent_count].bytes, pkt, len);
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(buf, len, &in), TT_DROP_NONE);
	CU_ASSERT_FATAL(dp_gro_add(&gro, buf, &in));
	sent_count++;
}

static void add(const struct pk *k, const uint8_t *payload, size_t len, unsigned flow)
{
	uint8_t pkt[SLOT];
	add_raw(pkt, pk_build(pkt, k, payload, len, false), flow);
}

/* Two packets are the same but for an IPv4 id that DF makes meaningless. */
static bool same_packet(const struct sent *s, uint8_t *got, size_t len)
{
	uint8_t want[SLOT];
	if (s->len != len)
		return false;
	memcpy(want, s->bytes, len);
	if (want[0] >> 4 == 4 && (want[6] & 0x40)) {
		memset(want + 4, 0, 2);
		memset(want + 10, 0, 2);
		memset(got + 4, 0, 2);
		memset(got + 10, 0, 2);
	}
	return memcmp(want, got, len) == 0;
}

/* The next packet not yet seen of the flow that this one belongs to must be this one. */
static void expect_next_of_flow(uint8_t *got, size_t len)
{
	bool passed[64] = {false};
	for (unsigned i = 0; i < sent_count; i++) {
		uint8_t copy[SLOT];
		if (sent[i].taken || passed[sent[i].flow])
			continue;
		passed[sent[i].flow] = true;
		memcpy(copy, got, len);
		if (!same_packet(&sent[i], copy, len))
			continue;
		sent[i].taken = true;
		return;
	}
	CU_FAIL("a packet came out changed, twice, or out of its flow's order");
}

static uint32_t gather(const struct dp_gro_out *out, uint8_t *into)
{
	uint32_t len = 0;
	for (uint32_t i = 0; i < out->n; i++) {
		memcpy(into + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += (uint32_t)out->iov[i].iov_len;
	}
	CU_ASSERT_EQUAL(len, out->len);
	return len;
}

/* Cuts one output as the kernel would and compares every packet. Returns how many there were. */
static uint32_t check_output(const struct dp_gro_out *out)
{
	static uint8_t flat[66000], seg[66000];
	struct plat_vnet_hdr vnet;
	struct dp_inner in;
	struct dp_segmenter sg;
	uint32_t len = gather(out, flat), bytes = 0;
	memcpy(&vnet, flat, sizeof(vnet));
	uint8_t *pkt = flat + sizeof(vnet);
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(pkt, len - sizeof(vnet), &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(in.total_len, len - sizeof(vnet));
	CU_ASSERT_EQUAL_FATAL(dp_segmenter_init(&sg, &vnet, pkt, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL(sg.count, out->packets);
	if (out->packets > 1) {
		CU_ASSERT_EQUAL(vnet.flags, PLAT_VNET_F_NEEDS_CSUM);
		CU_ASSERT_EQUAL(vnet.hdr_len, in.l4_off + in.l4_hdr_len);
		uint16_t sum = pk_naive_fold(pk_pseudo(pkt, in.proto, in.l4_len));
		CU_ASSERT_EQUAL(tt_load_be16(pkt + vnet.csum_start + vnet.csum_offset), sum);
		CU_ASSERT(in.family == TT_FAMILY_V6 ||
			  pk_naive_fold(pk_naive_sum(pkt, 20, 0)) == 0xffff);
	} else {
		static const struct plat_vnet_hdr none;
		CU_ASSERT_EQUAL(memcmp(&vnet, &none, sizeof(none)), 0);
		CU_ASSERT(out->n == 1);
	}
	while (sg.left) {
		uint32_t n = dp_segmenter_next(&sg, seg);
		bytes += n;
		expect_next_of_flow(seg, n);
	}
	CU_ASSERT_EQUAL(bytes, out->inner_len);
	return out->packets;
}

/* Flushes and checks everything; returns the number of outputs. */
static uint32_t finish(void)
{
	const struct dp_gro_out *outs;
	uint32_t n = dp_gro_flush(&gro, &outs), packets = 0;
	for (uint32_t i = 0; i < n; i++)
		packets += check_output(&outs[i]);
	CU_ASSERT_EQUAL(packets, sent_count);
	return n;
}

/* --- plain merging -----------------------------------------------------------------------------
 */

static uint32_t run_of(struct pk k, unsigned packets, size_t size, size_t last, unsigned flags)
{
	begin(flags);
	for (unsigned i = 0; i < packets; i++) {
		size_t len = i + 1 < packets ? size : last;
		add(&k, stream + i * size, len, 0);
		k.seq += (uint32_t)len;
		k.id++;
	}
	return finish();
}

static void full_runs(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pk t = pk_tcp(v6), u = pk_udp(v6);
		CU_ASSERT_EQUAL(run_of(t, 45, 1400, 1400, ALL_FLAGS), 1);
		CU_ASSERT_EQUAL(run_of(t, 45, 1400, 1, ALL_FLAGS), 1);
		CU_ASSERT_EQUAL(run_of(t, 100, 1400, 1400, ALL_FLAGS), 3); /* 46 fit into 64 KiB */
		CU_ASSERT_EQUAL(run_of(t, 500, 37, 37, ALL_FLAGS), 1);
		CU_ASSERT_EQUAL(run_of(u, 40, 1400, 700, ALL_FLAGS), 1);
		CU_ASSERT_EQUAL(run_of(u, 64, 100, 100, ALL_FLAGS), 1);
		CU_ASSERT_EQUAL(run_of(u, 65, 100, 100, ALL_FLAGS), 2);
		CU_ASSERT_EQUAL(run_of(t, 1, 1400, 1400, ALL_FLAGS), 1);
		memset(t.opts, 1, sizeof(t.opts));
		t.opts_len = 12;
		CU_ASSERT_EQUAL(run_of(t, 45, 1388, 1388, ALL_FLAGS), 1);
	}
}

/* An IPv4 packet has at most 65535 bytes; IPv6 keeps to the same. */
static void largest_super(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		size_t last = 65535 - pk_hdr_len(&(struct pk){.v6 = v6, .proto = 6}) - 46 * 1400;
		CU_ASSERT_EQUAL(run_of(pk_tcp(v6), 47, 1400, last, ALL_FLAGS), 1);
		CU_ASSERT_EQUAL(run_of(pk_tcp(v6), 47, 1400, last + 1, ALL_FLAGS), 2);
	}
}

static void only_what_was_granted(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		CU_ASSERT_EQUAL(run_of(pk_tcp(v6), 9, 500, 500, PLAT_TUN_VNET_HDR), 9);
		CU_ASSERT_EQUAL(run_of(pk_udp(v6), 9, 500, 500, PLAT_TUN_VNET_HDR), 9);
		unsigned tso = PLAT_TUN_VNET_HDR | PLAT_TUN_TSO;
		CU_ASSERT_EQUAL(run_of(pk_tcp(v6), 9, 500, 500, tso), 1);
		CU_ASSERT_EQUAL(run_of(pk_udp(v6), 9, 500, 500, tso), 9);
	}
}

static void without_vnet_header(void)
{
	const struct dp_gro_out *outs;
	struct pk k = pk_tcp(false);
	begin(PLAT_TUN_TSO | PLAT_TUN_USO);
	add(&k, stream, 100, 0);
	k.seq += 100;
	add(&k, stream, 100, 0);
	CU_ASSERT_EQUAL(dp_gro_flush(&gro, &outs), 2);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT(outs[i].n == 1 && outs[i].len == sent[i].len);
		CU_ASSERT_EQUAL(memcmp(outs[i].iov[0].iov_base, sent[i].bytes, sent[i].len), 0);
		CU_ASSERT_EQUAL(buffers[i][HEADROOM - 1], 0xee);
	}
}

/* Only the ten bytes in front of a packet that starts an output are written to. */
static void headroom(void)
{
	struct pk k = pk_udp(false);
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < 3; i++, k.id++)
		add(&k, stream, 100, 0);
	CU_ASSERT_EQUAL(finish(), 1);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned b = 0; b < (i ? HEADROOM : HEADROOM - DP_GRO_HEADROOM); b++)
			CU_ASSERT_EQUAL(buffers[i][b], 0xee);
}

/* --- what must never be merged ------------------------------------------------------------------
 */

/* Each changes the second of two packets that would otherwise continue one another. */
static void ecn(struct pk *k)
{
	k->tos ^= 3;
}
static void dscp(struct pk *k)
{
	k->tos ^= 0x80;
}
static void hops(struct pk *k)
{
	k->ttl--;
}
static void source(struct pk *k)
{
	k->host_src++;
}
static void target(struct pk *k)
{
	k->host_dst++;
}
static void sport(struct pk *k)
{
	k->sport++;
}
static void dport(struct pk *k)
{
	k->dport++;
}
static void label(struct pk *k)
{
	k->flow_label++;
}
static void df(struct pk *k)
{
	k->df = !k->df;
}
static void id_jump(struct pk *k)
{
	k->id += 2;
}
static void gap(struct pk *k)
{
	k->seq += 1;
}
static void back(struct pk *k)
{
	k->seq -= 1;
}
static void ack(struct pk *k)
{
	k->ack++;
}
static void window(struct pk *k)
{
	k->window++;
}
static void urgent(struct pk *k)
{
	k->urgent++;
}
static void fin(struct pk *k)
{
	k->tcp_flags |= PK_FIN;
}
static void syn(struct pk *k)
{
	k->tcp_flags |= PK_SYN;
}
static void rst(struct pk *k)
{
	k->tcp_flags |= 4;
}
static void urg(struct pk *k)
{
	k->tcp_flags |= 0x20;
}
static void ece(struct pk *k)
{
	k->tcp_flags |= PK_ECE;
}
static void cwr(struct pk *k)
{
	k->tcp_flags |= PK_CWR;
}
static void no_ack(struct pk *k)
{
	k->tcp_flags = PK_PSH;
}
static void timestamp(struct pk *k)
{
	k->opts[7]++;
}
static void fewer_options(struct pk *k)
{
	k->opts_len -= 4;
}

static void never_one(bool v6, uint8_t proto, const char *what, void (*change)(struct pk *))
{
	struct pk k = pk_tcp(v6);
	k.proto = proto;
	k.opts_len = proto == 6 ? 12 : 0;
	k.df = false;
	struct pk changed = k;
	changed.seq += 300;
	changed.id += 1;
	change(&changed);
	begin(ALL_FLAGS);
	add(&k, stream, 300, 0);
	add(&changed, stream + 300, 300, 0);
	uint32_t outs = finish();
	if (outs != 2)
		printf("merged: %s, IPv%d, proto %d\n", what, v6 ? 6 : 4, proto);
	CU_ASSERT_EQUAL(outs, 2);
	/* the same twice over: pairs on either side of the border still merge */
	begin(ALL_FLAGS);
	struct pk first = k, second = changed;
	for (unsigned i = 0; i < 4; i++) {
		struct pk *p = i < 2 ? &first : &second;
		add(p, stream + 300 * i, 300, 0);
		p->seq += 300;
		p->id++;
	}
	CU_ASSERT(finish() >= 2);
}

struct never_case {
	const char *what;
	void (*change)(struct pk *k);
	enum { ANY, TCP, V4, V6 } where;
};

static const struct never_case never_table[] = {
	{"ECN", ecn, ANY},
	{"DSCP", dscp, ANY},
	{"TTL", hops, ANY},
	{"source address", source, ANY},
	{"destination address", target, ANY},
	{"source udp_port", sport, ANY},
	{"destination udp_port", dport, ANY},
	{"flow label", label, V6},
	{"DF", df, V4},
	{"IPv4 id", id_jump, V4},
	{"sequence gap", gap, TCP},
	{"sequence overlap", back, TCP},
	{"acknowledgement", ack, TCP},
	{"window", window, TCP},
	{"urgent pointer", urgent, TCP},
	{"FIN", fin, TCP},
	{"SYN", syn, TCP},
	{"RST", rst, TCP},
	{"URG", urg, TCP},
	{"ECE", ece, TCP},
	{"CWR", cwr, TCP},
	{"no ACK", no_ack, TCP},
	{"timestamp", timestamp, TCP},
	{"fewer options", fewer_options, TCP},
};

static void never_merged(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(never_table); i++) {
		const struct never_case *c = &never_table[i];
		for (int v6 = 0; v6 < 2; v6++) {
			if ((c->where == V4 && v6) || (c->where == V6 && !v6))
				continue;
			never_one(v6, 6, c->what, c->change);
			if (c->where != TCP)
				never_one(v6, 17, c->what, c->change);
		}
	}
}

static void add_broken(const struct pk *k, size_t at)
{
	uint8_t pkt[SLOT];
	size_t len = pk_build(pkt, k, stream, 200, false);
	pkt[at] ^= 0x10;
	add_raw(pkt, len, 0);
}

static void add_fragment(const struct pk *k)
{
	uint8_t pkt[SLOT];
	size_t len = pk_build(pkt, k, stream, 80, false);
	tt_store_be16(pkt + 6, 0x2000);
	add_raw(pkt, len, 0);
}

/* A, X, B where A and B would merge but X of the same flow lies between: B must not overtake X. */
static void nothing_overtakes(void)
{
	for (unsigned i = 0; i < 6; i++) {
		struct pk k = pk_tcp(false), x;
		begin(ALL_FLAGS);
		add(&k, stream, 100, 0);
		x = k;
		k.seq += 100;
		k.id++;
		switch (i) {
		case 0: /* pure acknowledgement */
			add(&x, stream, 0, 0);
			break;
		case 1: /* retransmission */
			add(&x, stream, 100, 0);
			break;
		case 2:
			x.tcp_flags |= PK_SYN;
			add(&x, stream, 10, 0);
			break;
		case 3: /* a fragment, whose flow nobody can tell */
			add_fragment(&x);
			break;
		case 4:
			add_broken(&k, 150);
			break;
		case 5: /* an acknowledgement that is next in sequence */
			add(&k, stream, 0, 0);
			k.id++;
			break;
		}
		add(&k, stream + 100, 100, 0);
		/* what follows the retransmission may join that one */
		CU_ASSERT_EQUAL(finish(), i == 1 ? 2 : 3);
	}
}

static void short_one_ends_a_run(void)
{
	struct pk k = pk_udp(true);
	static const size_t sizes[] = {100, 100, 60, 60, 60, 100, 100, 101};
	begin(ALL_FLAGS);
	for (size_t i = 0; i < TT_ARRAY_LEN(sizes); i++)
		add(&k, stream + 300 * i, sizes[i], 0);
	CU_ASSERT_EQUAL(finish(), 4); /* 100 100 60 | 60 60 | 100 100 | 101 */
}

static void push_ends_a_run(void)
{
	struct pk k = pk_tcp(false);
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < 6; i++) {
		k.tcp_flags = i == 2 || i == 3 ? PK_ACK | PK_PSH : PK_ACK;
		add(&k, stream + 100 * i, 100, 0);
		k.seq += 100;
		k.id++;
	}
	CU_ASSERT_EQUAL(finish(), 3); /* 0 1 2p | 3p | 4 5 */
}

static void v4_ids(void)
{
	static const struct {
		bool df;
		uint16_t id[4];
		uint32_t outs;
	} t[] = {
		{true, {5, 6, 7, 8}, 1},	 {false, {5, 6, 7, 8}, 1}, {true, {0, 0, 0, 0}, 1},
		{false, {0, 0, 0, 0}, 4},	 {true, {5, 6, 6, 6}, 2},  {true, {5, 5, 6, 7}, 2},
		{true, {65534, 65535, 0, 1}, 1}, {true, {5, 4, 3, 2}, 4},
	};
	for (size_t i = 0; i < TT_ARRAY_LEN(t); i++) {
		struct pk k = pk_tcp(false);
		k.df = t[i].df;
		begin(ALL_FLAGS);
		for (unsigned n = 0; n < 4; n++) {
			k.id = t[i].id[n];
			add(&k, stream + 100 * n, 100, 0);
			k.seq += 100;
		}
		CU_ASSERT_EQUAL(finish(), t[i].outs);
	}
}

/* --- packets that are not whole ------------------------------------------------------------------
 */

/* A wrong checksum passes alone and unchanged, first, in the middle or last. */
static void wrong_checksums(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (unsigned bad = 0; bad < 5; bad++) {
			struct pk k = pk_udp(v6);
			begin(ALL_FLAGS);
			for (unsigned i = 0; i < 5; i++, k.id++) {
				if (i == bad)
					add_broken(&k, pk_hdr_len(&k) + 150);
				else
					add(&k, stream, 200, 0);
			}
			CU_ASSERT_EQUAL(finish(), bad == 0 || bad == 4 ? 2 : 3);
		}
	struct pk k = pk_tcp(false);
	begin(ALL_FLAGS);
	add_broken(&k, 10); /* IPv4 header checksum */
	k.seq += 200;
	k.id++;
	add(&k, stream, 200, 0);
	CU_ASSERT_EQUAL(finish(), 2);
}

/* Valid but for the field, whose zero says that there is no checksum at all. */
static void udp_without_checksum(void)
{
	uint8_t pkt[SLOT], word[2] = {0, 0};
	struct pk k = pk_udp(true);
	pk_build(pkt, &k, word, 2, false);
	memcpy(word, pkt + 46, 2); /* with this payload the checksum comes out as zero */
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < 3; i++) {
		size_t len = pk_build(pkt, &k, word, 2, false);
		CU_ASSERT_EQUAL(tt_load_be16(pkt + 46), 0xffff);
		tt_store_be16(pkt + 46, 0);
		add_raw(pkt, len, 0);
	}
	CU_ASSERT_EQUAL(finish(), 3);
}

static void udp_length_that_lies(void)
{
	uint8_t pkt[SLOT];
	struct pk k = pk_udp(true);
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < 3; i++) {
		size_t len = pk_build(pkt, &k, stream, 200, false);
		tt_store_be16(pkt + 44, 100);
		tt_store_be16(pkt + 46, 0);
		uint64_t sum = pk_naive_sum(pkt + 40, len - 40, pk_pseudo(pkt, 17, len - 40));
		tt_store_be16(pkt + 46, (uint16_t)~pk_naive_fold(sum));
		add_raw(pkt, len, 0);
	}
	CU_ASSERT_EQUAL(finish(), 3);
}

static void v4_options(void)
{
	uint8_t pkt[SLOT];
	struct pk k = pk_udp(false);
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < 3; i++, k.id++) {
		size_t len = pk_build(pkt, &k, stream, 200, false);
		memmove(pkt + 24, pkt + 20, len - 20);
		memset(pkt + 20, 1, 4);
		pkt[0] = 0x46;
		tt_store_be16(pkt + 2, (uint16_t)(len + 4));
		tt_store_be16(pkt + 10, 0);
		tt_store_be16(pkt + 10, (uint16_t)~pk_naive_fold(pk_naive_sum(pkt, 24, 0)));
		add_raw(pkt, len + 4, 0);
	}
	CU_ASSERT_EQUAL(finish(), 3);
}

static void v6_extension_headers(void)
{
	uint8_t pkt[SLOT];
	struct pk k = pk_udp(true);
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < 3; i++) {
		size_t len = pk_build(pkt, &k, stream, 200, false);
		memmove(pkt + 48, pkt + 40, len - 40);
		memcpy(pkt + 40, (uint8_t[]){17, 0, 1, 4, 0, 0, 0, 0}, 8);
		pkt[6] = 60;
		tt_store_be16(pkt + 4, (uint16_t)(len - 40 + 8));
		add_raw(pkt, len + 8, 0);
	}
	CU_ASSERT_EQUAL(finish(), 3);
}

static void full_batch(void)
{
	struct pk k = pk_tcp(true);
	struct dp_inner in;
	uint8_t pkt[SLOT];
	begin(ALL_FLAGS);
	for (unsigned i = 0; i < DP_GRO_PACKETS_MAX; i++) {
		k.sport = (uint16_t)i; /* far more flows than the table remembers */
		add(&k, stream, 10, i % 64);
	}
	size_t len = pk_build(pkt, &k, stream, 10, false);
	CU_ASSERT_EQUAL(dp_inner_parse(pkt, len, &in), TT_DROP_NONE);
	CU_ASSERT(!dp_gro_add(&gro, pkt, &in));
	const struct dp_gro_out *outs;
	CU_ASSERT_EQUAL(dp_gro_flush(&gro, &outs), DP_GRO_PACKETS_MAX);
	dp_gro_reset(&gro);
	CU_ASSERT_EQUAL(dp_gro_flush(&gro, &outs), 0);
}

/* --- segmentation, a bad network, and back -------------------------------------------------------
 */

#define FLOWS 16

struct flow {
	struct pk k;
	uint16_t mss;
	uint32_t off;
};

static struct flow make_flow(struct pk_rng *rng, unsigned i)
{
	struct flow f = {.k = i & 2 ? pk_udp(i & 1) : pk_tcp(i & 1)};
	f.k.sport = (uint16_t)(5000 + i);
	f.k.opts_len = f.k.proto == 6 && (i & 4) ? 12 : 0;
	pk_fill(rng, f.k.opts, sizeof(f.k.opts));
	f.k.tos = (uint8_t)pk_rand(rng);
	f.k.seq = pk_rand(rng);
	f.k.id = (uint16_t)pk_rand(rng);
	f.k.df = !(i & 8);
	f.mss = (uint16_t)(1 + pk_rand(rng) % 1400);
	f.off = pk_rand(rng) % 1000;
	return f;
}

struct pending {
	unsigned flow;
	size_t len;
	uint8_t bytes[SLOT];
};
static struct pending pending[DP_GRO_PACKETS_MAX];
static unsigned pending_count;

/* One super-packet of the flow, cut by the segmenter, appended to what is on the way. */
static void send_super(struct flow *f, unsigned flow, struct pk_rng *rng)
{
	static uint8_t super[66000];
	struct dp_inner in;
	struct dp_segmenter sg;
	uint32_t payload = 1 + pk_rand(rng) % (f->mss * 30u);
	payload = TT_MIN(payload, 60000u);
	f->k.tcp_flags = pk_rand(rng) % 3 ? PK_ACK : PK_ACK | PK_PSH;
	size_t len = pk_build(super, &f->k, stream + f->off, payload, true);
	struct plat_vnet_hdr vnet = {
		.flags = 1,
		.gso_type = f->k.proto == 17 ? 5
			    : f->k.v6	     ? 4
					     : 1,
		.gso_size = f->mss,
		.csum_start = (uint16_t)pk_l3_len(&f->k),
		.csum_offset = f->k.proto == 17 ? 6 : 16,
	};
	CU_ASSERT_EQUAL_FATAL(dp_inner_parse(super, len, &in), TT_DROP_NONE);
	CU_ASSERT_EQUAL_FATAL(dp_segmenter_init(&sg, &vnet, super, &in), TT_DROP_NONE);
	while (sg.left && pending_count < DP_GRO_PACKETS_MAX) {
		struct pending *p = &pending[pending_count++];
		p->flow = flow;
		p->len = dp_segmenter_next(&sg, p->bytes);
		CU_ASSERT(pk_intact(p->bytes, p->len, pk_l3_len(&f->k), f->k.proto));
	}
	f->k.seq += payload;
	f->k.id = (uint16_t)(f->k.id + sg.count);
	f->off = (f->off + payload) % 500000;
}

/* Loses some, swaps some, doubles some. Returns how many arrive. */
static void arrive(struct pk_rng *rng, unsigned disorder)
{
	for (unsigned i = 0; disorder && i + 1 < pending_count; i++)
		if (pk_rand(rng) % disorder == 0) {
			struct pending swap = pending[i];
			pending[i] = pending[i + 1];
			pending[i + 1] = swap;
		}
	for (unsigned i = 0; i < pending_count && sent_count < DP_GRO_PACKETS_MAX; i++) {
		if (disorder && pk_rand(rng) % disorder == 0)
			continue;
		add_raw(pending[i].bytes, pending[i].len, pending[i].flow);
		if (disorder && sent_count < DP_GRO_PACKETS_MAX &&
		    pk_rand(rng) % (4 * disorder) == 0)
			add_raw(pending[i].bytes, pending[i].len, pending[i].flow);
	}
}

/* Spreads the flows' packets over each other without changing the order inside a flow. */
static void interleave(struct pk_rng *rng)
{
	static struct pending mixed[DP_GRO_PACKETS_MAX];
	unsigned next[FLOWS] = {0}, n = 0;
	while (n < pending_count) {
		unsigned f = pk_rand(rng) % FLOWS, burst = 1 + pk_rand(rng) % 8;
		for (unsigned i = next[f]; i < pending_count && burst; i++) {
			next[f] = i + 1;
			if (pending[i].flow != f)
				continue;
			mixed[n++] = pending[i];
			burst--;
		}
	}
	memcpy(pending, mixed, n * sizeof(mixed[0]));
}

static void round_trips(void)
{
	struct pk_rng rng = {15};
	struct flow flows[FLOWS];
	uint32_t packets = 0, outputs = 0;
	for (unsigned round = 0; round < tt_test_rounds(600); round++) {
		unsigned disorder = (const unsigned[]){0, 0, 30, 5, 3}[round % 5];
		for (unsigned i = 0; i < FLOWS; i++)
			flows[i] = make_flow(&rng, i);
		pending_count = 0;
		for (unsigned i = 0; pending_count < DP_GRO_PACKETS_MAX && i < 40; i++) {
			unsigned f = pk_rand(&rng) % FLOWS;
			send_super(&flows[f], f, &rng);
		}
		if (round & 1)
			interleave(&rng);
		begin(ALL_FLAGS);
		arrive(&rng, disorder);
		packets += sent_count;
		outputs += finish();
	}
	CU_ASSERT(outputs * 3 < packets); /* it must merge, not only be right */
}

/* Without loss one flow comes out in the super-packets it went in as. */
static void undisturbed_flow_is_one_write(void)
{
	struct pk_rng rng = {16};
	for (unsigned i = 0; i < 40; i++) {
		struct flow f = make_flow(&rng, i % FLOWS);
		f.mss = (uint16_t)(1000 + pk_rand(&rng) % 400);
		pending_count = 0;
		send_super(&f, 0, &rng);
		begin(ALL_FLAGS);
		arrive(&rng, 0);
		CU_ASSERT_EQUAL(finish(), 1);
	}
}

int main(int argc, char **argv)
{
	static const struct tt_test tests[] = {
		{"full runs", full_runs},
		{"the largest super-packet", largest_super},
		{"only what was granted", only_what_was_granted},
		{"without a vnet header", without_vnet_header},
		{"headroom", headroom},
		{"never merged", never_merged},
		{"nothing overtakes", nothing_overtakes},
		{"a short packet ends a run", short_one_ends_a_run},
		{"a push ends a run", push_ends_a_run},
		{"IPv4 ids", v4_ids},
		{"wrong checksums", wrong_checksums},
		{"UDP without a checksum", udp_without_checksum},
		{"a UDP length that lies", udp_length_that_lies},
		{"IPv4 options", v4_options},
		{"IPv6 extension headers", v6_extension_headers},
		{"a full batch", full_batch},
		{"round trips", round_trips},
		{"an undisturbed flow", undisturbed_flow_is_one_write},
	};
	struct pk_rng rng = {1};
	pk_fill(&rng, stream, sizeof(stream));
	dp_csum_init();
	return tt_test_main("gro", tests, TT_ARRAY_LEN(tests), argc, argv);
}
