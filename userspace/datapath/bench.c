/* SPDX-License-Identifier: MIT */
#include "datapath/bench.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "datapath/bench_port.h"
#include "datapath/csum.h"
#include "datapath/worker.h"
#include "plat/clock.h"
#include "wg/data.h"

#define NET	    0x0a400000u /* 10.64.0.0/16: the peers, by number */
#define SELF	    0x0a3f0001u
#define SAMPLES_MAX 4096
#define WARM_UP	    4 /* samples that do not count */

enum {
	V4_HDR = 20,
	V4_CHECK = 10,
	V4_SRC = 12,
	V4_SRC_LOW = 14,
	V4_DST = 16,
	UDP = 20,
	UDP_CHECK = UDP + 6,
};

struct bench;

/* One worker with its ports and its share of the sessions. */
struct lane {
	struct bench *b;
	struct dp_worker *w;
	struct dp_outer_port *own_outer; /* what the plane gave it, to be destroyed by it */
	struct dp_inner_port *own_inner;
	struct dp_bench_outer outer;
	struct dp_bench_inner inner;
	uint8_t packet[DP_BENCH_BYTES_MAX]; /* what comes in, from host 0 */
	struct wg_session *session;
	uint64_t *counter; /* next one of each session's far side */
	uint32_t cursor;   /* session of the next packet that comes in */
	unsigned samples;
	uint64_t packets;
	double ns[SAMPLES_MAX], aead_ns[SAMPLES_MAX];
	struct plat_thread thread;
};

struct bench {
	const struct dp_bench_case *c;
	struct dp_plane *pl;
	struct wg_session *sessions; /* of all lanes */
	uint64_t *counters;
	struct lane *lane;
	uint32_t padded; /* plaintext of one message */
	_Atomic unsigned waiting;
};

/* --- packets ---------------------------------------------------------------------------------- */

/* UDP over IPv4 with DF, whole but for the UDP checksum, whose field has the pseudo header's sum.
 */
static void write_packet(uint8_t *pkt, unsigned bytes, uint32_t src, uint32_t dst)
{
	memset(pkt, 0, bytes);
	for (unsigned i = V4_HDR + 8; i < bytes; i++)
		pkt[i] = (uint8_t)(i * 7);
	pkt[0] = 0x45;
	tt_store_be16(pkt + 2, (uint16_t)bytes);
	tt_store_be16(pkt + 6, 0x4000);
	pkt[8] = 64;
	pkt[9] = DP_PROTO_UDP;
	tt_store_be32(pkt + V4_SRC, src);
	tt_store_be32(pkt + V4_DST, dst);
	tt_store_be16(pkt + UDP, 5001);
	tt_store_be16(pkt + UDP + 2, 5001);
	tt_store_be16(pkt + UDP + 4, (uint16_t)(bytes - V4_HDR));
	uint16_t check = dp_csum_fold(dp_csum_partial(pkt, V4_HDR, 0));
	memcpy(pkt + V4_CHECK, &check, sizeof(check));
	check = dp_csum_fold_plain(dp_csum_pseudo_v4(pkt + V4_SRC, pkt + V4_DST, DP_PROTO_UDP,
						     (uint16_t)(bytes - V4_HDR)));
	memcpy(pkt + UDP_CHECK, &check, sizeof(check));
}

static void make_packets(struct lane *l, const struct dp_bench_case *c)
{
	write_packet(l->inner.pkt, c->bytes, SELF, NET);
	l->inner.vnet = (struct plat_vnet_hdr){
		.flags = PLAT_VNET_F_NEEDS_CSUM, .csum_start = UDP, .csum_offset = UDP_CHECK - UDP};
	write_packet(l->packet, c->bytes, NET, SELF);
	uint16_t check = dp_csum_fold(dp_csum_partial(l->packet + UDP, c->bytes - UDP, 0));
	memcpy(l->packet + UDP_CHECK, &check, sizeof(check));
}

/* --- the far side ----------------------------------------------------------------------------- */

/* Host 0 of the net has a low half of zero, which adds nothing to either checksum. */
static void set_source(uint8_t *pkt, uint16_t host)
{
	uint16_t word;

	tt_store_be16(pkt + V4_SRC_LOW, host);
	memcpy(&word, pkt + V4_SRC_LOW, sizeof(word));
	dp_csum_patch(pkt + V4_CHECK, 0, word);
	dp_csum_patch(pkt + UDP_CHECK, 0, word);
}

