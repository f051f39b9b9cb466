/* SPDX-License-Identifier: MIT
 *
 * AF_XDP sockets: one queue of one interface, with its own packet memory (UMEM).
 *
 * The monitor makes socket and memory, because creating the socket and pinning memory need rights;
 * the engine gets both descriptors, sets up rings and binds. The engine holds the only descriptor
 * afterwards: when it dies, the socket and its place in the socket map go.
 *
 * A frame is PLAT_XSK_FRAME bytes of the UMEM at a multiple of that size; its *address* is a byte
 * offset into the UMEM, of which plat_xsk_data() makes a pointer. A frame is owned by the caller or
 * by one of the four rings, never by both:
 *	fill       caller -> kernel: empty frames to receive into; any address within the frame
 *	rx         kernel -> caller: packets; data starts PLAT_XSK_RX_OFFSET or more into the frame
 *	tx         caller -> kernel: packets, anywhere within a frame
 *	completion kernel -> caller: frames of sent, or lost, packets; addresses as given to tx
 * All calls that touch rings are the owner thread's. In copy mode over some drivers (virtio) the
 * kernel sends from the frame itself: it is the kernel's until it comes back by completion.
 */
#ifndef TT_PLAT_XSK_H
#define TT_PLAT_XSK_H

#include "base/types.h"

#define PLAT_XSK_FRAME	      4096u
#define PLAT_XSK_RX_OFFSET    256u /* room in front of a received packet */
#define PLAT_XSK_RX_MAX	      (PLAT_XSK_FRAME - PLAT_XSK_RX_OFFSET)
#define PLAT_XSK_UMEM_DEFAULT (16u << 20)
#define PLAT_XSK_UMEM_MAX     (1u << 30)
#define PLAT_XSK_ENTRIES_MAX  (1u << 15) /* of one ring */
#define PLAT_XSK_REBIND_MS    3000u	 /* longest a queue stays busy after its last socket */
#define PLAT_XSK_SELF_TEST_MS 100u

/* --- monitor ---------------------------------------------------------------------------------- */

struct plat_xsk_offer {
	int fd;	     /* AF_XDP socket, close-on-exec, UMEM registered, nothing else */
	int umem_fd; /* the memory: a sealed memory file */
	uint32_t umem_bytes;
};

/*
 * umem_bytes: a multiple of PLAT_XSK_FRAME, at most PLAT_XSK_UMEM_MAX. The memory is pinned at
 * once: CAP_IPC_LOCK, or RLIMIT_MEMLOCK must allow it (-ENOBUFS, -EPERM). -EAFNOSUPPORT: the kernel
 * has no AF_XDP; -ENOTSUP: this system has none. Close the offer once it was passed on: as long as
 * the monitor holds it, a dead engine's queue stays taken.
 */
int plat_xsk_offer_open(uint32_t umem_bytes, struct plat_xsk_offer *out);
void plat_xsk_offer_close(struct plat_xsk_offer *o); /* idempotent; sets descriptors to -1 */

/* --- engine ----------------------------------------------------------------------------------- */

struct plat_xsk;

enum plat_xsk_mode {
	PLAT_XSK_COPY,	    /* the kernel copies; whatever the driver */
	PLAT_XSK_ZERO_COPY, /* the NIC reads and writes the UMEM */
};

struct plat_xsk_options {
	struct plat_xsk_offer offer; /* taken in success and failure */
	uint32_t ifindex;
	uint32_t queue;
	enum plat_xsk_mode mode; /* this one or an error */
	/*
	 * Entries of the rings, powers of two. completion >= the frames that can be out for
	 * sending, fill >= the frames for receiving: then neither ring is ever full.
	 */
	uint32_t fill, rx, tx, completion;
	/* Most packets in the driver's hands at a time, the others wait in tx; 0: no limit. For
	 * drivers that throw away what they have no room for. */
	uint32_t tx_room;
	uint32_t
		bind_wait_ms; /* wait this long where the queue is still busy: PLAT_XSK_REBIND_MS */
};

