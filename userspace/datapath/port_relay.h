/* SPDX-License-Identifier: MIT
 *
 * Outer port into the connection to the hub (DP_VIA_RELAY_TCP), beside a worker's own: two bounded
 * queues of frames between the worker and control, each with one writer and one reader. Inwards it
 * also brings data that came to control's own socket. The memory is reserved at start and not
 * touched before there is a message.
 */
#ifndef TT_DATAPATH_PORT_RELAY_H
#define TT_DATAPATH_PORT_RELAY_H

#include "datapath/plane.h"
#include "datapath/port.h"
#include "plat/wait.h"

#define DP_RELAY_FRAMES 512 /* a power of two */

struct dp_relay_frame {
	struct dp_origin origin; /* inwards: as struct dp_frame has it */
	uint32_t tag;
	uint8_t via; /* inwards; enum dp_via */
	uint32_t len;
	_Alignas(16) uint8_t bytes[DP_RELAY_MESSAGE_MAX];
};

struct dp_relay_queue {
	_Alignas(TT_CACHELINE) _Atomic uint32_t head;	     /* the writer's: next frame to fill */
	_Alignas(TT_CACHELINE) _Atomic uint32_t tail;	     /* the reader's: next frame to take */
	_Alignas(TT_CACHELINE) struct dp_relay_frame *frame; /* [DP_RELAY_FRAMES] */
};

/* What wakes control; shared by the workers of a plane. */
struct dp_relay_bell {
	_Atomic bool raised; /* the event is: no need for another system call */
	struct plat_event event;
};

struct dp_port_relay {
	struct dp_outer_port port;
	struct dp_relay_bell *bell;
	struct dp_relay_queue out, in;

	/* Frames behind out.head: built, sealed of them, and the bytes of those. */
	uint32_t built, done, built_bytes, done_bytes;
	uint32_t open; /* frames behind in.tail that are out as a batch */

	_Alignas(TT_CACHELINE) _Atomic bool pushed; /* control: the worker was woken for `in` */
	uint32_t popped;			    /* control: frames behind out.tail it holds */
};

int dp_port_relay_init(struct dp_port_relay *r); /* 0 or -ENOMEM */
/*
 * Control, before the first message: takes the memory of both queues, which go round and would
 * touch all of it sooner or later, in the packet path. A node without a hub never needs it.
 */
void dp_port_relay_prepare(struct dp_port_relay *r);
void dp_port_relay_destroy(struct dp_port_relay *r);

/* Control. Copies; f->len <= DP_RELAY_MESSAGE_MAX. false: full. true: it is in; *wake says whether
 * the worker has to be woken for it. */
bool dp_port_relay_push(struct dp_port_relay *r, const struct dp_frame *f, bool *wake);
/* Control. Up to max messages behind those it holds already, to out. */
unsigned dp_port_relay_pop(struct dp_port_relay *r, struct dp_relay_message *out, unsigned max);
/* Control. Gives back all that it holds. */
void dp_port_relay_return(struct dp_port_relay *r);
/* Whether more waits for control than it holds. */
bool dp_port_relay_waiting(const struct dp_port_relay *r);
/* Worker: whether something came in since the last time it asked. */
bool dp_port_relay_arrived(struct dp_port_relay *r);

#endif