static struct crypto_aead_job frame_job(const struct lane *l, uint8_t *frame, uint64_t counter)
{
	uint8_t *plain = frame + WG_DATA_HEADER;

	return (struct crypto_aead_job){plain, plain, counter, l->b->padded};
}

/* Seals DP_BENCH_FRAMES messages of the first n sessions in turn into the frames that come in. */
static void prepare_inbound(struct lane *l, uint32_t n)
{
	const struct dp_bench_case *c = l->b->c;

	for (uint32_t i = 0; i < DP_BENCH_FRAMES; i++) {
		uint32_t which = l->cursor++ % n;
		struct wg_session *s = &l->session[which];
		uint8_t *frame = dp_bench_rx_frame(&l->outer, i);
		struct crypto_aead_job job = frame_job(l, frame, l->counter[which]++);

		wg_data_header_write(frame, s->local_index, job.counter);
		memcpy(job.dst, l->packet, c->bytes);
		memset(job.dst + c->bytes, 0, job.len - c->bytes);
		set_source(job.dst, (uint16_t)s->peer);
		crypto_aead_seal_burst(l->w->aead, &s->recv_key, &job, 1);
		l->outer.origin[i].src.udp_port = (uint16_t)s->peer;
	}
	l->outer.rx_next = 0;
	l->outer.rx_end = DP_BENCH_FRAMES;
}

/* --- samples ---------------------------------------------------------------------------------- */

static double per_frame(struct tt_mono start)
{
	return (double)tt_mono_since(plat_clock_mono(), start) / DP_BENCH_FRAMES;
}

/* Bursts of one session over the frames; -1 where a tag is wrong. */
static double sample_aead(struct lane *l)
{
	struct crypto_aead_job job[DP_BENCH_FRAMES];
	bool in = l->b->c->inbound;
	unsigned batch = l->b->c->batch, opened = 0;

	if (in)
		prepare_inbound(l, 1);
	for (uint32_t i = 0; i < DP_BENCH_FRAMES; i++) {
		uint8_t *frame = dp_bench_tx_frame(&l->outer, i % batch);

		if (in)
			frame = dp_bench_rx_frame(&l->outer, i);
		job[i] = frame_job(l, frame, in ? tt_load_le64(frame + 8) : i);
	}
	struct tt_mono start = plat_clock_mono();

	for (uint32_t i = 0; i < DP_BENCH_FRAMES; i += batch) {
		unsigned n = TT_MIN(batch, DP_BENCH_FRAMES - i);

		if (in)
			opened += (unsigned)__builtin_popcountll(crypto_aead_open_burst(
				l->w->aead, &l->session->recv_key, job + i, n));
		else
			crypto_aead_seal_burst(l->w->aead, &l->session->send_key, job + i, n);
	}
	double ns = per_frame(start);

	return !in || opened == DP_BENCH_FRAMES ? ns : -1;
}

/* As dp_worker_run() has it, without the wait. */
static void turn(struct lane *l, unsigned packets)
{
	struct dp_plane *pl = l->b->pl;

	l->outer.budget = l->inner.budget = 0;
	*(l->b->c->inbound ? &l->outer.budget : &l->inner.budget) = packets;
	l->w->ready = 1u << (l->b->c->inbound ? DP_SLOT_LANE0 : DP_SLOT_INNER);
	l->w->now = plat_clock_mono();
	tt_epoch_enter(&pl->epoch, l->w->id);
	dp_worker_turn(l->w);
	tt_epoch_leave(&pl->epoch, l->w->id);
}

static double sample_pipeline(struct lane *l)
{
	unsigned batch = l->b->c->batch;

	if (l->b->c->inbound)
		prepare_inbound(l, l->b->c->sessions);
	struct tt_mono start = plat_clock_mono();

	for (uint32_t i = 0; i < DP_BENCH_FRAMES; i += batch)
		turn(l, TT_MIN(batch, DP_BENCH_FRAMES - i));
	double ns = per_frame(start);

	l->packets += DP_BENCH_FRAMES;
	return ns;
}

