/* SPDX-License-Identifier: MIT
 *
 * One data plane on memory ports and a virtual clock, and its peers played by the test: what they
 * send is sealed one message at a time by wg/data, what they receive is opened by it.
 */
#ifndef TT_TEST_PLANE_FIXTURE_H
#define TT_TEST_PLANE_FIXTURE_H

#include <limits.h>

#include "crypto/aead.h"
#include "datapath/plane_state.h"
#include "datapath/port_mem.h"
#include "datapath/worker.h"
#include "packets.h"
#include "tt_test.h"
#include "wg/data.h"

#define FX_PEERS 3
#define FX_MTU	 1420
#define FX_SELF	 1 /* host byte of the plane's own address; peer i has host byte 2 + i */

#define FX_UNUSED __attribute__((unused))

struct fx_peer {
	struct dp_peer *p;
	struct wg_session near, far; /* ours and the peer's half */
	struct tt_endpoint endpoint;
};

struct fx {
	struct dp_plane *pl;
	struct dp_worker *w;
	struct dp_port_mem_outer outer;
	struct dp_port_mem_inner inner;
	struct dp_outer_port *udp; /* what the plane made itself, to be destroyed by it */
	struct dp_inner_port *tun;
	struct fx_peer peer[FX_PEERS];
	struct tt_mono now;
};

FX_UNUSED static void fx_session_pair(struct wg_session *near, struct wg_session *far,
				      tt_peer_id peer, uint32_t seed, struct tt_mono born)
{
	memset(near, 0, sizeof(*near));
	memset(far, 0, sizeof(*far));
	memset(near->send_key.bytes, (int)(seed * 2 + 1), CRYPTO_AEAD_KEY_LEN);
	memset(near->recv_key.bytes, (int)(seed * 2 + 2), CRYPTO_AEAD_KEY_LEN);
	far->send_key = near->recv_key;
	far->recv_key = near->send_key;
	near->local_index = far->remote_index = 0x51000000 + seed;
	near->remote_index = far->local_index = 0x62000000 + seed;
	near->peer = peer;
	near->born = far->born = born;
	near->initiator = true;
}

FX_UNUSED static struct wg_lpm *fx_lpm(const char *const *prefixes, unsigned n)
{
	struct wg_allowedips_entry entries[32];
	struct wg_allowedips_peer peers[32];
	struct wg_allowedips set;
	uint32_t buckets[32];

	wg_allowedips_init(&set, entries, buckets, 32, peers, 32);
	for (unsigned i = 0; i < n; i++) {
		struct tt_cidr c;
		const char *colon = strchr(prefixes[i], ' ');
		char text[TT_CIDR_TEXT_MAX] = {0};

		memcpy(text, prefixes[i], (size_t)(colon - prefixes[i]));
		CU_ASSERT_EQUAL_FATAL(tt_cidr_parse(text, &c), 0);
		wg_allowedips_insert(&set, &c, (tt_peer_id)atoi(colon + 1));
	}
	void *mem = aligned_alloc(64, TT_ALIGN_UP(wg_lpm_size(&set), (size_t)64));

	CU_ASSERT_PTR_NOT_NULL_FATAL(mem);
	return wg_lpm_build(&set, mem);
}

/* Peer 0: 10.9.8.2, peer 1: 10.9.8.3, …; the same with IPv6, as packets.h writes them. */
static const char *const fx_prefixes[] = {
	"10.9.8.2/32 0",
	"10.9.8.3/32 1",
	"10.9.8.4/32 2",
	"2020:2020:2020:2020:2020:2020:2020:2002/128 0",
	"2020:2020:2020:2020:2020:2020:2020:2003/128 1",
	"2020:2020:2020:2020:2020:2020:2020:2004/128 2",
};

FX_UNUSED static void fx_set_path(struct fx *f, unsigned i, uint8_t host)
{
	struct plat_udp_dest dest = {.to = f->peer[i].endpoint};

	dest.to.ip = tt_ip_v4_host(0xc0000200u + host);
	dest.from = tt_ip_v4_host(0xc0000201u);
	f->peer[i].endpoint = dest.to;
	dp_peer_set_path(f->pl, f->peer[i].p, &(struct dp_route){.dest = dest}, NULL);
}

