/* SPDX-License-Identifier: MIT */
#include "plat/udp_io.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>
#include "plat/clock.h"
#include "tt_netns.h"
#include "tt_test.h"

#define BUF_SIZE 65536

static const enum tt_family families[] = {TT_FAMILY_V4, TT_FAMILY_V6};
static uint8_t data[BUF_SIZE];
static uint8_t buffers[PLAT_UDP_BATCH_MAX][BUF_SIZE];

static struct tt_ip loopback(enum tt_family family)
{
	static const uint8_t one[16] = {[15] = 1};

	return family == TT_FAMILY_V4 ? tt_ip_v4_host(0x7f000001) : tt_ip_v6(one);
}

static void fill_data(void)
{
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
}

static int open_socket(enum tt_family family, uint16_t *udp_port)
{
	struct plat_udp_options opt = {.family = family, .buffer_bytes = 4 << 20};

	return plat_udp_open(&opt, udp_port);
}

static struct plat_udp_dest dest_to(struct tt_ip ip, uint16_t udp_port)
{
	struct plat_udp_dest d = {0};

	d.to.ip = ip;
	d.to.udp_port = udp_port;
	plat_udp_dest_prepare(&d);
	return d;
}

/* A sender and a receiver on loopback. */
struct pair {
	int tx, rx;
	uint16_t tx_port, rx_port;
	struct plat_udp_dest dest;
};

static bool pair_open(struct pair *p, enum tt_family family)
{
	fill_data();
	p->tx = open_socket(family, &p->tx_port);
	if (p->tx == -EAFNOSUPPORT) {
		tt_test_skip(1, "no IPv6 here");
		return false;
	}
	p->rx = open_socket(family, &p->rx_port);
	p->dest = dest_to(loopback(family), p->rx_port);
	CU_ASSERT_FATAL(p->tx >= 0 && p->rx >= 0);
	return true;
}

static void pair_close(struct pair *p)
{
	close(p->tx);
	close(p->rx);
}

/* Waits up to a second for the first message, takes what is there. */
static int receive(int fd, struct plat_udp_rx *rx, unsigned n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (unsigned i = 0; i < n; i++)
		rx[i] = (struct plat_udp_rx){.buf = buffers[i], .cap = BUF_SIZE};
	poll(&p, 1, 1000);
	return plat_udp_recv(fd, rx, n);
}

static int send_one(struct pair *p, uint32_t len, uint32_t segment, uint8_t ecn)
{
	struct plat_udp_tx tx = {
		.buf = data, .len = len, .segment = segment, .ecn = ecn, .dest = &p->dest};
	bool lost;
	unsigned sent = plat_udp_send(p->tx, &tx, 1, &lost);

	CU_ASSERT_EQUAL(sent, tx.error == 0);
	CU_ASSERT_FALSE(lost);
	return tx.error;
}

static void nothing_there(void)
{
	struct plat_udp_rx rx[2];
	struct pair p;

	CU_ASSERT_FATAL(pair_open(&p, TT_FAMILY_V4));
	rx[0] = (struct plat_udp_rx){.buf = buffers[0], .cap = BUF_SIZE};
	CU_ASSERT_EQUAL(plat_udp_recv(p.rx, rx, 1), -EAGAIN);
	pair_close(&p);
	CU_ASSERT_EQUAL(plat_udp_recv(-1, rx, 1), -EBADF);
}

