/* SPDX-License-Identifier: MIT
 *
 * Planes with their threads: two of them joined by UDP over loopback, their TUNs the ends of
 * socket pairs. What matters here are the races; run it under the thread sanitizer as well.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plane_fixture.h"
#include "plat/clock.h"

#define ALL_TUN (PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO)
#define WAIT_MS 10000

/* --- counting allocations -------------------------------------------------------------------- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#if !defined(SANITIZED) && defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 1
static _Atomic uint64_t allocations;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t m);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t m);
void *realloc(void *p, size_t n);

void *malloc(size_t n)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(p, n);
}
#endif

/* --- two planes ------------------------------------------------------------------------------ */

struct side {
	struct dp_plane *pl;
	struct dp_peer *p;
	struct dp_config cfg;
	int tun[2]; /* the test's ends */
	int udp[2];
	uint16_t udp_port[2];
	struct wg_session session;
};

static struct side a, b;
static uint8_t pkt[66000], got[66000];

static int nonblocking_pair(int fd[2])
{
	int bytes = 4 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd))
		return -errno;
	for (unsigned i = 0; i < 2; i++)
		if (setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

static int open_udp(uint16_t *udp_port, unsigned flags)
{
	struct plat_udp_options opt = {.family = TT_FAMILY_V4, .buffer_bytes = 8 << 20};
	int fd = plat_udp_open(&opt, udp_port);

	CU_ASSERT_FATAL(fd >= 0);
	if (flags & PLAT_UDP_GRO)
		plat_udp_enable_gro(fd, true);
	return fd;
}

static void side_open(struct side *s, unsigned workers, unsigned tun_flags, unsigned udp_flags)
{
	memset(s, 0, sizeof(*s));
	s->cfg = (struct dp_config){.workers = workers,
				    .between = DP_BETWEEN_KERNEL,
				    .tun_flags = tun_flags,
				    .udp_flags = udp_flags,
				    .mtu = FX_MTU};
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++)
		s->cfg.tun_fd[i] = s->cfg.udp4_fd[i] = s->cfg.udp6_fd[i] = -1;
	for (unsigned i = 0; i < workers; i++) {
		int pair[2];

		CU_ASSERT_EQUAL_FATAL(nonblocking_pair(pair), 0);
		s->tun[i] = pair[0];
		s->cfg.tun_fd[i] = pair[1];
		s->cfg.udp4_fd[i] = s->udp[i] = open_udp(&s->udp_port[i], udp_flags);
	}
	CU_ASSERT_EQUAL_FATAL(dp_plane_create(&s->cfg, &s->pl), 0);
	s->p = dp_peer_add(s->pl, 0);
}

static void side_close(struct side *s)
{
	dp_plane_stop(s->pl);
	dp_session_unpublish(s->pl, &s->session, fx_nothing, NULL);
	dp_plane_destroy(s->pl);
	for (unsigned i = 0; i < s->cfg.workers; i++) {
		close(s->tun[i]);
		close(s->cfg.tun_fd[i]);
		close(s->udp[i]);
	}
}

static void side_path(struct side *s, uint16_t udp_port)
{
	struct plat_udp_dest dest = {.to = {.ip = tt_ip_v4_host(0x7f000001), .udp_port = udp_port}};

	dp_peer_set_path(s->pl, s->p, &(struct dp_route){.dest = dest}, NULL);
}

static void sessions_publish(void)
{
	dp_session_publish(a.pl, &a.session);
	dp_session_publish(b.pl, &b.session);
	dp_peer_set_session(a.pl, a.p, &a.session);
	dp_peer_set_session(b.pl, b.p, &b.session);
}

static void both_open(unsigned tun_flags, unsigned udp_flags)
{
	const char *backend;
	const char *const far_b[] = {"10.9.8.2/32 0",
				     "2020:2020:2020:2020:2020:2020:2020:2002/128 0"};
	const char *const far_a[] = {"10.9.8.1/32 0",
				     "2020:2020:2020:2020:2020:2020:2020:2001/128 0"};

	CU_ASSERT_EQUAL_FATAL(crypto_aead_select(NULL, &backend), CRYPTO_AEAD_CHOSEN);
	side_open(&a, 1, tun_flags, udp_flags);
	side_open(&b, 1, tun_flags, udp_flags);
	side_path(&a, b.udp_port[0]);
	side_path(&b, a.udp_port[0]);
	dp_plane_publish_lpm(a.pl, fx_lpm(far_b, 2));
	dp_plane_publish_lpm(b.pl, fx_lpm(far_a, 2));
	fx_session_pair(&a.session, &b.session, 0, 1, plat_clock_mono());
	CU_ASSERT_EQUAL_FATAL(dp_plane_start(a.pl), 0);
	CU_ASSERT_EQUAL_FATAL(dp_plane_start(b.pl), 0);
}

