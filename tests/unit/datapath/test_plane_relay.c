/* SPDX-License-Identifier: MIT
 *
 * Messages by way of a relay, and what control hears of where they come from; on memory ports and a
 * virtual clock.
 */
#include <errno.h>
#include <poll.h>

#include "plane_fixture.h"
#include "wg/cookie.h"

#define ALL_TUN (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)
#define TAG	0xa1b2c3d4u
#define NODE	77u

static struct fx f;
static uint8_t pkt[66000], got[66000];
static struct plat_vnet_hdr vnet;
static uint8_t *in;

static struct tt_endpoint relay_endpoint(uint8_t host)
{
	return (struct tt_endpoint){.ip = tt_ip_v4_host(0xcb007100u + host), .udp_port = 3478};
}

/* The plane's own address, where fx_put() says all datagrams arrive. */
static struct tt_ip here(void)
{
	return tt_ip_v4_host(0xc0000201u);
}

static void by_relay(unsigned peer, enum dp_via via, bool managed)
{
	struct dp_route route = {.via = via,
				 .dest = {.to = relay_endpoint(1), .from = here()},
				 .tag = via == DP_VIA_RELAY_UDP ? TAG : NODE,
				 .managed = managed};

	dp_peer_set_path(f.pl, f.peer[peer].p, &route, NULL);
}

static void use_relay(void)
{
	struct tt_endpoint relays[] = {relay_endpoint(9), relay_endpoint(1)};

	CU_ASSERT_EQUAL(dp_plane_set_relays(f.pl, relays, 2), 0);
}

/* Peer i seals a packet into out; the message's length. */
static uint32_t seal(unsigned i, const void *p, size_t len, uint8_t *out)
{
	CU_ASSERT_NOT_EQUAL_FATAL(wg_data_seal(&f.peer[i].far, f.now, p, len, 65535, out),
				  WG_SESSION_DEAD);
	return (uint32_t)(wg_data_padded_len(len, 65535) + WG_DATA_OVERHEAD);
}

static int open_message(unsigned i, const uint8_t *message, uint32_t len)
{
	struct wg_data_opened opened;

	if (wg_data_open(&f.peer[i].far, f.now, message, len, got, &opened) != TT_DROP_NONE)
		return -1;
	return (int)opened.len;
}

/* --- over UDP --------------------------------------------------------------------------------- */

static void check_header(const struct dp_mem_message *m)
{
	const struct tt_endpoint relay = relay_endpoint(1);

	CU_ASSERT(tt_endpoint_equal(&m->to, &relay));
	CU_ASSERT_EQUAL(tt_load_be32(m->bytes), 0xa7000000);
	CU_ASSERT_EQUAL(tt_load_be32(m->bytes + 4), TAG);
}

static void udp_out(void)
{
	static uint8_t bytes[30000];
	struct pk k = pk_tcp(false);
	struct dp_mem_message *m;
	size_t off = 0, messages = 0;

	fx_open(&f, ALL_TUN, DP_BETWEEN_KERNEL);
	by_relay(0, DP_VIA_RELAY_UDP, false);
	k.host_src = FX_SELF;
	memset(bytes, 0x5a, sizeof(bytes));
	vnet = (struct plat_vnet_hdr){
		PLAT_VNET_F_NEEDS_CSUM, PLAT_VNET_GSO_TCPV4, 40, 1300, 20, 16};
	fx_inner_put(&f, &vnet, pkt, pk_build(pkt, &k, bytes, sizeof(bytes), true));
	fx_turn(&f);
	while ((m = dp_port_mem_outer_sent(&f.outer)) != NULL) {
		struct dp_inner parsed;

		check_header(m);
		int n = open_message(0, m->bytes + DP_RELAY_HEADER, m->len - DP_RELAY_HEADER);

		CU_ASSERT_FATAL(n > 0);
		CU_ASSERT_EQUAL(dp_inner_parse(got, (size_t)n, &parsed), TT_DROP_NONE);
		CU_ASSERT(pk_intact(got, parsed.total_len, 20, DP_PROTO_TCP));
		off += parsed.total_len - 40;
		messages += m->len - DP_RELAY_HEADER;
	}
	CU_ASSERT_EQUAL(off, sizeof(bytes));
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	/* messages count, not what is in front of them */
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->tx_bytes), messages);
	fx_close(&f);
}

