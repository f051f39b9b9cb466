/* SPDX-License-Identifier: MIT
 *
 * From where a peer's packets come, as control has to know it.
 */
#ifndef TT_DATAPATH_ROAM_H
#define TT_DATAPATH_ROAM_H

#include "datapath/worker.h"

/*
 * f is an authenticated frame of p that raised its session's highest counter: only such a one says
 * where the peer is now.
 */
void dp_roam_note(struct dp_worker *w, struct dp_peer *p, const struct dp_frame *f);

#endif