static void both_close(void)
{
	side_close(&a);
	side_close(&b);
}

static uint64_t drops_of(struct side *s, enum tt_drop reason)
{
	struct dp_stats st;

	dp_plane_stats(s->pl, UINT_MAX, &st);
	return st.drops[reason];
}

static uint64_t all_drops(struct side *s)
{
	struct dp_stats st;
	uint64_t sum = 0;

	dp_plane_stats(s->pl, UINT_MAX, &st);
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		sum += st.drops[i];
	return sum;
}

/* Waits for a message. Length; -1 after WAIT_MS. */
static ssize_t tun_wait(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, ms) <= 0)
		return -1;
	return read(fd, got, sizeof(got));
}

static size_t udp_with_header(unsigned flags, uint8_t src, uint8_t dst, uint16_t sport,
			      size_t payload)
{
	size_t hdr = flags & PLAT_TUN_VNET_HDR ? sizeof(struct plat_vnet_hdr) : 0;

	memset(pkt, 0, hdr);
	return hdr + fx_udp(pkt + hdr, false, src, dst, sport, payload);
}

/* --- traffic --------------------------------------------------------------------------------- */

/* One packet there, one back, n times. */
static void ping_pong(unsigned flags, unsigned n, size_t payload)
{
	for (unsigned i = 0; i < n; i++) {
		size_t len = udp_with_header(flags, 1, 2, (uint16_t)i, payload);

		CU_ASSERT_EQUAL_FATAL(write(a.tun[0], pkt, len), (ssize_t)len);
		CU_ASSERT_EQUAL_FATAL(tun_wait(b.tun[0], WAIT_MS), (ssize_t)len);
		CU_ASSERT_EQUAL(memcmp(pkt, got, len), 0);
		len = udp_with_header(flags, 2, 1, (uint16_t)i, payload / 2);
		CU_ASSERT_EQUAL_FATAL(write(b.tun[0], pkt, len), (ssize_t)len);
		CU_ASSERT_EQUAL_FATAL(tun_wait(a.tun[0], WAIT_MS), (ssize_t)len);
		CU_ASSERT_EQUAL(memcmp(pkt, got, len), 0);
	}
}

static void there_and_back(void)
{
	const unsigned tun[] = {ALL_TUN, 0}, udp[] = {PLAT_UDP_GSO | PLAT_UDP_GRO, 0};

	for (unsigned i = 0; i < 4; i++) {
		both_open(tun[i & 1], udp[i >> 1] & plat_udp_probe());
		sessions_publish();
		ping_pong(tun[i & 1], 20, 700);
		ping_pong(tun[i & 1], 3, WG_INNER_MAX_V4 - 28);
		CU_ASSERT_EQUAL(all_drops(&a) + all_drops(&b), 0);
		CU_ASSERT(atomic_load(&a.p->rx_bytes) > 0);
		CU_ASSERT_EQUAL(atomic_load(&a.p->tx_packets), 23);
		both_close();
	}
}

/* A TCP super-packet of 30 segments from a, with its vnet header. Its length. */
static size_t tcp_super(uint32_t seq)
{
	static uint8_t payload[30 * 1300];
	struct pk k = pk_tcp(false);
	struct pk_rng r = {seq + 1u};
	struct plat_vnet_hdr v = {PLAT_VNET_F_NEEDS_CSUM, PLAT_VNET_GSO_TCPV4, 40, 1300, 20, 16};

	k.seq = seq;
	pk_fill(&r, payload, sizeof(payload));
	memcpy(pkt, &v, sizeof(v));
	return sizeof(v) + pk_build(pkt + sizeof(v), &k, payload, sizeof(payload), true);
}