static void one_batch(enum tt_family family)
{
	enum { N = PLAT_UDP_BATCH_MAX + 6 };
	struct plat_udp_tx tx[N];
	struct plat_udp_rx rx[PLAT_UDP_BATCH_MAX];
	struct tt_ip lo = loopback(family);
	struct pair p;
	unsigned got = 0;
	bool lost = true;

	if (!pair_open(&p, family))
		return;
	for (unsigned i = 0; i < N; i++)
		tx[i] = (struct plat_udp_tx){
			.buf = data + i, .len = i * 20, .segment = i * 20, .dest = &p.dest};
	CU_ASSERT_EQUAL(plat_udp_send(p.tx, tx, N, &lost), N);
	CU_ASSERT_FALSE(lost);
	while (got < N) {
		int n = receive(p.rx, rx, 16);

		CU_ASSERT_FATAL(n > 0 && n <= 16);
		for (int i = 0; i < n; i++, got++) {
			CU_ASSERT_EQUAL(rx[i].len, got * 20);
			CU_ASSERT_EQUAL(rx[i].segment, rx[i].len);
			CU_ASSERT_FALSE(rx[i].truncated);
			CU_ASSERT_EQUAL(memcmp(rx[i].buf, data + got, rx[i].len), 0);
			CU_ASSERT_TRUE(tt_ip_equal(&rx[i].src.ip, &lo));
			CU_ASSERT_EQUAL(rx[i].src.udp_port, p.tx_port);
			CU_ASSERT_EQUAL(rx[i].ecn, 0);
			if (rx[i].dst.family != TT_FAMILY_NONE) {
				CU_ASSERT_TRUE(tt_ip_equal(&rx[i].dst, &lo));
				CU_ASSERT_NOT_EQUAL(rx[i].ifindex, 0);
			}
		}
	}
	CU_ASSERT_EQUAL(plat_udp_recv(p.rx, rx, 16), -EAGAIN);
	pair_close(&p);
}

static void batches(void)
{
	for (unsigned f = 0; f < 2; f++)
		one_batch(families[f]);
}

/* A super-datagram arrives byte for byte, in datagrams of the right sizes, with or without GRO. */
static void one_super(struct pair *p, uint32_t len, uint32_t segment, bool gro, uint8_t ecn)
{
	struct plat_udp_rx rx[PLAT_UDP_BATCH_MAX];
	uint32_t at = 0, messages = 0;

	CU_ASSERT_EQUAL(send_one(p, len, segment, ecn), 0);
	while (at < len) {
		int n = receive(p->rx, rx, PLAT_UDP_BATCH_MAX);

		CU_ASSERT_FATAL(n > 0);
		for (int i = 0; i < n; i++, messages++) {
			uint32_t expect = TT_MIN(segment, len - at);

			CU_ASSERT_EQUAL(rx[i].segment, expect);
			CU_ASSERT_EQUAL(rx[i].ecn, ecn);
			CU_ASSERT_FALSE(rx[i].truncated);
			CU_ASSERT_FATAL(rx[i].len <= len - at);
			CU_ASSERT_EQUAL(memcmp(rx[i].buf, data + at, rx[i].len), 0);
			at += rx[i].len;
		}
	}
	CU_ASSERT_EQUAL(at, len);
	CU_ASSERT_EQUAL(messages, gro ? 1 : (len + segment - 1) / segment);
}

static void supers(void)
{
	static const uint32_t shape[][2] = {
		{3000, 1000},	     {2500, 1000}, {1001, 1000},      {999 * 64, 999},
		{999 * 63 + 1, 999}, {64, 1},	   {1452 * 44, 1452}, {65000, 32500},
	};

	if (!(plat_udp_probe() & PLAT_UDP_GSO)) {
		tt_test_skip(1, "no GSO on this platform");
		return;
	}
	for (unsigned f = 0; f < 2; f++) {
		for (int gro = 0; gro < 2; gro++) {
			struct pair p;

			if (!pair_open(&p, families[f]))
				continue;
			CU_ASSERT_EQUAL(plat_udp_enable_gro(p.rx, gro), 0);
			for (unsigned i = 0; i < TT_ARRAY_LEN(shape); i++)
				one_super(&p, shape[i][0], shape[i][1], gro, i & 3);
			pair_close(&p);
		}
	}
}

static void mixed_batch(void)
{
	struct plat_udp_rx rx[8];
	struct pair p;
	bool lost;

	CU_ASSERT_FATAL(pair_open(&p, TT_FAMILY_V4));
	/* Two by GSO (or one by one, where the platform has none) between single ones. */
	struct plat_udp_tx tx[3] = {
		{.buf = data, .len = 100, .segment = 100, .dest = &p.dest},
		{.buf = data, .len = 1500, .segment = 1000, .ecn = 0, .dest = &p.dest},
		{.buf = data, .len = 0, .segment = 0, .dest = &p.dest},
	};
	CU_ASSERT_EQUAL(plat_udp_send(p.tx, tx, 3, &lost), 3);
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t len[4] = {100, 1000, 500, 0};

		CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
		CU_ASSERT_EQUAL(rx[0].len, len[i]);
		CU_ASSERT_EQUAL(rx[0].segment, len[i]);
	}
	pair_close(&p);
}

