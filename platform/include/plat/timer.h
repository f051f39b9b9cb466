/* SPDX-License-Identifier: MIT
 *
 * One deadline on the clock of plat_clock_mono() as a pollable descriptor, so that it also fires
 * after a suspend.
 */
#ifndef TT_PLAT_TIMER_H
#define TT_PLAT_TIMER_H

#include "base/types.h"

/* Descriptor (readable once the deadline has passed), -ENOTSUP, or -errno. */
int plat_timer_open(void);
/* deadline 0 disarms. */
void plat_timer_set(int fd, struct tt_mono deadline);
void plat_timer_clear(int fd); /* after it fired */

#endif