/* Reads what b's TUN gets until `bytes` of TCP payload are there. false: they never came. */
static bool collect(size_t bytes)
{
	size_t sum = 0;

	while (sum < bytes) {
		ssize_t n = tun_wait(b.tun[0], WAIT_MS);

		if (n < 0)
			return false;
		sum += (size_t)n - sizeof(struct plat_vnet_hdr) - 40;
	}
	return true;
}

static void bulk(void)
{
	both_open(ALL_TUN, plat_udp_probe());
	sessions_publish();
	for (unsigned i = 0; i < 50; i++) {
		size_t len = tcp_super(i * 39000);

		CU_ASSERT_EQUAL_FATAL(write(a.tun[0], pkt, len), (ssize_t)len);
		CU_ASSERT_FATAL(collect(39000));
	}
	CU_ASSERT_EQUAL(all_drops(&a) + all_drops(&b), 0);
	struct dp_stats st;

	/* a packet is counted after it was written, so the last one may still be missing */
	for (unsigned i = 0; i < WAIT_MS; i++) {
		dp_plane_stats(b.pl, UINT_MAX, &st);
		if (st.tun_tx_packets == 1500)
			break;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	CU_ASSERT_EQUAL(st.tun_tx_packets, 1500);
	CU_ASSERT(st.tun_tx_writes < 1000);
	both_close();
}

/* a and b as each other's relay: super-datagrams whose every datagram has its header. */
static void relay_udp(void)
{
	both_open(ALL_TUN, plat_udp_probe());
	struct side *side[] = {&a, &b};

	for (unsigned i = 0; i < 2; i++) {
		struct tt_endpoint far = {.ip = tt_ip_v4_host(0x7f000001),
					  .udp_port = side[!i]->udp_port[0]};
		struct dp_route route = {
			.via = DP_VIA_RELAY_UDP, .dest = {.to = far}, .tag = 0xcafe + i};

		CU_ASSERT_EQUAL(dp_plane_set_relays(side[i]->pl, &far, 1), 0);
		dp_peer_set_path(side[i]->pl, side[i]->p, &route, NULL);
	}
	sessions_publish();
	ping_pong(ALL_TUN, 20, 700);
	for (unsigned i = 0; i < 20; i++) {
		size_t len = tcp_super(i * 39000);

		CU_ASSERT_EQUAL_FATAL(write(a.tun[0], pkt, len), (ssize_t)len);
		CU_ASSERT_FATAL(collect(39000));
	}
	CU_ASSERT_EQUAL(all_drops(&a) + all_drops(&b), 0);
	both_close();
}

/* The hub: takes from each side and pushes to the other, until bytes of TCP came out of b. */
static bool carry(size_t bytes)
{
	struct side *side[] = {&a, &b};
	struct dp_relay_message m[16];
	struct pollfd p[] = {{.fd = dp_plane_relay_fd(a.pl), .events = POLLIN},
			     {.fd = dp_plane_relay_fd(b.pl), .events = POLLIN},
			     {.fd = b.tun[0], .events = POLLIN}};
	size_t sum = 0;
	unsigned n;

	while (sum < bytes) {
		if (poll(p, 3, WAIT_MS) <= 0)
			return false;
		for (unsigned i = 0; i < 2; i++)
			while ((n = dp_plane_relay_pop(side[i]->pl, m, 16)) > 0)
				for (unsigned k = 0; k < n; k++)
					CU_ASSERT_EQUAL(dp_plane_relay_push(side[!i]->pl, 7 + i,
									    m[k].bytes, m[k].len),
							TT_DROP_NONE);
		for (ssize_t got_now; (got_now = read(b.tun[0], got, sizeof(got))) > 0;)
			sum += (size_t)got_now - sizeof(struct plat_vnet_hdr) - 40;
	}
	return true;
}

static void relay_tcp(void)
{
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	both_open(ALL_TUN, plat_udp_probe());
	dp_peer_set_path(a.pl, a.p, &(struct dp_route){.via = DP_VIA_RELAY_TCP, .tag = 8}, NULL);
	dp_peer_set_path(b.pl, b.p, &(struct dp_route){.via = DP_VIA_RELAY_TCP, .tag = 7}, NULL);
	sessions_publish();
	for (unsigned i = 0; i < 50; i++) {
		size_t len = tcp_super(i * 39000);

		CU_ASSERT_EQUAL_FATAL(write(a.tun[0], pkt, len), (ssize_t)len);
		CU_ASSERT_FATAL(carry(39000));
	}
	CU_ASSERT_EQUAL(all_drops(&a) + all_drops(&b), 0);
	/* it came by the very path: nothing that control has to act upon */
	CU_ASSERT_FALSE(dp_peer_take_facts(b.p, roam, &sources) & DP_FACT_ROAMED);
	both_close();
}

static void staged_then_sent(void)
{
	both_open(ALL_TUN, plat_udp_probe());
	size_t len = udp_with_header(ALL_TUN, 1, 2, 5, 100);

	CU_ASSERT_EQUAL(write(a.tun[0], pkt, len), (ssize_t)len);
	struct pollfd bell = {.fd = dp_plane_doorbell_fd(a.pl), .events = POLLIN};
	struct dp_roam roam[DP_ROAMS];
	unsigned sources;

	CU_ASSERT_EQUAL_FATAL(poll(&bell, 1, WAIT_MS), 1);
	CU_ASSERT(dp_peer_take_facts(a.p, roam, &sources) & DP_FACT_NEED_HANDSHAKE);
	sessions_publish();
	CU_ASSERT_EQUAL(tun_wait(b.tun[0], WAIT_MS), (ssize_t)len);
	CU_ASSERT_EQUAL(memcmp(pkt, got, len), 0);
	both_close();
}

static void idle_workers_sleep(void)
{
	struct dp_stats before, after;

	both_open(ALL_TUN, plat_udp_probe());
	sessions_publish();
	ping_pong(ALL_TUN, 5, 100);
	nanosleep(&(struct timespec){0, 300000000}, NULL); /* the TIMERS ring is behind us */
	dp_plane_stats(a.pl, UINT_MAX, &before);
	nanosleep(&(struct timespec){0, 300000000}, NULL);
	dp_plane_stats(a.pl, UINT_MAX, &after);
	CU_ASSERT(after.loops - before.loops < 5);
	both_close();
}

static void no_allocation_per_packet(void)
{
#ifdef COUNTS_ALLOCATIONS
	both_open(ALL_TUN, plat_udp_probe());
	sessions_publish();
	ping_pong(ALL_TUN, 5, 100);
	uint64_t before = atomic_load(&allocations);

	ping_pong(ALL_TUN, 100, 100);
	for (unsigned i = 0; i < 20; i++) {
		size_t len = tcp_super(i * 39000);

		CU_ASSERT_EQUAL_FATAL(write(a.tun[0], pkt, len), (ssize_t)len);
		CU_ASSERT_FATAL(collect(39000));
	}
	dp_peer_set_session(a.pl, a.p, NULL);
	for (unsigned i = 0; i < 200; i++) {
		size_t len = udp_with_header(ALL_TUN, 1, 2, (uint16_t)i, 1000);

		CU_ASSERT_EQUAL_FATAL(write(a.tun[0], pkt, len), (ssize_t)len);
	}
	while (!dp_peer_staged(a.p))
		sched_yield();
	dp_peer_set_session(a.pl, a.p, &a.session);
	CU_ASSERT(tun_wait(b.tun[0], WAIT_MS) > 0);
	CU_ASSERT_EQUAL(atomic_load(&allocations), before);
	both_close();
#else
	tt_test_skip(1, "a sanitizer has its own allocator");
#endif
}

/* --- control at work while traffic flows ------------------------------------------------------ */

static _Atomic bool load_stop;
static _Atomic uint64_t load_sent;

/* Keeps a's TUN busy without overrunning it; what comes out of b is thrown away. */
static void load_run(void *arg)
{
	uint8_t out[256] = {0}, sink[2048];
	size_t len = sizeof(struct plat_vnet_hdr) +
		     fx_udp(out + sizeof(struct plat_vnet_hdr), false, 1, 2, 1, 60);

	(void)arg;
	while (!atomic_load(&load_stop)) {
		for (unsigned i = 0; i < 16; i++)
			if (write(a.tun[0], out, len) > 0)
				atomic_fetch_add(&load_sent, 1);
		while (read(b.tun[0], sink, sizeof(sink)) > 0)
			;
		sched_yield();
	}
}

static struct plat_thread load_thread;

static void load_start(void)
{
	atomic_store(&load_stop, false);
	atomic_store(&load_sent, 0);
	CU_ASSERT_EQUAL_FATAL(plat_thread_start(&load_thread, "load", load_run, NULL), 0);
}

static void load_end(void)
{
	atomic_store(&load_stop, true);
	plat_thread_join(&load_thread);
}

static void wipe_session(void *obj, void *ctx)
{
	(void)ctx;
	memset(obj, 0xee, sizeof(struct wg_session));
	free(obj);
}

static struct wg_session *new_session(void)
{
	size_t bytes = TT_ALIGN_UP(sizeof(struct wg_session), (size_t)TT_CACHELINE);

	return aligned_alloc(TT_CACHELINE, bytes);
}

static bool wait_until_used(struct wg_session *s)
{
	for (unsigned i = 0; i < WAIT_MS * 20; i++) {
		if (atomic_load(&s->confirmed))
			return true;
		nanosleep(&(struct timespec){0, 50000}, NULL);
	}
	return false;
}

/* As control does it: publish where it is received, then where it is sent, then let the old go. */
static void thousand_sessions_under_load(void)
{
	struct wg_session *old_a = NULL, *old_b = NULL;

	both_open(ALL_TUN, plat_udp_probe());
	load_start();
	for (unsigned i = 0; i < 1000; i++) {
		struct wg_session *sa = new_session(), *sb = new_session();

		fx_session_pair(sa, sb, 0, 100 + i, plat_clock_mono());
		dp_session_publish(b.pl, sb);
		dp_session_publish(a.pl, sa);
		dp_peer_set_session(a.pl, a.p, sa);
		CU_ASSERT_FATAL(wait_until_used(sb));
		/* sockets keep the order: nothing of the old session is on its way any more */
		if (old_a) {
			dp_session_unpublish(a.pl, old_a, wipe_session, NULL);
			dp_session_unpublish(b.pl, old_b, wipe_session, NULL);
		}
		old_a = sa;
		old_b = sb;
		tt_epoch_reclaim(dp_plane_epoch(a.pl));
		tt_epoch_reclaim(dp_plane_epoch(b.pl));
	}
	load_end();
	CU_ASSERT_EQUAL(drops_of(&b, TT_DROP_DATA_UNKNOWN_INDEX), 0);
	CU_ASSERT_EQUAL(drops_of(&b, TT_DROP_DATA_BAD_AUTH), 0);
	CU_ASSERT_EQUAL(drops_of(&b, TT_DROP_DATA_REPLAY), 0);
	CU_ASSERT(atomic_load(&b.p->rx_packets) >= 1000);
	dp_session_unpublish(a.pl, old_a, wipe_session, NULL);
	dp_session_unpublish(b.pl, old_b, wipe_session, NULL);
	both_close();
}

static void everything_retired_under_load(void)
{
	const char *const far[] = {"10.9.8.2/32 0"}, *const other[] = {"10.9.8.2/32 0",
								       "10.0.0.0/8 1"};
	struct tt_ip self = tt_ip_v4_host(0x0a090801);

	both_open(ALL_TUN, plat_udp_probe());
	sessions_publish();
	load_start();
	/* at least 500 times, and until traffic has been flowing meanwhile */
	for (unsigned i = 0; i < 500 || (!atomic_load(&b.p->rx_packets) && i < 500000); i++) {
		struct dp_peer *p = dp_peer_add(a.pl, 1);
		struct dp_roam roam[DP_ROAMS];
		unsigned sources;

		side_path(&a, b.udp_port[0]);
		dp_plane_publish_lpm(a.pl, i & 1 ? fx_lpm(far, 1) : fx_lpm(other, 2));
		dp_plane_set_inner_addresses(a.pl, &self, 1);
		dp_plane_set_mac1_key(a.pl, (const uint8_t[32]){(uint8_t)i});
		dp_plane_set_mtu(a.pl, 1300 + i % 100);
		dp_peer_take_facts(a.p, roam, &sources);
		dp_peer_drop_staged(a.pl, a.p);
		dp_peer_remove(a.pl, p);
		tt_epoch_reclaim(dp_plane_epoch(a.pl));
		sched_yield();
	}
	load_end();
	CU_ASSERT(atomic_load(&b.p->rx_packets) > 0);
	both_close();
}

static void sockets_replaced_under_load(void)
{
	both_open(ALL_TUN, plat_udp_probe());
	sessions_publish();
	load_start();
	for (unsigned i = 0; i < 50; i++) {
		int fd[DP_WORKERS_MAX], none[DP_WORKERS_MAX];
		uint64_t before = atomic_load(&b.p->rx_packets);

		for (unsigned w = 0; w < DP_WORKERS_MAX; w++)
			fd[w] = none[w] = -1;
		fd[0] = open_udp(&b.udp_port[0], b.cfg.udp_flags);
		CU_ASSERT_EQUAL(dp_plane_set_udp(b.pl, fd, none), 0);
		close(b.udp[0]); /* nobody looks at it any more */
		b.udp[0] = fd[0];
		side_path(&a, b.udp_port[0]);
		for (unsigned n = 0; atomic_load(&b.p->rx_packets) == before && n < WAIT_MS; n++)
			nanosleep(&(struct timespec){0, 1000000}, NULL);
		CU_ASSERT(atomic_load(&b.p->rx_packets) > before);
	}
	load_end();
	both_close();
}

/* --- two workers, one session ----------------------------------------------------------------- */

#define TWIN_PACKETS 4000
#define TWIN_BATCH   20

struct twin_sender {
	struct plat_thread thread;
	int fd;
	uint16_t udp_port;
	struct wg_session *far;
};

static _Atomic uint32_t twin_received;

/* Every sender sends all packets, in an order of its own, so each arrives twice, once per worker.
 */
static void twin_run(void *arg)
{
	struct twin_sender *t = arg;
	struct plat_udp_dest dest = {
		.to = {.ip = tt_ip_v4_host(0x7f000001), .udp_port = t->udp_port}};
	uint8_t plain[128], wire[192];
	bool lost;

	plat_udp_dest_prepare(&dest);
	size_t len = fx_udp(plain, false, 2, 1, 1, 36); /* 64 bytes: no padding */

	for (uint32_t i = 0; i < TWIN_PACKETS; i++) {
		uint32_t counter = (t->udp_port & 1) ? i : i ^ 15;
		struct plat_udp_tx tx = {.buf = wire, .dest = &dest};

		tx.len = tx.segment = (uint32_t)len + WG_DATA_OVERHEAD;

		tt_store_be32(plain + 28,
			      counter); /* breaks the UDP checksum, which nobody looks at */
		wg_data_header_write(wire, t->far->remote_index, counter);
		crypto_aead_seal(&t->far->send_key, counter, NULL, 0, plain, len, wire + 16);
		plat_udp_send(t->fd, &tx, 1, &lost);
		/* stay near what was received: nothing may be lost, nor fall out of the window */
		while (i > atomic_load(&twin_received) + 500)
			sched_yield();
	}
}

static void twin_collect(uint8_t *seen)
{
	struct pollfd p[2] = {{.fd = a.tun[0], .events = POLLIN},
			      {.fd = a.tun[1], .events = POLLIN}};
	uint8_t in[256];

	while (atomic_load(&twin_received) < TWIN_PACKETS && poll(p, 2, 2000) > 0) {
		for (unsigned i = 0; i < 2; i++) {
			ssize_t n;

			while ((n = read(a.tun[i], in, sizeof(in))) == 64) {
				uint32_t counter = tt_load_be32(in + 28);

				CU_ASSERT_FATAL(counter < TWIN_PACKETS);
				CU_ASSERT_EQUAL(seen[counter], 0);
				seen[counter] = 1;
				atomic_fetch_add(&twin_received, 1);
			}
		}
	}
}

static void two_workers_one_session(void)
{
	static uint8_t seen[TWIN_PACKETS];
	struct twin_sender t[2];
	const char *const far[] = {"10.9.8.2/32 0"};
	struct wg_session far_session;
	const char *backend;
	uint16_t udp_port;

	CU_ASSERT_EQUAL_FATAL(crypto_aead_select(NULL, &backend), CRYPTO_AEAD_CHOSEN);
	side_open(&a, 2, 0, 0);
	dp_plane_publish_lpm(a.pl, fx_lpm(far, 1));
	fx_session_pair(&a.session, &far_session, 0, 1, plat_clock_mono());
	dp_session_publish(a.pl, &a.session);
	atomic_store(&twin_received, 0);
	memset(seen, 0, sizeof(seen));
	CU_ASSERT_EQUAL_FATAL(dp_plane_start(a.pl), 0);
	for (unsigned i = 0; i < 2; i++) {
		t[i].fd = open_udp(&udp_port, 0);
		t[i].udp_port = a.udp_port[i];
		t[i].far = &far_session;
		CU_ASSERT_EQUAL_FATAL(plat_thread_start(&t[i].thread, "twin", twin_run, &t[i]), 0);
	}
	twin_collect(seen);
	CU_ASSERT_EQUAL(atomic_load(&twin_received), TWIN_PACKETS);
	atomic_store(&twin_received, TWIN_PACKETS);
	for (unsigned i = 0; i < 2; i++) {
		plat_thread_join(&t[i].thread);
		close(t[i].fd);
	}
	/* each of the others was recognised as a duplicate */
	for (unsigned i = 0; drops_of(&a, TT_DROP_DATA_REPLAY) < TWIN_PACKETS && i < 2000; i++)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	CU_ASSERT_EQUAL(drops_of(&a, TT_DROP_DATA_REPLAY), TWIN_PACKETS);
	CU_ASSERT_EQUAL(all_drops(&a), TWIN_PACKETS);
	side_close(&a);
}

static void two_workers_send_one_session(void)
{
	/* the other direction: counters reserved by two threads at once are all different */
	static uint8_t bits[40000 / 8];
	struct plat_udp_rx rx = {.buf = got, .cap = sizeof(got)};
	const char *const far[] = {"10.9.8.2/32 0"};
	struct wg_session far_session;
	unsigned sent = 0, received = 0;
	const char *backend;
	uint16_t udp_port;

	CU_ASSERT_EQUAL_FATAL(crypto_aead_select(NULL, &backend), CRYPTO_AEAD_CHOSEN);
	side_open(&a, 2, 0, 0);
	dp_plane_publish_lpm(a.pl, fx_lpm(far, 1));
	fx_session_pair(&a.session, &far_session, 0, 1, plat_clock_mono());
	int fd = open_udp(&udp_port, 0);

	side_path(&a, udp_port);
	dp_session_publish(a.pl, &a.session);
	dp_peer_set_session(a.pl, a.p, &a.session);
	memset(bits, 0, sizeof(bits));
	CU_ASSERT_EQUAL_FATAL(dp_plane_start(a.pl), 0);
	size_t len = fx_udp(pkt, false, 1, 2, 1, 36);

	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < 40; i++)
			sent += write(a.tun[i & 1], pkt, len) > 0;
		for (unsigned wait = 0; received < sent && wait < WAIT_MS * 10;) {
			if (plat_udp_recv(fd, &rx, 1) != 1) {
				wait++;
				nanosleep(&(struct timespec){0, 100000}, NULL);
				continue;
			}
			uint64_t counter = tt_load_le64(got + 8);

			CU_ASSERT_FATAL(counter < 40000);
			CU_ASSERT_FALSE(bits[counter / 8] >> counter % 8 & 1);
			bits[counter / 8] |= (uint8_t)(1 << counter % 8);
			received++;
		}
	}
	CU_ASSERT_EQUAL(received, sent);
	CU_ASSERT_EQUAL(atomic_load(&a.session.send_counter), sent);
	close(fd);
	side_close(&a);
}

TT_TESTS("plane_threads", {"there and back", there_and_back}, {"bulk", bulk},
	 {"relay over UDP", relay_udp}, {"relay over TCP", relay_tcp},
	 {"staged, then sent", staged_then_sent}, {"idle workers sleep", idle_workers_sleep},
	 {"no allocation per packet", no_allocation_per_packet},
	 {"1,000 sessions under load", thousand_sessions_under_load},
	 {"everything retired under load", everything_retired_under_load},
	 {"sockets replaced under load", sockets_replaced_under_load},
	 {"two workers feed one session", two_workers_one_session},
	 {"two workers send on one session", two_workers_send_one_session})
