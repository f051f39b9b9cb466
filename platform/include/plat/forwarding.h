/* SPDX-License-Identifier: MIT
 *
 * Whether the host's kernel forwards packets between its interfaces, per family. Monitor; the
 * command line reads.
 */
#ifndef TT_PLAT_FORWARDING_H
#define TT_PLAT_FORWARDING_H

#include "base/addr.h"
#include "base/types.h"

/* 1, 0, -ENOTSUP, or -errno. */
int plat_forwarding_get(enum tt_family family);
/* 0 or -errno; -EROFS, -EACCES or -EPERM where it is somebody else's to set. */
int plat_forwarding_set(enum tt_family family, bool on);
/* What an operator sets, as "net.ipv4.ip_forward". */
const char *plat_forwarding_name(enum tt_family family);

#endif
