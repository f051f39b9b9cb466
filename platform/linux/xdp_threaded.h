/* SPDX-License-Identifier: MIT
 *
 * Whether an interface has a kernel thread of its own to receive ("threaded" NAPI). For xdp.c.
 */
#ifndef TT_LINUX_XDP_THREADED_H
#define TT_LINUX_XDP_THREADED_H

#include <stdbool.h>
#include <stdint.h>

/* 0 or 1; -ENOTSUP: no such thing here; -errno. */
int xdp_threaded_read(uint32_t ifindex);
int xdp_threaded_write(uint32_t ifindex, bool on); /* 0 or -errno */

#endif