/* A message behind a relay header; its length. */
static uint32_t relayed(unsigned i, const void *p, size_t len, uint8_t *out)
{
	tt_store_be32(out, 0xa7000000);
	tt_store_be32(out + 4, TAG);
	return DP_RELAY_HEADER + seal(i, p, len, out + DP_RELAY_HEADER);
}

static void udp_in(void)
{
	static uint8_t wire[2048];
	struct tt_endpoint relay = relay_endpoint(1);
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 5, 400);
	uint32_t n = relayed(0, pkt, len, wire);

	/* before a relay is known, and from another one */
	fx_put(&f, &relay, wire, n);
	use_relay();
	fx_turn(&f);
	CU_ASSERT_EQUAL_FATAL(fx_inner_take(&f, &vnet, &in), (int)len);
	CU_ASSERT_EQUAL(memcmp(in, pkt, len), 0);
	CU_ASSERT(dp_peer_take_facts(f.peer[0].p, roam, &sources) & DP_FACT_ROAMED);
	CU_ASSERT_EQUAL_FATAL(sources, 1);
	CU_ASSERT_EQUAL(roam[0].via, DP_VIA_RELAY_UDP);
	CU_ASSERT_EQUAL(roam[0].tag, TAG);
	CU_ASSERT(tt_endpoint_equal(&roam[0].src, &relay));
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->rx_bytes), n - DP_RELAY_HEADER);
	relay.udp_port++;
	n = relayed(0, pkt, len, wire);
	fx_put(&f, &relay, wire, n);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_RELAY_SOURCE), 1);
	CU_ASSERT_EQUAL(dp_plane_set_relays(f.pl, NULL, 0), 0);
	relay.udp_port--;
	fx_put(&f, &relay, wire, n);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_RELAY_SOURCE), 2);
	CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), -1);
	struct tt_endpoint many[DP_RELAYS_MAX + 1] = {{{0}, 0, 0}};

	CU_ASSERT_EQUAL(dp_plane_set_relays(f.pl, many, DP_RELAYS_MAX + 1), -E2BIG);
	fx_close(&f);
}

/* What is behind the header is looked at like any other datagram, but is no relay's again. */
static void udp_odd(void)
{
	const struct tt_endpoint relay = relay_endpoint(1);
	uint8_t wire[256] = {0xa7};

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	use_relay();
	for (size_t len = 0; len <= 8 + 3; len++) /* short */
		fx_put(&f, &relay, wire, len);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_TOO_SHORT), 4 + 4);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_BAD_TYPE), 4);
	wire[8] = WG_MSG_DATA;
	fx_put(&f, &relay, wire, 8 + 31);
	fx_put(&f, &relay, wire, 8 + 32);
	wire[8] = 0xa7;
	fx_put(&f, &relay, wire, 100); /* one in the other */
	wire[9] = 5;
	fx_put(&f, &relay, wire, 100); /* control's, in data */
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_TOO_SHORT), 9);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_DATA_UNKNOWN_INDEX), 1);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_BAD_TYPE), 6);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_RELAY_SOURCE), 0);
	fx_close(&f);
}

/* An initiation that mac1 approves of. */
static void initiation(uint8_t m[148])
{
	struct wg_cookie cookie = {0};

	wg_cookie_keys_init(&cookie.keys, (const uint8_t[32]){9});
	dp_plane_set_mac1_key(f.pl, cookie.keys.mac1);
	memset(m, 0, 148);
	m[0] = WG_MSG_INITIATION;
	wg_cookie_stamp(&cookie, m, 148, f.now);
}

