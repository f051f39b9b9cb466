/* SPDX-License-Identifier: MIT
 *
 * What the HTTP server knows of itself, for the page that it serves.
 */
#ifndef TT_WIRE_HTTP_METRICS_H
#define TT_WIRE_HTTP_METRICS_H

#include "base/prom.h"
#include "wire/http.h"

/* h NULL: all of it zero. */
void wire_http_metrics(struct tt_prom *p, const struct wire_http *h);

#endif