FX_UNUSED static void fx_new_session(struct fx *f, unsigned i, uint32_t seed)
{
	fx_session_pair(&f->peer[i].near, &f->peer[i].far, i, seed, f->now);
	dp_session_publish(f->pl, &f->peer[i].near);
	dp_peer_set_session(f->pl, f->peer[i].p, &f->peer[i].near);
}

FX_UNUSED static void fx_open(struct fx *f, unsigned tun_flags, enum dp_between between)
{
	struct dp_config cfg = {.workers = 1,
				.poll = DP_POLL_INTERRUPT,
				.between = between,
				.tun_flags = tun_flags,
				.mtu = FX_MTU};
	const char *backend;
	struct tt_ip self = tt_ip_v4_host(0x0a090800u + FX_SELF);

	memset(f, 0, sizeof(*f));
	f->now.ns = 1000 * TT_NS_PER_SEC;
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++)
		cfg.tun_fd[i] = cfg.udp4_fd[i] = cfg.udp6_fd[i] = -1;
	CU_ASSERT_EQUAL_FATAL(crypto_aead_select(NULL, &backend), CRYPTO_AEAD_CHOSEN);
	CU_ASSERT_EQUAL_FATAL(dp_plane_create(&cfg, &f->pl), 0);
	CU_ASSERT_EQUAL_FATAL(dp_port_mem_outer_init(&f->outer), 0);
	CU_ASSERT_EQUAL_FATAL(dp_port_mem_inner_init(&f->inner, tun_flags), 0);
	f->w = f->pl->worker[0];
	f->udp = f->w->outer;
	f->tun = f->w->inner;
	f->w->outer = &f->outer.port;
	f->w->inner = &f->inner.port;
	dp_plane_publish_lpm(f->pl, fx_lpm(fx_prefixes, TT_ARRAY_LEN(fx_prefixes)));
	dp_plane_set_inner_addresses(f->pl, &self, 1);
	for (unsigned i = 0; i < FX_PEERS; i++) {
		f->peer[i].p = dp_peer_add(f->pl, i);
		f->peer[i].endpoint.udp_port = (uint16_t)(50000 + i);
		fx_set_path(f, i, (uint8_t)(10 + i));
		fx_new_session(f, i, 10 + i);
	}
}

static void fx_nothing(void *obj, void *ctx)
{
	(void)obj;
	(void)ctx;
}

FX_UNUSED static void fx_close(struct fx *f)
{
	for (unsigned i = 0; i < FX_PEERS; i++)
		dp_session_unpublish(f->pl, &f->peer[i].near, fx_nothing, NULL);
	f->w->outer = f->udp;
	f->w->inner = f->tun;
	dp_plane_destroy(f->pl);
	dp_port_mem_outer_destroy(&f->outer);
	dp_port_mem_inner_destroy(&f->inner);
}

FX_UNUSED static void fx_turn(struct fx *f)
{
	f->w->ready = 1u << DP_SLOT_INNER | 1u << DP_SLOT_LANE0;
	while (f->w->ready) {
		f->w->now = f->now;
		tt_epoch_enter(&f->pl->epoch, 0);
		dp_worker_turn(f->w);
		tt_epoch_leave(&f->pl->epoch, 0);
	}
}

FX_UNUSED static uint64_t fx_drops(struct fx *f, enum tt_drop reason)
{
	struct dp_stats st;

	dp_plane_stats(f->pl, UINT_MAX, &st);
	return st.drops[reason];
}

FX_UNUSED static uint64_t fx_all_drops(struct fx *f)
{
	struct dp_stats st;
	uint64_t sum = 0;

	dp_plane_stats(f->pl, UINT_MAX, &st);
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		sum += st.drops[i];
	return sum;
}

/* --- the outside ------------------------------------------------------------------------------ */

FX_UNUSED static struct dp_mem_message *fx_put(struct fx *f, const struct tt_endpoint *src,
					       const void *bytes, size_t len)
{
	struct dp_mem_message *m = dp_mem_put(&f->outer.in);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memcpy(m->bytes, bytes, len);
	m->len = (uint32_t)len;
	m->origin.src = *src;
	m->origin.dst = tt_ip_v4_host(0xc0000201u);
	return m;
}