static void handshakes(void)
{
	const struct tt_endpoint relay = relay_endpoint(1);
	uint8_t wire[156] = {0xa7, 0, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4};
	struct dp_handshake h[4];

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	use_relay();
	initiation(wire + 8);
	fx_put(&f, &relay, wire, sizeof(wire));
	fx_put(&f, &relay, wire + 8, 148);
	fx_turn(&f);
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire + 8, 148), TT_DROP_NONE);
	CU_ASSERT_EQUAL_FATAL(dp_handshake_pop(f.pl, h, 4), 3);
	CU_ASSERT(h[0].via == DP_VIA_RELAY_UDP && h[0].tag == TAG);
	CU_ASSERT(tt_endpoint_equal(&h[0].src, &relay));
	CU_ASSERT_EQUAL(memcmp(h[0].bytes, wire + 8, 148), 0);
	CU_ASSERT(h[1].via == DP_VIA_UDP && h[1].tag == 0);
	CU_ASSERT(h[2].via == DP_VIA_RELAY_TCP && h[2].tag == NODE);
	CU_ASSERT_FALSE(tt_endpoint_is_set(&h[2].src));
	/* on control's own socket */
	const struct tt_ip dst = here();

	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &relay, &dst, 3, wire, sizeof(wire)), TT_DROP_NONE);
	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &relay, &dst, 3, wire + 8, 148), TT_DROP_NONE);
	CU_ASSERT_EQUAL_FATAL(dp_handshake_pop(f.pl, h, 4), 2);
	CU_ASSERT(h[0].via == DP_VIA_RELAY_UDP && h[0].tag == TAG && h[0].ifindex == 3);
	CU_ASSERT(tt_ip_equal(&h[0].dst, &dst) && tt_endpoint_equal(&h[0].src, &relay));
	CU_ASSERT_EQUAL(memcmp(h[0].bytes, wire + 8, 148), 0);
	CU_ASSERT(h[1].via == DP_VIA_UDP && h[1].tag == 0);
	wire[20] ^= 1;
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire + 8, 148), TT_DROP_HS_BAD_MAC1);
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire + 8, 149), TT_DROP_HS_BAD_LENGTH);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

/* --- through the connection to the hub -------------------------------------------------------- */

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void tcp_out(void)
{
	struct dp_relay_message m[8];
	unsigned total = 0, n;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	by_relay(0, DP_VIA_RELAY_TCP, false);
	CU_ASSERT_FALSE(readable(dp_plane_relay_fd(f.pl)));
	fx_send_numbered(&f, 100, 120);
	CU_ASSERT(readable(dp_plane_relay_fd(f.pl)));
	CU_ASSERT_EQUAL(f.outer.out.count, 0);
	while ((n = dp_plane_relay_pop(f.pl, m, 8)) > 0)
		for (unsigned i = 0; i < n; i++, total++) {
			CU_ASSERT_EQUAL(m[i].node_id, NODE);
			CU_ASSERT(open_message(0, m[i].bytes, m[i].len) > 0);
			CU_ASSERT_EQUAL(tt_load_be16(got + 20), 100 + total);
		}
	CU_ASSERT_EQUAL(total, 20);
	CU_ASSERT_FALSE(readable(dp_plane_relay_fd(f.pl)));
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->tx_packets), 20);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

/* Control takes nothing: what is in the queue stays, what comes is dropped. Nothing is lost later.
 */
