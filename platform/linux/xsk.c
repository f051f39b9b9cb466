/* SPDX-License-Identifier: MIT
 *
 * The engine's part of an AF_XDP socket. libxdp cannot adopt a descriptor, so options, mappings and
 * bind are made here; its inlines work the rings.
 */
#include "plat/xsk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif
#define BIND_RETRY_US	   5000
#define HOLD_MS		   10 /* packets wait no longer for a driver that gives none back */
#define ROOM_LEAST	   64u
#define SELF_TEST_LEN	   60
#define SELF_TEST_TYPE	   0x88b5 /* IEEE 802 local experimental */
#define SELF_TEST_RETRY_US 200

struct ring_map {
	void *p;
	size_t len;
};

struct plat_xsk {
	int fd;
	bool zero_copy;
	uint8_t *umem;
	uint32_t umem_bytes;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons rx, completion;
	struct ring_map maps[4];
	uint32_t tx_room;	/* most packets in the driver's hands; 0: no limit */
	uint64_t held_since_ms; /* packets are held back, and nothing came back; 0: not held */
	uint32_t held_back;	/* the completion ring then */
	/* written by the owner, read by any thread */
	uint64_t kicks, again, lost, rx_wakeup;
};

static void count(uint64_t *n)
{
	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- start ------------------------------------------------------------------------------------ */

static bool is_ring_size(uint32_t n)
{
	return n > 0 && n <= PLAT_XSK_ENTRIES_MAX && (n & (n - 1)) == 0;
}

static int ring_option(int fd, int option, uint32_t entries)
{
	return setsockopt(fd, SOL_XDP, option, &entries, sizeof(entries)) < 0 ? -errno : 0;
}

static int create_rings(const struct plat_xsk *x, const struct plat_xsk_options *o)
{
	int err = ring_option(x->fd, XDP_UMEM_FILL_RING, o->fill);

	if (!err)
		err = ring_option(x->fd, XDP_UMEM_COMPLETION_RING, o->completion);
	if (!err)
		err = ring_option(x->fd, XDP_RX_RING, o->rx);
	if (!err)
		err = ring_option(x->fd, XDP_TX_RING, o->tx);
	/* One system call for a whole ring instead of 32 packets, where the kernel can. */
	if (!err)
		(void)ring_option(x->fd, XDP_MAX_TX_SKB_BUDGET, o->tx);
	return err;
}

static int map_ring(const struct plat_xsk *x, const struct xdp_ring_offset *off, size_t entry,
		    uint32_t entries, uint64_t page_offset, struct ring_map *m)
{
	size_t len = off->desc + entries * entry;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, x->fd,
		       (off_t)page_offset);

	if (p == MAP_FAILED)
		return -errno;
	*m = (struct ring_map){p, len};
	return 0;
}

/* The rings are fresh, but begin where the kernel says and not where we think. */
static void use_producer(struct xsk_ring_prod *r, const struct ring_map *m,
			 const struct xdp_ring_offset *off, uint32_t entries)
{
	uint8_t *base = m->p;

	*r = (struct xsk_ring_prod){.mask = entries - 1,
				    .size = entries,
				    .producer = (uint32_t *)(base + off->producer),
				    .consumer = (uint32_t *)(base + off->consumer),
				    .flags = (uint32_t *)(base + off->flags),
				    .ring = base + off->desc};
	r->cached_prod = *r->producer;
	r->cached_cons = *r->consumer + entries;
}

static void use_consumer(struct xsk_ring_cons *r, const struct ring_map *m,
			 const struct xdp_ring_offset *off, uint32_t entries)
{
	uint8_t *base = m->p;

	*r = (struct xsk_ring_cons){.mask = entries - 1,
				    .size = entries,
				    .producer = (uint32_t *)(base + off->producer),
				    .consumer = (uint32_t *)(base + off->consumer),
				    .flags = (uint32_t *)(base + off->flags),
				    .ring = base + off->desc};
	r->cached_prod = *r->producer;
	r->cached_cons = *r->consumer;
}

