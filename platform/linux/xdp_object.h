/* SPDX-License-Identifier: MIT
 *
 * The steering program as the build made it, and what its parts are called.
 */
#ifndef TT_PLATFORM_XDP_OBJECT_H
#define TT_PLATFORM_XDP_OBJECT_H

#include "base/types.h"

#define XDP_PROGRAM_NAME "taltun_steer"
#define XDP_MAP_CONFIG	 "steer_config"
#define XDP_MAP_INDEX	 "steer_index"
#define XDP_MAP_PORTS	 "steer_ports"
#define XDP_MAP_ADDRS	 "steer_addrs"
#define XDP_MAP_COUNTERS "steer_counters"
#define XDP_MAP_XSKS	 "steer_xsks"

const void *xdp_object(size_t *len); /* an ELF file; 8-byte aligned */

/* Maps a map of this many bytes (not rounded) for reading and writing. 0 or -errno. */
int xdp_map_mmap(int fd, size_t bytes, void **out);
void xdp_map_munmap(void *map, size_t bytes); /* NULL is allowed */

#endif
