/* SPDX-License-Identifier: MIT
 *
 * The process_* metrics that every Prometheus client has, for both programs.
 */
#ifndef TT_WIRE_PROCESS_H
#define TT_WIRE_PROCESS_H

#include "base/prom.h"

/* Of the calling process. What the platform does not know is left out. */
void wire_process_metrics(struct tt_prom *p);

#endif