static void tcp_out_overflow(void)
{
	struct dp_relay_message m[100];
	unsigned total = 0, n;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	by_relay(0, DP_VIA_RELAY_TCP, false);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t before = fx_drops(&f, TT_DROP_TX_RELAY_FULL);

		fx_send_numbered(&f, 0, DP_RELAY_FRAMES + 30);
		CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_RELAY_FULL), before + 30);
		CU_ASSERT(readable(dp_plane_relay_fd(f.pl)));
		for (total = 0; (n = dp_plane_relay_pop(f.pl, m, 100)) > 0; total += n)
			for (unsigned i = 0; i < n; i++) {
				CU_ASSERT(open_message(0, m[i].bytes, m[i].len) > 0);
				CU_ASSERT_EQUAL(tt_load_be16(got + 20), total + i);
			}
		CU_ASSERT_EQUAL(total, DP_RELAY_FRAMES);
	}
	/* the frames of the last pop are control's until the next one */
	fx_send_numbered(&f, 0, DP_RELAY_FRAMES);
	CU_ASSERT_EQUAL(dp_plane_relay_pop(f.pl, m, 10), 10);
	fx_send_numbered(&f, 0, 5);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_RELAY_FULL), 3 * 30 + 5);
	CU_ASSERT_EQUAL(dp_plane_relay_pop(f.pl, m, 10), 10);
	fx_send_numbered(&f, 0, 12);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_RELAY_FULL), 3 * 30 + 7);
	fx_close(&f);
}

static void tcp_in(void)
{
	static uint8_t wire[DP_RELAY_MESSAGE_MAX + 64];
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 5, 400);

	for (unsigned i = 0; i < DP_RELAY_FRAMES + 3; i++) {
		uint32_t n = seal(0, pkt, len, wire);

		CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire, n),
				i < DP_RELAY_FRAMES ? TT_DROP_NONE : TT_DROP_RX_RELAY_FULL);
	}
	for (unsigned taken = 0; taken < DP_RELAY_FRAMES;) {
		fx_turn(&f);
		while (fx_inner_take(&f, &vnet, &in) == (int)len) {
			CU_ASSERT_EQUAL(memcmp(in, pkt, len), 0);
			taken++;
		}
		if (fx_all_drops(&f)) /* the memory port takes so many at a time */
			break;
	}
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->rx_packets), DP_RELAY_FRAMES);
	CU_ASSERT(dp_peer_take_facts(f.peer[0].p, roam, &sources) & DP_FACT_ROAMED);
	CU_ASSERT_EQUAL_FATAL(sources, 1);
	CU_ASSERT(roam[0].via == DP_VIA_RELAY_TCP && roam[0].tag == NODE);
	/* there is room again */
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire, seal(0, pkt, len, wire)),
			TT_DROP_NONE);
	fx_turn(&f);
	CU_ASSERT_EQUAL(atomic_load(&f.peer[0].p->rx_packets), DP_RELAY_FRAMES + 1);
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire, 31), TT_DROP_RX_TOO_SHORT);
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire, DP_RELAY_MESSAGE_MAX + 1),
			TT_DROP_RX_TRUNCATED);
	wire[1] = 1;
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire, 64), TT_DROP_RX_BAD_TYPE);
	fx_close(&f);
}

/* Data that the kernel has coalesced with a handshake: a worker gets it all the same. */
static void from_controls_socket(void)
{
	static uint8_t wire[DP_RELAY_MESSAGE_MAX + 64];
	struct tt_endpoint relay = relay_endpoint(1), other = relay_endpoint(2);
	const struct tt_ip dst = here();
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	use_relay();
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 5, 0);
	uint32_t n = relayed(0, pkt, len, wire);

	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &other, &dst, 3, wire, n), TT_DROP_RX_RELAY_SOURCE);
	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &relay, &dst, 3, wire, n), TT_DROP_NONE);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), (int)len);
	dp_peer_take_facts(f.peer[0].p, roam, &sources);
	CU_ASSERT(sources == 1 && roam[0].via == DP_VIA_RELAY_UDP && roam[0].tag == TAG);
	n = seal(0, pkt, len, wire);
	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &other, &dst, 3, wire, n), TT_DROP_NONE);
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_inner_take(&f, &vnet, &in), (int)len);
	dp_peer_take_facts(f.peer[0].p, roam, &sources);
	CU_ASSERT(sources == 1 && roam[0].via == DP_VIA_UDP && roam[0].ifindex == 3);
	CU_ASSERT(tt_endpoint_equal(&roam[0].src, &other));
	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &other, &dst, 3, wire, 0), TT_DROP_RX_TOO_SHORT);
	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &other, &dst, 3, wire, 31), TT_DROP_RX_TOO_SHORT);
	wire[0] = 0xa7;
	wire[1] = 1;
	CU_ASSERT_EQUAL(dp_plane_udp_push(f.pl, &relay, &dst, 3, wire, 60), TT_DROP_RX_BAD_TYPE);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