/* Peer i seals a packet and sends it. The message, for the test to damage. */
FX_UNUSED static struct dp_mem_message *fx_peer_send(struct fx *f, unsigned i, const void *pkt,
						     size_t len)
{
	struct dp_mem_message *m = fx_put(f, &f->peer[i].endpoint, "", 0);

	CU_ASSERT_NOT_EQUAL_FATAL(wg_data_seal(&f->peer[i].far, f->now, pkt, len, 65535, m->bytes),
				  WG_SESSION_DEAD);
	m->len = (uint32_t)(wg_data_padded_len(len, 65535) + WG_DATA_OVERHEAD);
	return m;
}

/* What peer i received next, opened into out. Length with padding; -1: nothing came. */
FX_UNUSED static int fx_peer_receive(struct fx *f, unsigned i, uint8_t *out)
{
	struct dp_mem_message *m = dp_port_mem_outer_sent(&f->outer);
	struct wg_data_opened opened;

	if (!m)
		return -1;
	CU_ASSERT(tt_endpoint_equal(&m->to, &f->peer[i].endpoint));
	CU_ASSERT_EQUAL(wg_data_open(&f->peer[i].far, f->now, m->bytes, m->len, out, &opened),
			TT_DROP_NONE);
	return (int)opened.len;
}

/* --- the inside ------------------------------------------------------------------------------- */

FX_UNUSED static void fx_inner_put(struct fx *f, const struct plat_vnet_hdr *vnet, const void *pkt,
				   size_t len)
{
	struct dp_mem_message *m = dp_mem_put(&f->inner.in);
	struct plat_vnet_hdr none = {0};
	size_t hdr = f->inner.port.flags & PLAT_TUN_VNET_HDR ? sizeof(none) : 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memcpy(m->bytes, vnet ? vnet : &none, hdr);
	memcpy(m->bytes + hdr, pkt, len);
	m->len = (uint32_t)(hdr + len);
}

/* The next packet written to the inner port; its vnet header to *vnet. Length, or -1. */
FX_UNUSED static int fx_inner_take(struct fx *f, struct plat_vnet_hdr *vnet, uint8_t **pkt)
{
	struct dp_mem_message *m = dp_mem_take(&f->inner.out);
	size_t hdr = f->inner.port.flags & PLAT_TUN_VNET_HDR ? sizeof(*vnet) : 0;

	if (!m)
		return -1;
	*vnet = (struct plat_vnet_hdr){0};
	memcpy(vnet, m->bytes, hdr);
	*pkt = m->bytes + hdr;
	return (int)(m->len - hdr);
}

/* A UDP packet between two hosts of the tunnel; its length. */
FX_UNUSED static size_t fx_udp(uint8_t *out, bool v6, uint8_t src, uint8_t dst, uint16_t sport,
			       size_t payload)
{
	static _Thread_local uint8_t bytes[65535];
	struct pk k = pk_udp(v6);
	struct pk_rng r = {sport + 1u};

	pk_fill(&r, bytes, TT_MIN(payload, sizeof(bytes)));
	k.host_src = src;
	k.host_dst = dst;
	k.sport = sport;
	return pk_build(out, &k, bytes, payload, false);
}

/* New facts of peer i, taken. */
FX_UNUSED static uint32_t fx_take_facts(struct fx *f, unsigned i)
{
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	return dp_peer_take_facts(f->peer[i].p, roam, &sources) & ~(uint32_t)DP_FACT_RUNG;
}

/* The inside sends packets to peer 0 whose source udp_ports are from … to - 1. */
FX_UNUSED static void fx_send_numbered(struct fx *f, unsigned from, unsigned to)
{
	uint8_t numbered[2048];

	for (unsigned i = from; i < to; i++) {
		fx_inner_put(f, NULL, numbered,
			     fx_udp(numbered, false, FX_SELF, 2, (uint16_t)i, 10 + i % 1000));
		fx_turn(f);
	}
}

#endif
