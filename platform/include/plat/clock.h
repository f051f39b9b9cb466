/* SPDX-License-Identifier: MIT */
#ifndef TT_PLAT_CLOCK_H
#define TT_PLAT_CLOCK_H

#include "base/rng.h"
#include "base/types.h"

/* CLOCK_BOOTTIME where there is one. Never 0. Any thread. */
struct tt_mono plat_clock_mono(void);
/* CLOCK_REALTIME. Any thread. */
struct tt_wall plat_clock_wall(void);
/* The operating system's generator; never fails, never blocks after boot. Any thread. */
struct tt_rng plat_rng(void);

#endif