static int map_rings(struct plat_xsk *x, const struct plat_xsk_options *o)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	int err;

	if (getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) < 0)
		return -errno;
	if (len != sizeof(off))
		return -EOPNOTSUPP;
	err = map_ring(x, &off.fr, sizeof(uint64_t), o->fill, XDP_UMEM_PGOFF_FILL_RING,
		       &x->maps[0]);
	if (!err)
		err = map_ring(x, &off.cr, sizeof(uint64_t), o->completion,
			       XDP_UMEM_PGOFF_COMPLETION_RING, &x->maps[1]);
	if (!err)
		err = map_ring(x, &off.rx, sizeof(struct xdp_desc), o->rx, XDP_PGOFF_RX_RING,
			       &x->maps[2]);
	if (!err)
		err = map_ring(x, &off.tx, sizeof(struct xdp_desc), o->tx, XDP_PGOFF_TX_RING,
			       &x->maps[3]);
	if (err)
		return err;
	use_producer(&x->fill, &x->maps[0], &off.fr, o->fill);
	use_consumer(&x->completion, &x->maps[1], &off.cr, o->completion);
	use_consumer(&x->rx, &x->maps[2], &off.rx, o->rx);
	use_producer(&x->tx, &x->maps[3], &off.tx, o->tx);
	return 0;
}

/* A closed socket's queue is given free by a kernel worker some 20 ms later: EBUSY until then. */
static int bind_queue(const struct plat_xsk *x, const struct plat_xsk_options *o)
{
	struct sockaddr_xdp a = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP |
			      (o->mode == PLAT_XSK_ZERO_COPY ? XDP_ZEROCOPY : XDP_COPY),
		.sxdp_ifindex = o->ifindex,
		.sxdp_queue_id = o->queue,
	};
	uint64_t until = now_ms() + o->bind_wait_ms;

	while (bind(x->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno != EBUSY || now_ms() >= until)
			return -errno;
		usleep(BIND_RETRY_US);
	}
	return 0;
}

static int read_mode(struct plat_xsk *x)
{
	struct xdp_options o = {0};
	socklen_t len = sizeof(o);

	if (getsockopt(x->fd, SOL_XDP, XDP_OPTIONS, &o, &len) < 0)
		return -errno;
	x->zero_copy = o.flags & XDP_OPTIONS_ZEROCOPY;
	return 0;
}

/* Not locked: the pages are pinned anyway, and the limit is needed for keys. */
static int map_umem(struct plat_xsk *x, const struct plat_xsk_offer *o)
{
	void *p = mmap(NULL, o->umem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       o->umem_fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	(void)madvise(p, o->umem_bytes, MADV_DONTDUMP);
	x->umem = p;
	x->umem_bytes = o->umem_bytes;
	return 0;
}

static int xsk_set_up(struct plat_xsk *x, const struct plat_xsk_options *o)
{
	int err = map_umem(x, &o->offer);

	if (!err)
		err = create_rings(x, o);
	if (!err)
		err = map_rings(x, o);
	if (!err)
		err = bind_queue(x, o);
	return err ? err : read_mode(x);
}

int plat_xsk_start(const struct plat_xsk_options *opt, struct plat_xsk **out)
{
	struct plat_xsk_offer offer = opt->offer;
	struct plat_xsk *x;
	int err;

	if (!is_ring_size(opt->fill) || !is_ring_size(opt->rx) || !is_ring_size(opt->tx) ||
	    !is_ring_size(opt->completion)) {
		plat_xsk_offer_close(&offer);
		return -EINVAL;
	}
	x = calloc(1, sizeof(*x));
	if (!x) {
		plat_xsk_offer_close(&offer);
		return -ENOMEM;
	}
	x->fd = offer.fd;
	x->tx_room = opt->tx_room;
	err = xsk_set_up(x, opt);
	close(offer.umem_fd);
	if (err) {
		plat_xsk_stop(x);
		return err;
	}
	*out = x;
	return 0;
}

void plat_xsk_stop(struct plat_xsk *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(x->maps); i++)
		if (x->maps[i].p)
			munmap(x->maps[i].p, x->maps[i].len);
	if (x->umem)
		munmap(x->umem, x->umem_bytes);
	close(x->fd);
	free(x);
}

int plat_xsk_fd(const struct plat_xsk *x)
{
	return x->fd;
}

enum plat_xsk_mode plat_xsk_mode_got(const struct plat_xsk *x)
{
	return x->zero_copy ? PLAT_XSK_ZERO_COPY : PLAT_XSK_COPY;
}

uint8_t *plat_xsk_umem(const struct plat_xsk *x, uint32_t *bytes)
{
	*bytes = x->umem_bytes;
	return x->umem;
}

/* --- rings ------------------------------------------------------------------------------------ */