/* The longest message there is, and none that is longer: the sender is told. */
static void tcp_longest(void)
{
	struct dp_relay_message m;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	dp_plane_set_mtu(f.pl, 9000);
	by_relay(0, DP_VIA_RELAY_TCP, false);
	size_t max = DP_RELAY_MESSAGE_MAX - WG_DATA_OVERHEAD;

	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, max - 28));
	fx_turn(&f);
	CU_ASSERT_EQUAL_FATAL(dp_plane_relay_pop(f.pl, &m, 1), 1);
	CU_ASSERT_EQUAL(m.len, DP_RELAY_MESSAGE_MAX);
	CU_ASSERT_EQUAL(open_message(0, m.bytes, m.len), (int)max);
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, max - 27));
	fx_turn(&f);
	CU_ASSERT_EQUAL(dp_plane_relay_pop(f.pl, &m, 1), 0);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_TX_TOO_BIG), 1);
	CU_ASSERT(fx_inner_take(&f, &vnet, &in) > 0);
	CU_ASSERT_EQUAL(tt_load_be16(in + 26), max);
	fx_close(&f);
}

/* One turn, three peers, three ways: each message goes its own, also in the middle of a burst. */
static void ways_mixed(void)
{
	struct dp_relay_message m[64];
	struct dp_mem_message *sent;
	unsigned plain = 0, headed = 0;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	by_relay(1, DP_VIA_RELAY_UDP, false);
	by_relay(2, DP_VIA_RELAY_TCP, false);
	for (unsigned i = 0; i < 60; i++)
		fx_inner_put(&f, NULL, pkt,
			     fx_udp(pkt, false, FX_SELF, (uint8_t)(2 + i % 3), 1, 100 + i));
	fx_turn(&f);
	while ((sent = dp_port_mem_outer_sent(&f.outer)) != NULL) {
		bool header = sent->bytes[0] == 0xa7;
		uint32_t off = header ? DP_RELAY_HEADER : 0;

		CU_ASSERT(open_message(header, sent->bytes + off, sent->len - off) > 0);
		headed += header;
		plain += !header;
	}
	CU_ASSERT_EQUAL(plain, 20);
	CU_ASSERT_EQUAL(headed, 20);
	CU_ASSERT_EQUAL(dp_plane_relay_pop(f.pl, m, 64), 20);
	for (unsigned i = 0; i < 20; i++)
		CU_ASSERT(open_message(2, m[i].bytes, m[i].len) > 0);
	CU_ASSERT_EQUAL(fx_all_drops(&f), 0);
	fx_close(&f);
}

/* --- where a managed peer is ------------------------------------------------------------------ */

static unsigned sources_now(unsigned peer, struct dp_roam roam[DP_ROAMS])
{
	unsigned n;

	dp_peer_take_facts(f.peer[peer].p, roam, &n);
	return n;
}

/* Peer 0 sends from this endpoint. */
static void send_from(const struct tt_endpoint *from)
{
	struct tt_endpoint was = f.peer[0].endpoint;

	f.peer[0].endpoint = *from;
	fx_peer_send(&f, 0, pkt, fx_udp(pkt, false, 2, FX_SELF, 5, 40));
	f.peer[0].endpoint = was;
	fx_turn(&f);
}

