/* SPDX-License-Identifier: MIT
 *
 * What the steering program and the daemon both see: layout of the maps, and the reasons it counts.
 * Compiled by clang for BPF and by the host's compiler.
 */
#ifndef TT_STEER_SHARED_H
#define TT_STEER_SHARED_H

#include <stdint.h>

#define STEER_SLOTS	     (1u << 18) /* words of the index map */
#define STEER_UDP_PORT_WORDS 1024	/* a bit for each of the 65,536 */
#define STEER_ADDRESSES	     1024
#define STEER_QUEUES	     64
#define STEER_OWNER_MAX	     32

/*
 * What became of a packet. One counter per CPU, queue and reason; queues from STEER_QUEUES on share
 * a row. The texts are part of status and metrics: append, never renumber.
 */
/* clang-format off */
#define STEER_REASONS(X)                                                                           \
	X(REDIRECTED, "redirected")             /* to the worker's socket */                       \
	X(UNKNOWN_INDEX, "unknown_index")       /* nobody has this index: dropped */               \
	X(PASS_UNKNOWN_INDEX, "pass_unknown_index") /* the same, where policy says pass */         \
	X(PASS_SLOT, "pass_slot")               /* its slot is beyond the map */                   \
	X(PASS_NO_SOCKET, "pass_no_socket")     /* this queue has no worker */                     \
	X(PASS_TOO_LONG, "pass_too_long")       /* longer than a frame: a super-packet */          \
	X(PASS_TYPE, "pass_type")               /* handshakes, STUN, relay, junk */                \
	X(PASS_LENGTH, "pass_length")           /* lengths that contradict, or too short */        \
	X(PASS_ADDRESS, "pass_address")         /* not to one of our addresses */                  \
	X(PASS_UDP_PORT, "pass_udp_port")       /* not to a tunnel udp_port */                     \
	X(PASS_NOT_UDP, "pass_not_udp")         /* other protocols, IPv6 extension headers */      \
	X(PASS_FRAGMENT, "pass_fragment")                                                          \
	X(PASS_OPTIONS, "pass_options")         /* IPv4 header of more than 20 bytes */            \
	X(PASS_NOT_IP, "pass_not_ip")           /* ARP, a second VLAN tag, truncated headers */    \
	X(PASS_MULTICAST, "pass_multicast")     /* by its Ethernet address */
/* clang-format on */

enum steer_reason {
#define X(sym, text) STEER_##sym,
	STEER_REASONS(X)
#undef X
		STEER_REASON_COUNT
};

#define STEER_COUNTER_ROWS (STEER_QUEUES + 1u)

struct steer_config {
	uint32_t frame_limit;  /* longest frame to redirect, Ethernet header included */
	uint32_t slot_mask;    /* capacity of the index table - 1 */
	uint32_t unknown_pass; /* 0: drop */
	uint32_t reserved;
	char owner[STEER_OWNER_MAX]; /* whom it was loaded for; text */
};

/* Key of the address map; IPv4 as ::ffff:a.b.c.d. The value is one byte, 1. */
struct steer_address {
	uint8_t b[16];
};

_Static_assert(sizeof(struct steer_config) == 48, "layout of the configuration map");
_Static_assert(sizeof(struct steer_address) == 16, "layout of the address map");
_Static_assert(STEER_UDP_PORT_WORDS * 64 == 65536, "a bit for each udp_port");
_Static_assert((STEER_SLOTS & (STEER_SLOTS - 1)) == 0, "slots are the low bits of an index");
_Static_assert(STEER_REASON_COUNT <= 32, "the daemon's counters have room for 32 reasons");

#endif
