/* SPDX-License-Identifier: MIT */
#include "wire/http_metrics.h"

void wire_http_metrics(struct tt_prom *p, const struct wire_http *h)
{
	struct wire_http_stats s = {0};

	if (h)
		wire_http_get_stats(h, &s);
	tt_prom_gauge(p, "taltun_http_connections", "Connections to this server.", s.connections);
	tt_prom_counter(p, "taltun_http_requests_total", "Requests that were answered.",
			s.requests);
	tt_prom_counter(p, "taltun_http_refused_requests_total",
			"Of them, those that were answered with an error.", s.refused);
	tt_prom_counter(p, "taltun_http_timeouts_total",
			"Connections that were closed because they took too long.", s.timeouts);
	tt_prom_counter(p, "taltun_http_renderings_total",
			"Pages that were written; a request may get an earlier one.", s.renderings);
	tt_prom_family(p, "taltun_http_render_seconds_total", TT_PROM_COUNTER,
		       "Time that writing them took.");
	tt_prom_seconds(p, NULL, s.render_ns);
}