static void lane_run(void *arg)
{
	struct lane *l = arg;
	struct bench *b = l->b;

	if (b->c->workers > 1)
		plat_thread_pin(l->w->id);
	atomic_fetch_sub(&b->waiting, 1);
	while (atomic_load(&b->waiting))
		plat_thread_yield();
	struct tt_mono start = plat_clock_mono();

	for (unsigned i = 0; l->samples < SAMPLES_MAX; i++) {
		double aead_ns = sample_aead(l), ns = sample_pipeline(l);

		if (aead_ns < 0)
			return;
		if (i < WARM_UP)
			continue;
		l->aead_ns[l->samples] = aead_ns;
		l->ns[l->samples++] = ns;
		if (tt_mono_since(plat_clock_mono(), start) >= b->c->duration_ns)
			return;
	}
}

/* --- making and ending ------------------------------------------------------------------------ */

static struct wg_lpm *make_lpm(unsigned peers)
{
	struct wg_allowedips_entry *entry = calloc(peers, sizeof(*entry));
	struct wg_allowedips_peer *peer = calloc(peers, sizeof(*peer));
	uint32_t *bucket = calloc(peers, sizeof(*bucket));
	struct wg_lpm *lpm = NULL;
	struct wg_allowedips set;

	if (entry && peer && bucket) {
		wg_allowedips_init(&set, entry, bucket, peers, peer, peers);
		for (unsigned i = 0; i < peers; i++) {
			struct tt_cidr host = {.ip = tt_ip_v4_host(NET + i), .bits = 32};

			wg_allowedips_insert(&set, &host, i);
		}
		void *mem = aligned_alloc(64, TT_ALIGN_UP(wg_lpm_size(&set), (size_t)64));

		if (mem)
			lpm = wg_lpm_build(&set, mem);
	}
	free(entry);
	free(peer);
	free(bucket);
	return lpm;
}

static int add_peer(struct bench *b, unsigned id, struct tt_mono now)
{
	struct wg_session *s = &b->sessions[id];
	struct plat_udp_dest dest = {.to = {.ip = tt_ip_v4_host(0xc0000202u),
					    .udp_port = (uint16_t)id},
				     .from = tt_ip_v4_host(0xc0000201u)};
	struct dp_peer *p = dp_peer_add(b->pl, id);

	if (!p)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	memset(s->send_key.bytes, (int)(id * 2 + 1), CRYPTO_AEAD_KEY_LEN);
	memset(s->recv_key.bytes, (int)(id * 2 + 2), CRYPTO_AEAD_KEY_LEN);
	/* scattered over the table, as slots drawn at random are; an odd factor keeps them apart */
	s->local_index = id * 0x9e3779b1u;
	s->remote_index = id;
	s->peer = id;
	s->born = now;
	dp_peer_set_path(b->pl, p, &(struct dp_route){.dest = dest}, NULL);
	dp_session_publish(b->pl, s);
	dp_peer_set_session(b->pl, p, s);
	return 0;
}

static int lane_init(struct bench *b, unsigned id)
{
	struct lane *l = &b->lane[id];
	uint32_t first = id * b->c->sessions;
	int err;

	l->b = b;
	l->w = b->pl->worker[id];
	l->session = b->sessions + first;
	l->counter = b->counters + first;
	err = dp_bench_outer_init(&l->outer, b->padded + WG_DATA_OVERHEAD);
	if (!err)
		err = dp_bench_inner_init(&l->inner, b->c->bytes);
	if (err)
		return err;
	for (unsigned i = 0; i < DP_BENCH_FRAMES; i++) {
		l->outer.origin[i].src.ip = tt_ip_v4_host(0xc0000202u);
		l->outer.origin[i].dst = tt_ip_v4_host(0xc0000201u);
	}
	l->inner.sessions = b->c->sessions;
	l->inner.first_host = first;
	make_packets(l, b->c);
	l->own_outer = l->w->outer;
	l->own_inner = l->w->inner;
	l->w->outer = &l->outer.port;
	l->w->inner = &l->inner.port;
	dp_gro_init(&l->w->gro, l->inner.port.flags);
	return 0;
}

static void lane_destroy(struct lane *l)
{
	dp_bench_outer_destroy(&l->outer);
	dp_bench_inner_destroy(&l->inner);
	if (!l->own_outer)
		return;
	l->w->outer = l->own_outer;
	l->w->inner = l->own_inner;
}

static void nothing(void *obj, void *ctx)
{
	(void)obj;
	(void)ctx;
}