static void ecn(void)
{
	struct plat_udp_rx rx[1];

	if (!plat_udp_probe()) {
		tt_test_skip(1, "no ECN on this platform");
		return;
	}
	for (unsigned f = 0; f < 2; f++) {
		struct pair p;

		if (!pair_open(&p, families[f]))
			continue;
		for (uint8_t e = 0; e < 4; e++) {
			CU_ASSERT_EQUAL(send_one(&p, 50, 50, e), 0);
			CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
			CU_ASSERT_EQUAL(rx[0].ecn, e);
		}
		pair_close(&p);
	}
}

static void truncation(void)
{
	struct plat_udp_rx rx = {.buf = buffers[0], .cap = 100};
	struct pollfd wait = {.events = POLLIN};
	struct pair p;

	CU_ASSERT_FATAL(pair_open(&p, TT_FAMILY_V4));
	memset(buffers[0], 0xaa, 200);
	CU_ASSERT_EQUAL(send_one(&p, 101, 101, 0), 0);
	wait.fd = p.rx;
	poll(&wait, 1, 1000);
	CU_ASSERT_EQUAL_FATAL(plat_udp_recv(p.rx, &rx, 1), 1);
	CU_ASSERT_TRUE(rx.truncated);
	CU_ASSERT_EQUAL(rx.len, 100);
	CU_ASSERT_EQUAL(buffers[0][100], 0xaa);
	CU_ASSERT_EQUAL(send_one(&p, 100, 100, 0), 0);
	poll(&wait, 1, 1000);
	CU_ASSERT_EQUAL_FATAL(plat_udp_recv(p.rx, &rx, 1), 1);
	CU_ASSERT_FALSE(rx.truncated);
	pair_close(&p);
}

static void sticky_source(void)
{
	struct tt_ip a = tt_ip_v4_host(0x7f000002), b = tt_ip_v4_host(0x7f000003);
	struct plat_udp_rx rx[1];
	struct pair p;

	CU_ASSERT_FATAL(pair_open(&p, TT_FAMILY_V4));
	p.dest.to.ip = a;
	p.dest.from = b;
	plat_udp_dest_prepare(&p.dest);
	CU_ASSERT_EQUAL(send_one(&p, 40, 40, 0), 0);
	CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
	if (rx[0].dst.family == TT_FAMILY_NONE) {
		tt_test_skip(1, "no source addresses on this platform");
	} else {
		CU_ASSERT_TRUE(tt_ip_equal(&rx[0].dst, &a));
		CU_ASSERT_TRUE(tt_ip_equal(&rx[0].src.ip, &b));
		/* The answer goes out by the interface it came in by. */
		p.dest.from_ifindex = rx[0].ifindex;
		plat_udp_dest_prepare(&p.dest);
		CU_ASSERT_EQUAL(send_one(&p, 2000, 1000, 1), 0);
		CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
		CU_ASSERT_TRUE(tt_ip_equal(&rx[0].src.ip, &b));
	}
	pair_close(&p);
}

