/* SPDX-License-Identifier: MIT */
#include "taltun/bench_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/netcfg.h"

#define UMEM_BYTES (8u << 20)
#define FRAMES	   (UMEM_BYTES / PLAT_XSK_FRAME)
#define RING	   FRAMES /* never full: every frame fits */
#define BATCH	   64
#define UDP_PORT   51820
#define INDEX	   0x00012345u

/* RFC 2544's range for benchmarks: nobody's addresses, and steering alone looks at them. */
static const uint8_t address[2][4] = {{198, 18, 0, 1}, {198, 18, 0, 2}};

static int fail(struct bench_wire *e, int err, const char *what)
{
	const char *hint = "";

	if (err == -EPERM || err == -EACCES)
		hint = " (it needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK)";
	else if (err == -EBUSY)
		hint = " (another AF_XDP socket has the queue: a running taltund?)";
	snprintf(e->why, sizeof(e->why), "%s: %s: %s%s", e->facts.name, what, strerror(-err), hint);
	return err;
}

int bench_wire_find(struct bench_wire *e, const char *interface)
{
	struct plat_netcfg_link link;
	int err = plat_netcfg_link_get(0, interface, &link);

	if (!err)
		err = plat_xdp_facts_get(link.ifindex, &e->facts);
	if (err) {
		snprintf(e->why, sizeof(e->why), "%s: %s", interface, strerror(-err));
		return err;
	}
	if (!e->facts.ethernet || !e->facts.up) {
		snprintf(e->why, sizeof(e->why), "%s: %s", interface,
			 e->facts.ethernet ? "it is down; ip link set it up"
					   : "no Ethernet interface, AF_XDP does not fit it");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int open_socket(struct bench_wire *e, enum plat_xsk_mode mode)
{
	struct plat_xsk_options o = {.ifindex = e->facts.ifindex,
				     .mode = mode,
				     .fill = RING,
				     .rx = RING,
				     .tx = RING,
				     .completion = RING,
				     .bind_wait_ms = PLAT_XSK_REBIND_MS};
	uint32_t bytes;
	int err = plat_xsk_offer_open(UMEM_BYTES, &o.offer);

	if (err)
		return fail(e, err, "AF_XDP socket");
	err = plat_xsk_start(&o, &e->xsk);
	if (err)
		return fail(e, err, "AF_XDP on queue 0");
	e->mode = mode;
	e->umem = plat_xsk_umem(e->xsk, &bytes);
	return 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

int bench_wire_open_send(struct bench_wire *e, enum plat_xsk_mode mode)
{
	int err = open_socket(e, mode);

	if (err)
		return err;
	e->free_frame = calloc(FRAMES, sizeof(*e->free_frame));
	if (!e->free_frame)
		return fail(e, -ENOMEM, "frames");
	for (e->free_count = 0; e->free_count < FRAMES; e->free_count++)
		e->free_frame[e->free_count] = e->free_count * PLAT_XSK_FRAME;
	return 0;
}

static void write_frame(uint8_t *f, const uint8_t to[6], const uint8_t from[6], unsigned bytes)
{
	unsigned ip_len = bytes + BENCH_WIRE_OVERHEAD - 14;
	uint32_t sum = 0;

	memset(f, 0, bytes + BENCH_WIRE_OVERHEAD);
	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	tt_store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	tt_store_be16(f + 16, (uint16_t)ip_len);
	tt_store_be16(f + 20, 0x4000); /* DF */
	f[22] = 64;
	f[23] = 17;
	memcpy(f + 26, address, sizeof(address));
	for (unsigned i = 14; i < 34; i += 2)
		sum += tt_load_be16(f + i);
	sum = (sum & 0xffff) + (sum >> 16);
	tt_store_be16(f + 24, (uint16_t) ~(sum + (sum >> 16)));
	tt_store_be16(f + 34, UDP_PORT);
	tt_store_be16(f + 36, UDP_PORT);
	tt_store_be16(f + 38, (uint16_t)(ip_len - 20));
	tt_store_le32(f + BENCH_WIRE_HEADERS, 4); /* a data message */
	tt_store_le32(f + BENCH_WIRE_HEADERS + 4, INDEX);
}

void bench_wire_fill(struct bench_wire *e, const uint8_t mac[6], unsigned bytes)
{
	for (unsigned i = 0; i < FRAMES; i++)
		write_frame(plat_xsk_data(e->umem, i * PLAT_XSK_FRAME), mac, e->facts.mac, bytes);
}

static unsigned take_completions(struct bench_wire *e)
{
	uint32_t addr[BATCH];
	unsigned n = plat_xsk_complete(e->xsk, addr, BATCH);

	for (unsigned i = 0; i < n; i++)
		e->free_frame[e->free_count++] = plat_xsk_frame_of(addr[i]);
	return n;
}

static int send_batch(struct bench_wire *e, unsigned bytes)
{
	struct plat_xsk_desc d[BATCH];
	unsigned n = TT_MIN(e->free_count, (unsigned)BATCH);

	for (unsigned i = 0; i < n; i++)
		d[i] = (struct plat_xsk_desc){e->free_frame[e->free_count - 1 - i],
					      bytes + BENCH_WIRE_OVERHEAD};
	e->free_count -= plat_xsk_tx(e->xsk, d, n);
	int err = plat_xsk_kick(e->xsk);

	return err == -EAGAIN ? 0 : err;
}

static uint64_t lost(const struct bench_wire *e)
{
	struct plat_xsk_stats st;

	return plat_xsk_stats_get(e->xsk, &st) ? 0 : st.lost;
}

int bench_wire_send(struct bench_wire *e, unsigned bytes, uint64_t *ns, uint64_t *sent)
{
	struct tt_mono start = plat_clock_mono();
	uint64_t lost_before = lost(e), passed = 0, completed = 0;
	int err = 0;

	while (passed < *ns && !err) {
		err = send_batch(e, bytes);
		completed += take_completions(e);
		passed = tt_mono_since(plat_clock_mono(), start);
	}
	uint64_t thrown = lost(e) - lost_before;

	*ns = passed;
	*sent = completed > thrown ? completed - thrown : 0;
	return err ? fail(e, err, "sending") : 0;
}

/* --- receiving -------------------------------------------------------------------------------- */

static int attach(struct bench_wire *e)
{
	struct plat_xdp_options o = {.ifindex = e->facts.ifindex, .owner = "bench"};
	char why[PLAT_XDP_WHY_MAX];
	int err;

	e->steering = PLAT_XDP_MODE_DRIVER;
	o.mode = e->steering;
	err = plat_xdp_attach(&o, &e->xdp, why);
	if (err == -EOPNOTSUPP) {
		e->steering = PLAT_XDP_MODE_GENERIC;
		o.mode = e->steering;
		err = plat_xdp_attach(&o, &e->xdp, why);
	}
	if (err)
		snprintf(e->why, sizeof(e->why), "%s: %s", e->facts.name, why);
	return err;
}

static int steer(struct bench_wire *e)
{
	uint16_t udp_port = UDP_PORT;
	struct tt_ip us = {.family = TT_FAMILY_V4};
	struct plat_xdp_fds fds;
	int err;

	memcpy(us.b, address[1], sizeof(address[1]));
	err = plat_xdp_set_udp_ports(e->xdp, &udp_port, 1);
	if (!err)
		err = plat_xdp_set_addresses(e->xdp, &us, 1);
	if (err)
		return fail(e, err, "steering");
	plat_xdp_fds_get(e->xdp, &fds);
	fds = (struct plat_xdp_fds){dup(fds.sockets), dup(fds.index), dup(fds.config),
				    dup(fds.counters)};
	err = plat_xdp_view_open(&fds, &e->view);
	if (err)
		return fail(e, err, "maps of the steering program");
	plat_xdp_view_set_capacity(e->view, PLAT_XDP_SLOTS);
	plat_xdp_view_index_set(e->view, INDEX);
	err = plat_xdp_view_queue_set(e->view, 0, plat_xsk_fd(e->xsk));
	return err ? fail(e, err, "socket map") : 0;
}

int bench_wire_open_receive(struct bench_wire *e, enum plat_xsk_mode mode)
{
	uint32_t addr[FRAMES];
	int err = attach(e);

	if (!err)
		err = open_socket(e, mode);
	if (err)
		return err;
	for (unsigned i = 0; i < FRAMES; i++)
		addr[i] = i * PLAT_XSK_FRAME;
	plat_xsk_fill(e->xsk, addr, FRAMES);
	return steer(e);
}

unsigned bench_wire_receive(struct bench_wire *e)
{
	struct plat_xsk_desc d[BATCH];
	uint32_t addr[BATCH];
	unsigned n = plat_xsk_rx(e->xsk, d, BATCH);

	for (unsigned i = 0; i < n; i++)
		addr[i] = plat_xsk_frame_of(d[i].addr);
	if (n)
		plat_xsk_fill(e->xsk, addr, n);
	atomic_fetch_add_explicit(&e->received, n, memory_order_relaxed);
	return n;
}

void bench_wire_close(struct bench_wire *e)
{
	if (e->view && e->xsk)
		(void)plat_xdp_view_queue_clear(e->view, 0);
	plat_xdp_view_close(e->view);
	plat_xdp_detach(e->xdp);
	plat_xsk_stop(e->xsk);
	free(e->free_frame);
	e->view = NULL;
	e->xdp = NULL;
	e->xsk = NULL;
	e->free_frame = NULL;
}