static void bench_close(struct bench *b)
{
	unsigned peers = b->c->workers * b->c->sessions;

	for (unsigned i = 0; b->lane && i < b->c->workers; i++)
		lane_destroy(&b->lane[i]);
	for (unsigned i = 0; b->pl && b->sessions && i < peers; i++)
		if (dp_plane_peer(b->pl, i))
			dp_session_unpublish(b->pl, &b->sessions[i], nothing, NULL);
	dp_plane_destroy(b->pl);
	free(b->sessions);
	free(b->counters);
	free(b->lane);
}

static int bench_open(struct bench *b)
{
	const struct dp_bench_case *c = b->c;
	unsigned peers = c->workers * c->sessions;
	struct tt_mono now = plat_clock_mono();
	struct tt_ip self = tt_ip_v4_host(SELF);
	struct dp_config cfg = {.workers = c->workers,
				.poll = DP_POLL_INTERRUPT,
				.between = DP_BETWEEN_DENY,
				.mtu = TT_MAX(c->bytes, 1420u)};

	for (unsigned i = 0; i < DP_WORKERS_MAX; i++)
		cfg.tun_fd[i] = cfg.udp4_fd[i] = cfg.udp6_fd[i] = -1;
	b->padded = TT_MIN(TT_ALIGN_UP(c->bytes, (uint32_t)WG_PADDING), cfg.mtu);
	b->sessions = aligned_alloc(TT_CACHELINE, peers * sizeof(*b->sessions));
	b->counters = calloc(peers, sizeof(*b->counters));
	b->lane = calloc(c->workers, sizeof(*b->lane));
	if (!b->sessions || !b->counters || !b->lane)
		return -ENOMEM;
	int err = dp_plane_create(&cfg, &b->pl);
	struct wg_lpm *lpm = err ? NULL : make_lpm(peers);

	if (!lpm)
		return err ? err : -ENOMEM;
	dp_plane_publish_lpm(b->pl, lpm);
	dp_plane_set_inner_addresses(b->pl, &self, 1);
	for (unsigned i = 0; i < peers && !err; i++)
		err = add_peer(b, i, now);
	for (unsigned i = 0; i < c->workers && !err; i++)
		err = lane_init(b, i);
	return err;
}

/* --- running ---------------------------------------------------------------------------------- */

static int run_lanes(struct bench *b)
{
	unsigned started = 0;
	int err = 0;

	atomic_store(&b->waiting, b->c->workers);
	for (; started < b->c->workers && !err; started += !err)
		err = plat_thread_start(&b->lane[started].thread, "bench", lane_run,
					&b->lane[started]);
	if (err) /* nobody waits for those that will not come */
		atomic_fetch_sub(&b->waiting, b->c->workers - started);
	for (unsigned i = 0; i < started; i++)
		plat_thread_join(&b->lane[i].thread);
	return err;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What disturbed a sample, mostly another process, does not count. */
static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static int collect(struct bench *b, struct dp_bench_result *out)
{
	struct dp_stats st;
	uint64_t arrived, dropped = 0;

	*out = (struct dp_bench_result){0};
	for (unsigned i = 0; i < b->c->workers; i++) {
		struct lane *l = &b->lane[i];

		if (!l->samples)
			return -EIO;
		double ns = median(l->ns, l->samples);

		out->ns += ns / b->c->workers;
		out->aead_ns += median(l->aead_ns, l->samples) / b->c->workers;
		out->mpps += 1e3 / ns;
		out->packets += l->packets;
	}
	dp_plane_stats(b->pl, UINT_MAX, &st);
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		dropped += st.drops[i];
	arrived = b->c->inbound ? st.tun_tx_packets : st.tx_packets;
	return dropped || arrived != out->packets ? -EIO : 0;
}

int dp_bench_run(const struct dp_bench_case *c, struct dp_bench_result *out)
{
	struct bench b = {.c = c};
	int err;

	if (c->bytes < DP_BENCH_BYTES_MIN || c->bytes > DP_BENCH_BYTES_MAX || c->batch < 1 ||
	    c->batch > DP_BENCH_BATCH_MAX || c->sessions < 1 ||
	    c->sessions > DP_BENCH_SESSIONS_MAX || c->workers < 1 || c->workers > DP_WORKERS_MAX)
		return -EINVAL;
	err = bench_open(&b);
	if (!err)
		err = run_lanes(&b);
	if (!err)
		err = collect(&b, out);
	bench_close(&b);
	return err;
}
