/* SPDX-License-Identifier: MIT
 *
 * What libuv leaves to its users.
 */
#ifndef TT_WIRE_UV_H
#define TT_WIRE_UV_H

#include <uv.h>

/* uv_loop_init(), which ends the process where it gets no descriptors for its pipes. -EMFILE
 * instead, and the loop is not initialised. */
int wire_uv_loop_init(uv_loop_t *loop);

#endif