/*
 * Rings, memory mapping, bind. Blocks up to bind_wait_ms. 0, or -errno: -EBUSY: another socket has
 * the queue; -EOPNOTSUPP, -EINVAL: no such mode (or queue, or frame too small for the MTU) with
 * this driver; -ENODEV; -ENETDOWN.
 */
int plat_xsk_start(const struct plat_xsk_options *opt, struct plat_xsk **out);
/* Unmaps and closes. All frames are gone. NULL is allowed. Clear its place in the socket map first.
 */
void plat_xsk_stop(struct plat_xsk *x);

int plat_xsk_fd(const struct plat_xsk *x); /* readable: rx has packets */
/* What bind really gave. */
enum plat_xsk_mode plat_xsk_mode_got(const struct plat_xsk *x);
uint8_t *plat_xsk_umem(const struct plat_xsk *x, uint32_t *bytes);

static inline uint8_t *plat_xsk_data(uint8_t *umem, uint32_t addr)
{
	return umem + addr;
}

static inline uint32_t plat_xsk_frame_of(uint32_t addr)
{
	return addr & ~(PLAT_XSK_FRAME - 1);
}

struct plat_xsk_desc {
	uint32_t addr;
	uint32_t len;
};

/*
 * Takes up to max received packets; their ring entries are free again at once, the frames are the
 * caller's. Returns their number.
 */
unsigned plat_xsk_rx(struct plat_xsk *x, struct plat_xsk_desc *d, unsigned max);
/* Packets that wait in the rx ring (the kernel's view: may grow at any time). */
unsigned plat_xsk_rx_pending(const struct plat_xsk *x);
/*
 * Gives frames to receive into; returns how many the ring took (the others stay the caller's), and
 * wakes the driver where it asks for it.
 */
unsigned plat_xsk_fill(struct plat_xsk *x, const uint32_t *addr, unsigned n);
/* Frames in the fill ring: 0 means that the queue drops. */
unsigned plat_xsk_fill_level(const struct plat_xsk *x);
/* Queues packets; returns how many the ring took. Nothing is sent before plat_xsk_kick(). */
unsigned plat_xsk_tx(struct plat_xsk *x, const struct plat_xsk_desc *d, unsigned n);
/* Packets that the kernel has not taken from the tx ring yet. */
unsigned plat_xsk_tx_pending(const struct plat_xsk *x);
/*
 * Makes the kernel send what tx holds: 0: it has it all (or, in zero-copy mode, is at work);
 * -EAGAIN: it stopped in between (buffers): take completions, call again; -ENETDOWN, -ENXIO,
 * -errno: the interface is down or gone. Packets that the driver threw away count as `lost`; their
 * frames come back by completion as others do.
 */
int plat_xsk_kick(struct plat_xsk *x);
/* Takes up to max frames back; returns their number. */
unsigned plat_xsk_complete(struct plat_xsk *x, uint32_t *addr, unsigned max);

struct plat_xsk_stats {
	/* the kernel's */
	uint64_t rx_dropped;	  /* no memory, or longer than a frame */
	uint64_t rx_ring_full;	  /* we were too slow */
	uint64_t rx_fill_empty;	  /* no frame to receive into */
	uint64_t rx_invalid_desc; /* a bug of ours */
	uint64_t tx_invalid_desc; /* a bug of ours */
	uint64_t tx_ring_empty;
	/* ours */
	uint64_t kicks;	    /* system calls for sending */
	uint64_t again;	    /* of them, stopped by the kernel in between */
	uint64_t lost;	    /* packets that the driver threw away */
	uint64_t rx_wakeup; /* system calls for refilling */
};

/* Any thread; the four of ours may be a moment old. 0 or -errno. */
int plat_xsk_stats_get(const struct plat_xsk *x, struct plat_xsk_stats *out);

/*
 * Sends one frame of ethertype 0x88B5 from mac to mac (the interface's own) through frame_addr, and
 * waits for its completion up to PLAT_XSK_SELF_TEST_MS: 0; -ETIME: the queue does not send (do not
 * use this mode: the frame is lost with the socket); -errno. For a socket just started: tx and
 * completion rings empty. Blocks.
 */
int plat_xsk_self_test(struct plat_xsk *x, const uint8_t mac[6], uint32_t frame_addr);

#endif
