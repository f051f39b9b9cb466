/* SPDX-License-Identifier: MIT
 *
 * Which addresses this host has. Any process, any thread.
 */
#ifndef TT_PLAT_ADDRESSES_H
#define TT_PLAT_ADDRESSES_H

#include "base/addr.h"

/*
 * Addresses of all interfaces, 127.0.0.0/8 and ::1 left out, each once; link-local ones without
 * scope. Returns their number, which may be larger than max (then only max were written); -errno.
 */
int plat_addresses_get(struct tt_ip *out, unsigned max);

#endif