static void lost_source_of(const char *add, const char *del, const char *from)
{
	struct plat_udp_rx rx[4];
	struct tt_ip source;
	struct pair p;
	bool lost = true;

	CU_ASSERT_EQUAL_FATAL(tt_ip_parse(from, &source), 0);
	if (!pair_open(&p, source.family))
		return;
	CU_ASSERT_EQUAL_FATAL(tt_sh("%s", add), 0);
	p.dest.from = source;
	plat_udp_dest_prepare(&p.dest);
	CU_ASSERT_EQUAL(send_one(&p, 40, 40, 0), 0);
	CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
	CU_ASSERT_TRUE(tt_ip_equal(&rx[0].src.ip, &source));
	CU_ASSERT_EQUAL_FATAL(tt_sh("%s", del), 0);

	struct plat_udp_dest plain = dest_to(p.dest.to.ip, p.rx_port);
	struct plat_udp_tx tx[3] = {
		{.buf = data, .len = 50, .segment = 50, .dest = &p.dest},
		{.buf = data, .len = 60, .segment = 60, .dest = &plain},
		{.buf = data, .len = 140, .segment = 70, .dest = &p.dest},
	};
	CU_ASSERT_EQUAL(plat_udp_send(p.tx, tx + 1, 1, &lost), 1);
	CU_ASSERT_FALSE(lost);
	CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 4), 1);
	CU_ASSERT_EQUAL(plat_udp_send(p.tx, tx, 3, &lost), 3);
	CU_ASSERT_TRUE(lost);
	CU_ASSERT_TRUE(tx[0].lost_source && !tx[1].lost_source && tx[2].lost_source);
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
		CU_ASSERT_EQUAL(rx[0].len, 50 + TT_MIN(i, 2) * 10);
		CU_ASSERT_FALSE(tt_ip_equal(&rx[0].src.ip, &source));
	}
	pair_close(&p);
}

static void lost_source(void)
{
	if (!plat_udp_probe()) {
		tt_test_skip(1, "no source addresses on this platform");
		return;
	}
	if (!tt_netns_enter(1))
		return;
	lost_source_of("ip addr add 10.9.9.1/32 dev lo", "ip addr del 10.9.9.1/32 dev lo",
		       "10.9.9.1");
	lost_source_of("ip addr add fd99::1/128 dev lo nodad", "ip addr del fd99::1/128 dev lo",
		       "fd99::1");
	tt_netns_leave();
}

static void errors_stay_alone(void)
{
	struct plat_udp_rx rx[8];
	struct pair p;
	bool lost;

	if (!tt_netns_enter(1))
		return;
	CU_ASSERT_FATAL(pair_open(&p, TT_FAMILY_V4));
	struct plat_udp_dest nowhere = dest_to(tt_ip_v4_host(0x08080808), 9);
	struct plat_udp_dest closed = dest_to(loopback(TT_FAMILY_V4), 9);
	struct plat_udp_tx tx[6] = {
		{.buf = data, .len = 10, .segment = 10, .dest = &p.dest},
		{.buf = data, .len = 10, .segment = 10, .dest = &nowhere},
		{.buf = data, .len = 20, .segment = 20, .dest = &p.dest},
		{.buf = data, .len = 65530, .segment = 65530, .dest = &p.dest},
		{.buf = data, .len = 10, .segment = 10, .dest = &closed},
		{.buf = data, .len = 30, .segment = 30, .dest = &p.dest},
	};
	CU_ASSERT_EQUAL(plat_udp_send(p.tx, tx, 6, &lost), 4);
	CU_ASSERT_EQUAL(tx[1].error, -ENETUNREACH);
	CU_ASSERT_EQUAL(tx[3].error, -EMSGSIZE);
	CU_ASSERT_EQUAL(tx[4].error, 0);
	CU_ASSERT_EQUAL(tx[5].error, 0);
	for (uint32_t i = 1; i <= 3; i++) {
		CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
		CU_ASSERT_EQUAL(rx[0].len, i * 10);
	}
	pair_close(&p);
	tt_netns_leave();
}

/* Segments above the link's MTU cannot go by GSO; they must still arrive, fragmented. */
static void segments_above_mtu(void)
{
	if (!tt_netns_enter(1))
		return;
	CU_ASSERT_EQUAL_FATAL(tt_sh("ip link set lo mtu 1500"), 0);
	for (unsigned f = 0; f < 2; f++) {
		struct plat_udp_rx rx[1];
		struct pair p;
		bool lost;

		if (!pair_open(&p, families[f]))
			continue;
		struct plat_udp_tx tx = {
			.buf = data, .len = 7000, .segment = 3000, .dest = &p.dest};
		CU_ASSERT_EQUAL(plat_udp_send(p.tx, &tx, 1, &lost), 1);
		CU_ASSERT_TRUE(tx.gso_refused);
		for (unsigned i = 0; i < 3; i++) {
			CU_ASSERT_EQUAL_FATAL(receive(p.rx, rx, 1), 1);
			CU_ASSERT_EQUAL(rx[0].len, i < 2 ? 3000 : 1000);
			CU_ASSERT_EQUAL(memcmp(rx[0].buf, data + i * 3000, rx[0].len), 0);
		}
		pair_close(&p);
	}
	tt_netns_leave();
}