static unsigned ring_level(const uint32_t *producer, const uint32_t *consumer)
{
	uint32_t c = __atomic_load_n(consumer, __ATOMIC_ACQUIRE);

	return __atomic_load_n(producer, __ATOMIC_ACQUIRE) - c;
}

unsigned plat_xsk_rx(struct plat_xsk *x, struct plat_xsk_desc *d, unsigned max)
{
	uint32_t at;
	unsigned n = xsk_ring_cons__peek(&x->rx, max, &at);

	for (unsigned i = 0; i < n; i++) {
		const struct xdp_desc *k = xsk_ring_cons__rx_desc(&x->rx, at + i);

		d[i] = (struct plat_xsk_desc){.addr = (uint32_t)k->addr, .len = k->len};
	}
	if (n)
		xsk_ring_cons__release(&x->rx, n);
	return n;
}

unsigned plat_xsk_rx_pending(const struct plat_xsk *x)
{
	return ring_level(x->rx.producer, x->rx.consumer);
}

unsigned plat_xsk_fill(struct plat_xsk *x, const uint32_t *addr, unsigned n)
{
	unsigned room = xsk_prod_nb_free(&x->fill, n);
	uint32_t at;

	n = TT_MIN(n, room);
	if (n && xsk_ring_prod__reserve(&x->fill, n, &at) == n) {
		for (unsigned i = 0; i < n; i++)
			*xsk_ring_prod__fill_addr(&x->fill, at + i) = addr[i];
		xsk_ring_prod__submit(&x->fill, n);
	}
	if (xsk_ring_prod__needs_wakeup(&x->fill)) {
		count(&x->rx_wakeup);
		(void)recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	}
	return n;
}

unsigned plat_xsk_fill_level(const struct plat_xsk *x)
{
	return ring_level(x->fill.producer, x->fill.consumer);
}

unsigned plat_xsk_tx(struct plat_xsk *x, const struct plat_xsk_desc *d, unsigned n)
{
	unsigned room = xsk_prod_nb_free(&x->tx, n);
	uint32_t at;

	n = TT_MIN(n, room);
	if (n == 0 || xsk_ring_prod__reserve(&x->tx, n, &at) != n)
		return 0;
	for (unsigned i = 0; i < n; i++)
		*xsk_ring_prod__tx_desc(&x->tx, at + i) =
			(struct xdp_desc){.addr = d[i].addr, .len = d[i].len};
	/* with a limit they are in the ring, but not shown to the kernel before the next kick */
	if (!x->tx_room)
		xsk_ring_prod__submit(&x->tx, n);
	return n;
}

unsigned plat_xsk_tx_pending(const struct plat_xsk *x)
{
	return ring_level(x->tx.producer, x->tx.consumer);
}

/* Packets that the kernel took and has not given back: those in the driver's hands. */
static uint32_t in_driver(const struct plat_xsk *x)
{
	uint32_t back = __atomic_load_n(x->completion.producer, __ATOMIC_ACQUIRE);

	/* both rings began at zero, and every packet that leaves the one comes to the other */
	return __atomic_load_n(x->tx.consumer, __ATOMIC_ACQUIRE) - back;
}

/* False where nothing has come back for long: then holding packets back is of no use. */
static bool may_hold(struct plat_xsk *x)
{
	uint32_t back = __atomic_load_n(x->completion.producer, __ATOMIC_ACQUIRE);
	uint64_t now = now_ms();

	if (!x->held_since_ms || back != x->held_back) {
		x->held_back = back;
		x->held_since_ms = now;
	}
	return now - x->held_since_ms < HOLD_MS;
}

/* Shows the kernel as much of what is in tx as the driver has room for. Returns what it sees. */
static unsigned publish(struct plat_xsk *x)
{
	uint32_t hidden = x->tx.cached_prod - *x->tx.producer;
	unsigned seen = ring_level(x->tx.producer, x->tx.consumer);

	if (x->tx_room && hidden) {
		uint32_t busy = in_driver(x) + seen;
		uint32_t room = busy < x->tx_room ? x->tx_room - busy : 0;

		if (hidden <= room)
			x->held_since_ms = 0;
		else if (may_hold(x)) /* not by ones and twos: each time is a system call */
			hidden = room < TT_MIN(ROOM_LEAST, x->tx_room) ? 0 : room;
	}
	if (hidden)
		xsk_ring_prod__submit(&x->tx, hidden);
	return seen + hidden;
}