static void managed(void)
{
	struct tt_endpoint home, away = relay_endpoint(50);
	struct dp_roam roam[DP_ROAMS];

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	home = f.peer[0].endpoint;
	struct dp_route route = {.dest = {.to = home, .from = here()}, .managed = true};

	dp_peer_set_path(f.pl, f.peer[0].p, &route, NULL);
	send_from(&home); /* the path lives */
	CU_ASSERT_EQUAL(sources_now(0, roam), 1);
	CU_ASSERT(tt_endpoint_equal(&roam[0].src, &home));
	CU_ASSERT_EQUAL(roam[0].at.ns, f.now.ns);
	send_from(&home);
	CU_ASSERT_EQUAL(sources_now(0, roam), 0); /* not told again so soon */
	send_from(&away);
	CU_ASSERT_EQUAL(sources_now(0, roam), 1); /* another source: at once */
	CU_ASSERT(tt_endpoint_equal(&roam[0].src, &away));
	for (unsigned i = 0; i < 10; i++) { /* in turns: nothing new */
		send_from(i & 1 ? &home : &away);
		CU_ASSERT_EQUAL(sources_now(0, roam), 0);
	}
	f.now.ns += DP_ROAM_EVERY_NS;
	send_from(&home);
	send_from(&away);
	CU_ASSERT_EQUAL(sources_now(0, roam), 2);
	CU_ASSERT_EQUAL(roam[0].at.ns, f.now.ns);
	CU_ASSERT_EQUAL(roam[1].at.ns, f.now.ns);
	/* and the path is where it was */
	fx_inner_put(&f, NULL, pkt, fx_udp(pkt, false, FX_SELF, 2, 1, 100));
	fx_turn(&f);
	CU_ASSERT(fx_peer_receive(&f, 0, got) > 0);
	/* a path that is set anew begins to live anew */
	dp_peer_set_path(f.pl, f.peer[0].p, &route, NULL);
	send_from(&home);
	CU_ASSERT_EQUAL(sources_now(0, roam), 1);
	fx_close(&f);
}

/* Ever new sources cost no more than their share. */
static void managed_flood(void)
{
	struct dp_roam roam[DP_ROAMS];
	unsigned told = 0;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	by_relay(0, DP_VIA_RELAY_TCP, true);
	for (unsigned i = 0; i < 1000; i++) {
		struct tt_endpoint from = relay_endpoint((uint8_t)i);

		send_from(&from);
		told += sources_now(0, roam);
		f.now.ns += TT_NS_PER_MS;
	}
	CU_ASSERT(told >= DP_ROAMS && told <= 11 * DP_ROAMS);
	fx_close(&f);
}

static void managed_by_relay(void)
{
	static uint8_t wire[2048];
	struct dp_roam roam[DP_ROAMS];
	struct tt_endpoint relay = relay_endpoint(1);

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	use_relay();
	by_relay(0, DP_VIA_RELAY_UDP, true);
	size_t len = fx_udp(pkt, false, 2, FX_SELF, 5, 40);

	fx_put(&f, &relay, wire, relayed(0, pkt, len, wire));
	fx_turn(&f);
	CU_ASSERT_EQUAL(dp_plane_relay_push(f.pl, NODE, wire, seal(0, pkt, len, wire)),
			TT_DROP_NONE);
	fx_turn(&f);
	CU_ASSERT_EQUAL_FATAL(sources_now(0, roam), 2);
	CU_ASSERT(roam[0].via == DP_VIA_RELAY_UDP && roam[0].tag == TAG);
	CU_ASSERT(roam[1].via == DP_VIA_RELAY_TCP && roam[1].tag == NODE);
	fx_close(&f);
}

/* --- links, and other datagrams --------------------------------------------------------------- */