/* How often this thread gave its CPU away by itself. */
static long times_waited(void)
{
	struct rusage u;

	CU_ASSERT_EQUAL_FATAL(getrusage(RUSAGE_THREAD, &u), 0);
	return u.ru_nvcsw;
}

/* Packets wait in a neighbour's queue and fill the send buffer: one short wait, then errors. */
static void full_buffer(void)
{
	struct plat_udp_options opt = {.family = TT_FAMILY_V4, .buffer_bytes = 4096};
	struct plat_udp_tx tx[128];
	uint16_t udp_port;
	unsigned sent;
	bool lost;
	int fd;

	if (!tt_netns_enter(1))
		return;
	CU_ASSERT_EQUAL_FATAL(tt_sh("ip link add va type veth peer name vb && ip link set va up && "
				    "ip link set vb up && ip addr add 10.8.0.1/24 dev va"),
			      0);
	fd = plat_udp_open(&opt, &udp_port);
	CU_ASSERT_FATAL(fd >= 0);
	struct plat_udp_dest d = dest_to(tt_ip_v4_host(0x0a080009), 9);
	for (unsigned i = 0; i < TT_ARRAY_LEN(tx); i++)
		tx[i] = (struct plat_udp_tx){.buf = data, .len = 1400, .segment = 1400, .dest = &d};
	long before = times_waited();
	sent = plat_udp_send(fd, tx, TT_ARRAY_LEN(tx), &lost);
	CU_ASSERT(times_waited() - before < 10);
	CU_ASSERT_TRUE(sent > 0 && sent < TT_ARRAY_LEN(tx));
	for (unsigned i = 0; i < TT_ARRAY_LEN(tx); i++)
		CU_ASSERT_EQUAL(tx[i].error, i < sent ? 0 : -EAGAIN);
	close(fd);
	tt_netns_leave();
}

#define GROUP_WORKERS 3
#define GROUP_SIZE    (GROUP_WORKERS + 1)

static bool group_open(int fd[GROUP_SIZE], enum tt_family family, uint16_t *udp_port)
{
	struct plat_udp_options opt = {.family = family, .reuseport = true};

	for (unsigned i = 0; i < GROUP_SIZE; i++) {
		fd[i] = plat_udp_open(&opt, &opt.udp_port);
		if (fd[i] == -EAFNOSUPPORT) {
			tt_test_skip(1, "no IPv6 here");
			return false;
		}
		CU_ASSERT_FATAL(fd[i] >= 0);
	}
	*udp_port = opt.udp_port;
	return true;
}

