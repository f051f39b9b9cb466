/* SPDX-License-Identifier: MIT
 *
 * A veth pair in a namespace of its own: xa is ours, frames come from and go to xb by a packet
 * socket; steering and a socket on xa. Needs root.
 */
#ifndef TT_TEST_XSK_FIXTURE_H
#define TT_TEST_XSK_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "plat/xdp.h"
#include "plat/xsk.h"
#include "steer/shared.h"
#include "tt_netns.h"
#include "tt_test.h"

#define FX_UNUSED __attribute__((unused))

#define UMEM	   (256 * PLAT_XSK_FRAME)
#define RX_FRAMES  128 /* the first half; the other is for sending */
#define UDP_PORT   51820
#define INDEX	   0x77001234u
#define HEADERS	   42
#define MESSAGE	   96
#define FRAME_LEN  (HEADERS + MESSAGE)
#define WAIT_MS	   1000
#define SILENCE_MS 50

static const FX_UNUSED uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

static struct {
	uint32_t ifindex;
	int peer;	  /* packet socket on xb */
	int plain;	  /* the kernel's UDP socket for the tunnel udp_port */
	uint32_t tx_room; /* of sockets that are started from now on */
	char why[PLAT_XDP_WHY_MAX];
} w;

/* --- the wire --------------------------------------------------------------------------------- */

static FX_UNUSED int packet_socket(const char *name)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
				.sll_protocol = htons(ETH_P_ALL),
				.sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return fd;
}

static FX_UNUSED int plain_socket(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(UDP_PORT)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static FX_UNUSED bool enter(unsigned mtu)
{
	if (!tt_netns_enter(1))
		return false;
	if (tt_sh("ip link add xa address 02:00:00:00:00:0a mtu %u numrxqueues 1 numtxqueues 1"
		  " type veth peer name xb address 02:00:00:00:00:0b mtu %u numrxqueues 1"
		  " numtxqueues 1 && { sysctl -w net.ipv6.conf.xa.disable_ipv6=1"
		  " net.ipv6.conf.xb.disable_ipv6=1; ip link set xa up && ip link set xb up &&"
		  " ip addr add 10.7.0.1/24 dev xa; }",
		  mtu, mtu)) {
		tt_test_skip(1, "no veth here");
		tt_netns_leave();
		return false;
	}
	w.ifindex = if_nametoindex("xa");
	w.peer = packet_socket("xb");
	w.plain = plain_socket();
	return true;
}

static FX_UNUSED void leave(void)
{
	close(w.peer);
	close(w.plain);
	tt_netns_leave();
}

/* A datagram with a WireGuard message from 10.7.0.2 to 10.7.0.1; number makes it recognisable. */
static FX_UNUSED void build(uint8_t f[FRAME_LEN], uint32_t type, uint32_t index, uint8_t number)
{
	uint32_t sum = 0;

	memset(f, number, FRAME_LEN);
	memcpy(f, mac_a, 6);
	memcpy(f + 6, mac_b, 6);
	tt_store_be16(f + 12, ETH_P_IP);
	memset(f + 14, 0, 20);
	f[14] = 0x45;
	tt_store_be16(f + 16, 28 + MESSAGE);
	f[22] = 64;
	f[23] = IPPROTO_UDP;
	memcpy(f + 26, (uint8_t[]){10, 7, 0, 2, 10, 7, 0, 1}, 8);
	for (unsigned i = 14; i < 34; i += 2)
		sum += tt_load_be16(f + i);
	sum = (sum & 0xffff) + (sum >> 16);
	tt_store_be16(f + 24, (uint16_t)~sum);
	tt_store_be16(f + 34, 40000);
	tt_store_be16(f + 36, UDP_PORT);
	tt_store_be16(f + 38, 8 + MESSAGE);
	tt_store_be16(f + 40, 0); /* no checksum */
	tt_store_le32(f + 42, type);
	tt_store_le32(f + 46, index);
}

static FX_UNUSED void send_from_peer(uint32_t type, uint32_t index, uint8_t number)
{
	uint8_t f[FRAME_LEN];

	build(f, type, index, number);
	CU_ASSERT_EQUAL(send(w.peer, f, sizeof(f), 0), (ssize_t)sizeof(f));
}

/* Length of a packet that comes to fd within ms, or -1. */
static FX_UNUSED ssize_t receive(int fd, void *buf, size_t cap, int ms)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, ms) > 0 ? recv(fd, buf, cap, MSG_DONTWAIT) : -1;
}

static FX_UNUSED bool plain_gets(int ms)
{
	uint8_t buf[2048];

	return receive(w.plain, buf, sizeof(buf), ms) == MESSAGE;
}

static FX_UNUSED unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* --- steering and socket ---------------------------------------------------------------------- */

static const FX_UNUSED enum plat_xdp_mode modes[] = {PLAT_XDP_MODE_DRIVER, PLAT_XDP_MODE_GENERIC};

static FX_UNUSED int attach(enum plat_xdp_mode mode, const char *owner, struct plat_xdp **out)
{
	struct plat_xdp_options o = {.ifindex = w.ifindex, .mode = mode, .owner = owner};

	return plat_xdp_attach(&o, out, w.why);
}

