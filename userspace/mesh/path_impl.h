/* SPDX-License-Identifier: MIT
 *
 * What path.c (the table and what happens to it) and path_run.c (what is done about it) share.
 */
#ifndef TT_MESH_PATH_IMPL_H
#define TT_MESH_PATH_IMPL_H

#include "mesh/path.h"

#define SLOT_RELAY_TCP 0
#define SLOT_RELAY_UDP 1
#define SLOT_ADDRESS   2

static inline struct tt_mono mesh_path_later(struct tt_mono a, struct tt_mono b)
{
	return tt_mono_before(a, b) ? b : a;
}

static inline bool mesh_path_is_relay(const struct mesh_path *p)
{
	return p->kind == MESH_PATH_RELAY_UDP || p->kind == MESH_PATH_RELAY_TCP;
}

static inline bool mesh_path_is_narrow(const struct mesh_path *p, struct tt_mono now)
{
	return tt_mono_before(now, p->narrow_until);
}

static inline struct mesh_path *mesh_path_selected(struct mesh_paths *ps)
{
	return ps->selected == MESH_PATH_NO ? NULL : &ps->path[ps->selected];
}

static inline bool mesh_paths_are_wanted(const struct mesh_paths *ps, struct tt_mono now)
{
	return tt_mono_is_set(ps->wanted_at) && tt_mono_since(now, ps->wanted_at) < MESH_ACTIVE_NS;
}

/* Checks from the beginning, the first as soon as the path's gap allows. */
static inline void mesh_path_probe(struct mesh_path *p, struct tt_mono now)
{
	if (p->state != MESH_PATH_ALIVE && p->state != MESH_PATH_HINT)
		p->state = MESH_PATH_PROBING;
	p->tries = 0;
	p->check_at = now;
	if (tt_mono_is_set(p->checked))
		p->check_at = mesh_path_later(now, tt_mono_add_ns(p->checked, MESH_PATH_GAP_NS));
}

/* The path in use has to answer from now on, as if it had been silent for a second already. */
static inline void mesh_paths_suspect(struct mesh_paths *ps, struct tt_mono now)
{
	ps->quiet_since.ns = now.ns > MESH_QUIET_NS ? now.ns - MESH_QUIET_NS : 1;
}

#endif