/* Which member has exactly one datagram waiting; -1 where none or several do. */
static int group_member_with_one(const int fd[GROUP_SIZE])
{
	struct plat_udp_rx rx[2];
	struct pollfd wait[GROUP_SIZE];
	int member = -1;

	for (unsigned i = 0; i < GROUP_SIZE; i++)
		wait[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
	if (poll(wait, GROUP_SIZE, 1000) != 1)
		return -1;
	for (int i = 0; i < GROUP_SIZE; i++)
		if (wait[i].revents && receive(fd[i], rx, 2) == 1)
			member = i;
	return member;
}

static void steer_check(struct pair *p, const int fd[GROUP_SIZE], const void *bytes, uint32_t len,
			unsigned expect)
{
	struct plat_udp_tx tx = {.buf = bytes, .len = len, .segment = len, .dest = &p->dest};
	bool lost;

	CU_ASSERT_EQUAL(plat_udp_send(p->tx, &tx, 1, &lost), 1);
	CU_ASSERT_EQUAL(group_member_with_one(fd), (int)expect);
}

/* Data behind the header of a relay goes where it would go without; all other types do not. */
static void steer_relayed(struct pair *p, const int fd[GROUP_SIZE], const uint32_t *index,
			  unsigned n)
{
	uint8_t m[64] = {0xa7, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef, 4};

	for (unsigned i = 0; i < n; i++) {
		tt_store_le32(m + 12, index[i]);
		steer_check(p, fd, m, 40, index[i] % GROUP_WORKERS);
		steer_check(p, fd, m, 16, index[i] % GROUP_WORKERS);
	}
	for (uint32_t len = 8; len < 16; len++)
		steer_check(p, fd, m, len, GROUP_WORKERS);
	for (unsigned at = 0; at < 4; at++) {
		m[at] ^= 1;
		steer_check(p, fd, m, 40, GROUP_WORKERS);
		m[at] ^= 1;
		m[8 + at] ^= 1;
		steer_check(p, fd, m, 40, GROUP_WORKERS);
		m[8 + at] ^= 1;
	}
}

static void steer_family(enum tt_family family)
{
	static const uint32_t index[] = {0,	     1,		 2,	    3,	      255,
					 256,	     65535,	 65536,	    1u << 24, 0x80000001,
					 0xfffffffe, 0xffffffff, 0x12345678};
	int fd[GROUP_SIZE];
	uint16_t udp_port;
	struct pair p;

	if (!pair_open(&p, family) || !group_open(fd, family, &udp_port))
		return;
	p.dest = dest_to(loopback(family), udp_port);
	int err = plat_udp_steer(fd[1], GROUP_WORKERS);
	if (err == -ENOTSUP) {
		tt_test_skip(1, "no steering on this platform");
	} else {
		uint8_t m[64] = {4};

		CU_ASSERT_EQUAL_FATAL(err, 0);
		for (unsigned i = 0; i < TT_ARRAY_LEN(index); i++) {
			tt_store_le32(m + 4, index[i]);
			steer_check(&p, fd, m, 32, index[i] % GROUP_WORKERS);
			steer_check(&p, fd, m, 8, index[i] % GROUP_WORKERS);
		}
		steer_relayed(&p, fd, index, TT_ARRAY_LEN(index));
		for (uint32_t len = 0; len < 8; len++)
			steer_check(&p, fd, m, len, GROUP_WORKERS);
		for (unsigned type = 0; type < 256; type++) {
			m[0] = (uint8_t)type;
			steer_check(&p, fd, m, 40, type == 4 ? 0x12345678 % 3 : GROUP_WORKERS);
		}
		for (unsigned reserved = 1; reserved < 4; reserved++) {
			uint8_t bad[32] = {4};

			bad[reserved] = 1;
			steer_check(&p, fd, bad, 32, GROUP_WORKERS);
		}
		CU_ASSERT_EQUAL(plat_udp_steer(fd[0], 0), -EINVAL);
	}
	for (unsigned i = 0; i < GROUP_SIZE; i++)
		close(fd[i]);
	pair_close(&p);
}

static void steering(void)
{
	for (unsigned f = 0; f < 2; f++)
		steer_family(families[f]);
}

static void same_port_twice(void)
{
	struct plat_udp_options opt = {.family = TT_FAMILY_V4};
	uint16_t udp_port, other;
	int fd = plat_udp_open(&opt, &udp_port);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_NOT_EQUAL(udp_port, 0);
	opt.udp_port = udp_port;
	CU_ASSERT_EQUAL(plat_udp_open(&opt, &other), -EADDRINUSE);
	/* The other family's port of the same number is another one. */
	opt.family = TT_FAMILY_V6;
	int fd6 = plat_udp_open(&opt, &other);
	CU_ASSERT_TRUE(fd6 >= 0 || fd6 == -EAFNOSUPPORT || fd6 == -EADDRINUSE);
	if (fd6 >= 0) {
		CU_ASSERT_EQUAL(other, udp_port);
		close(fd6);
	}
	close(fd);
	opt.family = TT_FAMILY_NONE;
	CU_ASSERT_EQUAL(plat_udp_open(&opt, &other), -EINVAL);
}

static void probe_without_loopback(void)
{
	unsigned with_loopback = plat_udp_probe();

	if (!tt_netns_enter(1))
		return;
	CU_ASSERT_EQUAL(plat_udp_probe(), with_loopback);
	CU_ASSERT_EQUAL_FATAL(tt_sh("ip link set lo down"), 0);
	struct tt_mono start = plat_clock_mono();
	CU_ASSERT_EQUAL(plat_udp_probe(), with_loopback);
	/* soon, also on a busy machine */
	CU_ASSERT_TRUE(tt_mono_since(plat_clock_mono(), start) < 10 * TT_NS_PER_SEC);
	tt_netns_leave();
}

/* A firewall plays the kernel that grants an offload and then loses its packets. */
static void probe_broken(void)
{
	struct plat_udp_offloads o;
	unsigned flags = plat_udp_probe_offloads(&o);

	CU_ASSERT_EQUAL(flags & PLAT_UDP_GSO ? PLAT_OFFLOAD_PROVED : PLAT_OFFLOAD_REFUSED, o.gso);
	if (!(flags & PLAT_UDP_GSO) || !tt_netns_enter(1))
		return;
	CU_ASSERT_EQUAL(tt_sh("ip link set lo down"), 0);
	CU_ASSERT_EQUAL(plat_udp_probe_offloads(&o), flags);
	CU_ASSERT_EQUAL(o.gso, PLAT_OFFLOAD_UNPROVED);
	CU_ASSERT_EQUAL(tt_sh("ip link set lo up"), 0);
	if (tt_sh("nft 'table inet lie { chain i { type filter hook input priority 0; "
		  "meta length > 2000 drop; }; }'") == 0) {
		CU_ASSERT_EQUAL(plat_udp_probe_offloads(&o), 0);
		CU_ASSERT_EQUAL(o.gso, PLAT_OFFLOAD_BROKEN);
		CU_ASSERT_EQUAL(o.gro, PLAT_OFFLOAD_REFUSED);
	} else {
		tt_test_skip(1, "no nft here");
	}
	tt_netns_leave();
}

/* How large one datagram came in, 0 where none did. */
static uint32_t received_len(const struct pair *p)
{
	struct plat_udp_rx rx;

	return receive(p->rx, &rx, 1) == 1 ? rx.len : 0;
}

static void probe_family(enum tt_family family)
{
	struct pair p;

	if (!pair_open(&p, family))
		return;
	int err = plat_udp_send_probe(p.tx, &p.dest, data, 1400);
	if (err == -ENOTSUP) {
		tt_test_skip(1, "no DF on this platform");
		pair_close(&p);
		return;
	}
	CU_ASSERT_EQUAL(err, 0);
	CU_ASSERT_EQUAL(received_len(&p), 1400);
	CU_ASSERT_EQUAL(plat_udp_send_probe(p.tx, &p.dest, data, 1473), -EMSGSIZE);
	CU_ASSERT_EQUAL(plat_udp_send_probe(p.tx, &p.dest, data, 9000), -EMSGSIZE);
	/* what is sent otherwise is cut as before */
	CU_ASSERT_EQUAL(send_one(&p, 9000, 9000, 0), 0);
	CU_ASSERT_EQUAL(received_len(&p), 9000);
	CU_ASSERT_NOT_EQUAL(plat_udp_send_probe(-1, &p.dest, data, 10), 0);
	pair_close(&p);
}

static void path_probe(void)
{
	if (!tt_netns_enter(1))
		return;
	CU_ASSERT_EQUAL_FATAL(tt_sh("ip link set lo mtu 1500"), 0);
	for (unsigned f = 0; f < 2; f++)
		probe_family(families[f]);
	tt_netns_leave();
}

TT_TESTS("udp_io", {"nothing there", nothing_there}, {"batches", batches},
	 {"super-datagrams", supers}, {"mixed batch", mixed_batch}, {"ecn", ecn},
	 {"truncation", truncation}, {"case 32: sticky source", sticky_source},
	 {"case 32: lost source", lost_source}, {"case 35: errors stay alone", errors_stay_alone},
	 {"segments above the MTU", segments_above_mtu}, {"case 35: full buffer", full_buffer},
	 {"steering", steering}, {"path probe", path_probe}, {"same port twice", same_port_twice},
	 {"probe without loopback", probe_without_loopback}, {"probe broken", probe_broken})