unsigned plat_xsk_complete(struct plat_xsk *x, uint32_t *addr, unsigned max)
{
	uint32_t at;
	unsigned n = xsk_ring_cons__peek(&x->completion, max, &at);

	for (unsigned i = 0; i < n; i++)
		addr[i] = (uint32_t)*xsk_ring_cons__comp_addr(&x->completion, at + i);
	if (n)
		xsk_ring_cons__release(&x->completion, n);
	return n;
}

enum kick_result { KICK_DONE, KICK_MORE, KICK_LATER, KICK_FAILED };

/*
 * One system call. In copy mode the kernel sends a budget of packets in it: EAGAIN when that, or
 * buffers, ran out; EBUSY when the driver refused one packet, which is then completed and lost. In
 * zero-copy mode it only wakes the driver, and EBUSY means that it is being reconfigured.
 */
static enum kick_result kick_once(struct plat_xsk *x, int *err)
{
	count(&x->kicks);
	if (sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
		return x->zero_copy ? KICK_DONE : KICK_MORE;
	*err = -errno;
	switch (errno) {
	case EBUSY:
		if (x->zero_copy)
			return KICK_LATER;
		count(&x->lost);
		return KICK_MORE;
	case EINTR:
		return KICK_MORE;
	case EAGAIN:
		count(&x->again);
		return x->zero_copy ? KICK_LATER : KICK_MORE;
	case ENOBUFS:
	case ENOMEM:
		return KICK_LATER;
	default:
		return KICK_FAILED;
	}
}

int plat_xsk_kick(struct plat_xsk *x)
{
	unsigned before = publish(x);
	int err = 0;

	/* Each turn takes packets from the ring, which only we fill, or ends the loop. */
	while (before > 0 && xsk_ring_prod__needs_wakeup(&x->tx)) {
		enum kick_result r = kick_once(x, &err);
		unsigned after = ring_level(x->tx.producer, x->tx.consumer);

		if (r == KICK_FAILED)
			return err;
		if (r == KICK_DONE)
			return 0;
		if (after > 0 && (r == KICK_LATER || after == before))
			return -EAGAIN;
		before = publish(x);
	}
	return x->tx.cached_prod == *x->tx.producer ? 0 : -EAGAIN;
}

int plat_xsk_stats_get(const struct plat_xsk *x, struct plat_xsk_stats *out)
{
	struct xdp_statistics s = {0};
	socklen_t len = sizeof(s);

	*out = (struct plat_xsk_stats){0};
	if (getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &s, &len) < 0)
		return -errno;
	*out = (struct plat_xsk_stats){
		.rx_dropped = s.rx_dropped,
		.rx_ring_full = s.rx_ring_full,
		.rx_fill_empty = s.rx_fill_ring_empty_descs,
		.rx_invalid_desc = s.rx_invalid_descs,
		.tx_invalid_desc = s.tx_invalid_descs,
		.tx_ring_empty = s.tx_ring_empty_descs,
		.kicks = __atomic_load_n(&x->kicks, __ATOMIC_RELAXED),
		.again = __atomic_load_n(&x->again, __ATOMIC_RELAXED),
		.lost = __atomic_load_n(&x->lost, __ATOMIC_RELAXED),
		.rx_wakeup = __atomic_load_n(&x->rx_wakeup, __ATOMIC_RELAXED),
	};
	return 0;
}

int plat_xsk_self_test(struct plat_xsk *x, const uint8_t mac[6], uint32_t frame_addr)
{
	struct plat_xsk_desc d = {.addr = frame_addr, .len = SELF_TEST_LEN};
	uint8_t *f = plat_xsk_data(x->umem, frame_addr);
	uint64_t until = now_ms() + PLAT_XSK_SELF_TEST_MS;
	uint32_t back;
	int err;

	memset(f, 0, SELF_TEST_LEN);
	memcpy(f, mac, 6);
	memcpy(f + 6, mac, 6);
	tt_store_be16(f + 12, SELF_TEST_TYPE);
	if (plat_xsk_tx(x, &d, 1) != 1)
		return -EBUSY;
	do {
		err = plat_xsk_kick(x);
		if (err && err != -EAGAIN)
			return err;
		if (plat_xsk_complete(x, &back, 1) == 1)
			return 0;
		usleep(SELF_TEST_RETRY_US);
	} while (now_ms() < until);
	return -ETIME;
}