/* False, and a skip counted, where it is not allowed at all. */
static FX_UNUSED bool attached(enum plat_xdp_mode mode, struct plat_xdp **x)
{
	const struct tt_ip ours = tt_ip_v4((uint8_t[]){10, 7, 0, 1});
	const uint16_t udp_port = UDP_PORT;
	int err = attach(mode, "tt0", x);

	if (err == -EPERM || err == -EACCES) {
		tt_test_skip(1, "no right to load BPF programs");
		return false;
	}
	if (err)
		printf("  %s\n", w.why);
	CU_ASSERT_EQUAL_FATAL(err, 0);
	CU_ASSERT_EQUAL(plat_xdp_set_udp_ports(*x, &udp_port, 1), 0);
	CU_ASSERT_EQUAL(plat_xdp_set_addresses(*x, &ours, 1), 0);
	return true;
}

static FX_UNUSED struct plat_xdp_view *view_of(const struct plat_xdp *x)
{
	struct plat_xdp_fds fds;
	struct plat_xdp_view *v = NULL;

	plat_xdp_fds_get(x, &fds);
	fds.sockets = dup(fds.sockets);
	fds.index = dup(fds.index);
	fds.config = dup(fds.config);
	fds.counters = dup(fds.counters);
	CU_ASSERT_EQUAL_FATAL(plat_xdp_view_open(&fds, &v), 0);
	return v;
}

static FX_UNUSED int start(enum plat_xsk_mode mode, uint32_t queue, struct plat_xsk **out)
{
	struct plat_xsk_options o = {.ifindex = w.ifindex,
				     .queue = queue,
				     .mode = mode,
				     .fill = 256,
				     .rx = 128,
				     .tx = 128,
				     .completion = 256,
				     .tx_room = w.tx_room,
				     .bind_wait_ms = PLAT_XSK_REBIND_MS};
	int err = plat_xsk_offer_open(UMEM, &o.offer);

	CU_ASSERT_EQUAL_FATAL(err, 0);
	return plat_xsk_start(&o, out);
}

static FX_UNUSED void fill_all(struct plat_xsk *x)
{
	uint32_t addr[RX_FRAMES];

	for (unsigned i = 0; i < RX_FRAMES; i++)
		addr[i] = i * PLAT_XSK_FRAME;
	CU_ASSERT_EQUAL(plat_xsk_fill(x, addr, RX_FRAMES), RX_FRAMES);
	CU_ASSERT_EQUAL(plat_xsk_fill_level(x), RX_FRAMES);
}

/* One packet within ms; its frame stays with the caller. */
static FX_UNUSED bool rx_one(struct plat_xsk *x, struct plat_xsk_desc *d, int ms)
{
	struct pollfd p = {plat_xsk_fd(x), POLLIN, 0};

	return poll(&p, 1, ms) > 0 && plat_xsk_rx(x, d, 1) == 1;
}

static FX_UNUSED bool xsk_gets(struct plat_xsk *x, uint8_t number, int ms)
{
	uint8_t want[FRAME_LEN];
	struct plat_xsk_desc d;
	uint32_t bytes, back;
	uint8_t *umem = plat_xsk_umem(x, &bytes);
	bool same;

	if (!rx_one(x, &d, ms))
		return false;
	build(want, 4, INDEX, number);
	CU_ASSERT_TRUE(d.addr % PLAT_XSK_FRAME >= PLAT_XSK_RX_OFFSET && d.addr < bytes);
	same = d.len == FRAME_LEN && memcmp(plat_xsk_data(umem, d.addr), want, FRAME_LEN) == 0;
	back = plat_xsk_frame_of(d.addr);
	CU_ASSERT_EQUAL(plat_xsk_fill(x, &back, 1), 1);
	return same;
}

static FX_UNUSED uint64_t counter(struct plat_xdp_view *v, enum steer_reason r)
{
	uint64_t n[PLAT_XDP_REASONS_MAX];

	CU_ASSERT_EQUAL(plat_xdp_view_counters(v, 0, n, PLAT_XDP_REASONS_MAX), STEER_REASON_COUNT);
	return n[r];
}

/* Everything up: program, socket on queue 0, frames, one session. */
struct rig {
	struct plat_xdp *xdp;
	struct plat_xdp_view *view;
	struct plat_xsk *xsk;
};

static FX_UNUSED bool rig_up(struct rig *r, enum plat_xdp_mode mode)
{
	if (!attached(mode, &r->xdp))
		return false;
	r->view = view_of(r->xdp);
	CU_ASSERT_EQUAL_FATAL(start(PLAT_XSK_COPY, 0, &r->xsk), 0);
	fill_all(r->xsk);
	plat_xdp_view_index_set(r->view, INDEX);
	CU_ASSERT_EQUAL(plat_xdp_view_queue_set(r->view, 0, plat_xsk_fd(r->xsk)), 0);
	return true;
}

static FX_UNUSED void rig_down(struct rig *r)
{
	CU_ASSERT_EQUAL(plat_xdp_view_queue_clear(r->view, 0), 0);
	plat_xdp_detach(r->xdp);
	plat_xsk_stop(r->xsk);
	plat_xdp_view_close(r->view);
}

#endif
