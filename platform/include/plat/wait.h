/* SPDX-License-Identifier: MIT
 *
 * Waiting for descriptors, and waking a thread that waits. An event is a descriptor that any
 * thread can make readable; a waiter is what one worker blocks in: a few descriptors in numbered
 * slots, and an event of its own.
 */
#ifndef TT_PLAT_WAIT_H
#define TT_PLAT_WAIT_H

#include "base/types.h"

struct plat_event {
	int fd;	      /* readable while raised */
	int raise_fd; /* private; may be the same */
};

int plat_event_open(struct plat_event *e); /* 0 or -errno */
void plat_event_close(struct plat_event *e);
void plat_event_raise(const struct plat_event *e); /* any thread */
void plat_event_clear(const struct plat_event *e);

#define PLAT_WAITER_SLOTS   8
#define PLAT_WAITER_WOKEN   (1u << 31)
#define PLAT_WAITER_FOREVER UINT64_MAX

struct plat_waiter {
	struct plat_event wake;
	int fd; /* private */
	int slot[PLAT_WAITER_SLOTS];
};

int plat_waiter_open(struct plat_waiter *w);
void plat_waiter_close(struct plat_waiter *w);
/* Owner thread. Watches fd for reading in this slot, instead of what was there; -1: nothing. */
int plat_waiter_set(struct plat_waiter *w, unsigned slot, int fd);
/*
 * Owner thread. Bit i: slot i is readable or in error; PLAT_WAITER_WOKEN: plat_waiter_wake() was
 * called since (cleared by this). 0: nothing within the time, or a signal. Level-triggered.
 */
uint32_t plat_waiter_wait(struct plat_waiter *w, uint64_t timeout_ns);
/* The same without one slot, which is not looked at; short times are kept where the system can. */
uint32_t plat_waiter_wait_without(struct plat_waiter *w, unsigned slot, uint64_t timeout_ns);
void plat_waiter_wake(struct plat_waiter *w); /* any thread */

#endif