/* Past the kernel goes only what fits the path; the rest is the kernel's, which cuts it. */
static void links(void)
{
	struct dp_link link = {.ifindex = 3, .max_len = 1472, .ip_off = 14, .header_len = 42};
	struct dp_route route = {.dest = {.to = f.peer[0].endpoint}};

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	struct dp_peer *p = f.peer[0].p;

	dp_peer_set_path(f.pl, p, &route, &link);
	CU_ASSERT_EQUAL(memcmp(&atomic_load(&p->path)->link, &link, sizeof(link)), 0);
	route.inner_mtu = 1000;
	route.df = true;
	dp_peer_set_path(f.pl, p, &route, &link);
	CU_ASSERT_EQUAL(atomic_load(&p->path)->link.max_len, 1032);
	CU_ASSERT_EQUAL(atomic_load(&p->path)->link.header[14 + 6], 0x40);
	route.via = DP_VIA_RELAY_UDP;
	link.v6 = true;
	dp_peer_set_path(f.pl, p, &route, &link);
	CU_ASSERT_EQUAL(atomic_load(&p->path)->link.max_len, 1040);
	CU_ASSERT_EQUAL(atomic_load(&p->path)->link.header[14 + 6], 0);
	route.via = DP_VIA_RELAY_TCP;
	dp_peer_set_path(f.pl, p, &route, &link);
	CU_ASSERT_EQUAL(atomic_load(&p->path)->link.ifindex, 0);
	fx_close(&f);
}

static void datagrams(void)
{
	static struct dp_datagram d[DP_DATAGRAM_RING + 1];
	uint8_t stun[100] = {0, 1, 0, 80, 0x21, 0x12, 0xa4, 0x42};
	static uint8_t bind[DP_DATAGRAM_MAX + 1] = {0xa7, 1};
	tt_peer_id ids[4];
	bool overflow;

	fx_open(&f, 0, DP_BETWEEN_KERNEL);
	fx_put(&f, &f.peer[2].endpoint, stun, sizeof(stun));
	fx_put(&f, &f.peer[1].endpoint, bind, 40);
	fx_put(&f, &f.peer[1].endpoint, stun, 19);
	stun[0] = 0x40; /* RTP, or whatever it is */
	fx_put(&f, &f.peer[1].endpoint, stun, sizeof(stun));
	fx_turn(&f);
	CU_ASSERT(readable(dp_plane_doorbell_fd(f.pl)));
	dp_plane_doorbell_drain(f.pl, ids, 4, &overflow);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_BAD_TYPE), 2);
	CU_ASSERT_EQUAL_FATAL(dp_datagram_pop(f.pl, d, 8), 2);
	CU_ASSERT(tt_endpoint_equal(&d[0].src, &f.peer[2].endpoint));
	stun[0] = 0;
	CU_ASSERT_EQUAL(d[0].len, sizeof(stun));
	CU_ASSERT_EQUAL(memcmp(d[0].bytes, stun, sizeof(stun)), 0);
	CU_ASSERT_EQUAL(d[1].len, 40);
	for (unsigned i = 0; i < DP_DATAGRAM_RING + 5; i++)
		fx_put(&f, &f.peer[2].endpoint, stun, sizeof(stun));
	fx_put(&f, &f.peer[2].endpoint, bind, sizeof(bind));
	fx_turn(&f);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_CONTROL_FULL), 5);
	CU_ASSERT_EQUAL(fx_drops(&f, TT_DROP_RX_BAD_TYPE), 3);
	CU_ASSERT_EQUAL(dp_datagram_pop(f.pl, d, DP_DATAGRAM_RING + 1), DP_DATAGRAM_RING);
	fx_close(&f);
}

TT_TESTS("plane_relay", {"udp out", udp_out}, {"udp in", udp_in}, {"udp odd", udp_odd},
	 {"handshakes", handshakes}, {"tcp out", tcp_out}, {"tcp out overflow", tcp_out_overflow},
	 {"tcp in", tcp_in}, {"tcp longest", tcp_longest},
	 {"from control's socket", from_controls_socket}, {"ways mixed", ways_mixed},
	 {"managed", managed}, {"managed flood", managed_flood},
	 {"managed by relay", managed_by_relay}, {"links", links}, {"datagrams", datagrams})
