/* SPDX-License-Identifier: MIT */
#include "hub/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/prom.h"
#include "hub/auth_log.h"
#include "wire/http_metrics.h"
#include "wire/process.h"

/* A label's values in their order, and what is counted for each. */
struct count {
	const char *label;
	uint64_t n;
};

static void counters(struct tt_prom *p, const char *name, const char *help, const char *label,
		     const struct count *list, size_t n)
{
	tt_prom_family(p, name, TT_PROM_COUNTER, help);
	for (size_t i = 0; i < n; i++) {
		struct tt_prom_labels l = {0};

		tt_prom_label(&l, label, list[i].label);
		tt_prom_u64(p, &l, list[i].n);
	}
}

static void about(struct tt_prom *p, const struct hub_server_stats *st)
{
	struct tt_prom_labels l = {0};

	tt_prom_family(p, "taltun_hub_build_info", TT_PROM_GAUGE, "Version of the hub; always 1.");
	tt_prom_label(&l, "version", TALTUN_VERSION);
	tt_prom_u64(p, &l, 1);
	tt_prom_gauge(p, "taltun_hub_nodes", "Nodes in the database, revoked ones included.",
		      st->nodes);
	tt_prom_gauge(p, "taltun_hub_nodes_connected", "Nodes that are connected.", st->online);
}

static void connections(struct tt_prom *p, const struct hub_conn_stats *c)
{
	struct count away[HUB_TURNED_AWAY_COUNT], closed[HUB_CLOSE_COUNT], tls[TLS_FAIL_COUNT];

	for (unsigned i = 0; i < HUB_TURNED_AWAY_COUNT; i++)
		away[i] = (struct count){hub_turned_away_name((enum hub_turned_away)i),
					 c->turned_away[i]};
	for (unsigned i = 0; i < HUB_CLOSE_COUNT; i++)
		closed[i] = (struct count){hub_close_name((enum hub_close)i), c->closed[i]};
	for (unsigned i = 0; i < TLS_FAIL_COUNT; i++)
		tls[i] = (struct count){tls_failure_name((enum tls_failure)i), c->tls_failed[i]};
	tt_prom_gauge(p, "taltun_hub_connections",
		      "TCP connections that are open, strangers included.", c->connections);
	tt_prom_counter(p, "taltun_hub_connections_accepted_total", "TCP connections accepted.",
			c->accepted);
	tt_prom_counter(p, "taltun_hub_connections_opened_total",
			"Connections on which TLS was established.", c->opened);
	counters(p, "taltun_hub_connections_turned_away_total",
		 "Connections that were not accepted.", "reason", away, TT_ARRAY_LEN(away));
	/* the first of both enums is none */
	counters(p, "taltun_hub_connections_closed_total", "Connections that have ended.", "reason",
		 closed + 1, TT_ARRAY_LEN(closed) - 1);
	counters(p, "taltun_hub_tls_failures_total", "TLS handshakes that failed.", "reason",
		 tls + 1, TT_ARRAY_LEN(tls) - 1);
}

static void strangers(struct tt_prom *p, const struct hub_server_stats *st)
{
	const struct count enrolments[] = {{"enrolled", st->enrolled},
					   {"refused_token", st->enrol_refused_token},
					   {"refused_proof", st->enrol_refused_proof},
					   {"refused_other", st->enrol_refused_other}};
	struct count failures[HUB_AUTH_METHODS];

	for (unsigned i = 0; i < HUB_AUTH_METHODS; i++)
		failures[i] = (struct count){hub_auth_method_name((enum hub_auth_method)i),
					     hub_auth_failures((enum hub_auth_method)i)};
	counters(p, "taltun_hub_enrolments_total", "Enrolments that were tried.", "outcome",
		 enrolments, TT_ARRAY_LEN(enrolments));
	counters(p, "taltun_hub_auth_failures_total",
		 "Who could not show who he is, by how he tried; the log names the source.",
		 "method", failures, TT_ARRAY_LEN(failures));
}

static void service(struct tt_prom *p, const struct hub_server_stats *st)
{
	tt_prom_counter(p, "taltun_hub_renewals_total", "Certificates of nodes that were renewed.",
			st->renewed);
	tt_prom_counter(p, "taltun_hub_map_updates_total", "Map messages sent to nodes.",
			st->map_frames);
	tt_prom_counter(p, "taltun_hub_signals_total", "Signals carried from node to node.",
			st->signals);
	tt_prom_counter(p, "taltun_hub_signals_refused_total",
			"Signals that were not carried: by policy, by rate, or the other is away.",
			st->signals_refused);
	tt_prom_counter(p, "taltun_hub_requests_limited_total",
			"Requests of nodes that came too often, and were not served.", st->limited);
	tt_prom_counter(p, "taltun_hub_connections_held_total",
			"Times that a node with too much to say was not read for a while.",
			st->conns.held);
}

static void relay_traffic(struct tt_prom *p, const struct hub_server_stats *st)
{
	const struct count packets[] = {{"tcp", st->conns.relayed_packets},
					{"udp", st->relay.tx_packets}};
	const struct count bytes[] = {{"tcp", st->conns.relayed_bytes},
				      {"udp", st->relay.tx_bytes}};
	const struct count rx_packets[] = {{"udp", st->relay.rx_packets}};
	const struct count rx_bytes[] = {{"udp", st->relay.rx_bytes}};

	counters(p, "taltun_hub_relay_packets_total", "Packets relayed, by the leg they left by.",
		 "leg", packets, TT_ARRAY_LEN(packets));
	counters(p, "taltun_hub_relay_bytes_total", "Bytes relayed, by the leg they left by.",
		 "leg", bytes, TT_ARRAY_LEN(bytes));
	counters(p, "taltun_hub_relay_received_packets_total", "Datagrams that the relay was sent.",
		 "leg", rx_packets, TT_ARRAY_LEN(rx_packets));
	counters(p, "taltun_hub_relay_received_bytes_total", "Bytes that the relay was sent.",
		 "leg", rx_bytes, TT_ARRAY_LEN(rx_bytes));
	tt_prom_gauge(p, "taltun_hub_relay_queued_bytes",
		      "Packets that wait in the queues of TCP connections.",
		      st->conns.packet_bytes);
	tt_prom_gauge(p, "taltun_hub_relay_allocations", "Pairs of nodes with a UDP relay.",
		      st->relay.allocations);
	tt_prom_gauge(p, "taltun_hub_relay_bound_legs", "Legs of UDP relays that are in use.",
		      st->relay.bound_legs);
	tt_prom_counter(p, "taltun_hub_relay_challenges_total",
			"Datagrams that were answered with a challenge.", st->relay.challenged);
}

static void relay_refusals(struct tt_prom *p, const struct hub_server_stats *st)
{
	struct count list[HUB_RELAY_REFUSAL_COUNT];

	for (unsigned i = 0; i < HUB_RELAY_REFUSAL_COUNT; i++)
		list[i] = (struct count){hub_relay_refusal_name((enum hub_relay_refusal)i),
					 st->relay_not_opened[i]};
	counters(p, "taltun_hub_relay_refusals_total", "UDP relays that were not opened.", "reason",
		 list, TT_ARRAY_LEN(list));
}

static void relay_drops(struct tt_prom *p, const struct hub_server_stats *st)
{
	const struct hub_relay_stats *r = &st->relay;
	const struct {
		const char *leg;
		struct count is;
	} list[] = {
		{"tcp", {"queue_full", st->conns.relay_dropped_oldest}},
		{"tcp", {"memory", st->conns.relay_dropped_memory}},
		{"tcp", {"share", st->conns.relay_dropped_share}},
		{"tcp", {"policy", st->relay_refused_policy}},
		{"tcp", {"rate", st->relay_refused_rate}},
		{"udp", {"malformed", r->dropped_form}},
		{"udp", {"unknown_tag", r->dropped_tag}},
		{"udp", {"source", r->dropped_source}},
		{"udp", {"mac", r->dropped_mac}},
		{"udp", {"cookie", r->dropped_cookie}},
		{"udp", {"unbound", r->dropped_unbound}},
		{"udp", {"challenge_limit", r->dropped_limit}},
		{"udp", {"rate", r->dropped_rate}},
		{"udp", {"socket", r->dropped_socket}},
	};

	tt_prom_family(p, "taltun_hub_relay_drops_total", TT_PROM_COUNTER,
		       "Packets that were not relayed.");
	for (size_t i = 0; i < TT_ARRAY_LEN(list); i++) {
		struct tt_prom_labels l = {0};

		tt_prom_label(&l, "leg", list[i].leg);
		tt_prom_label(&l, "reason", list[i].is.label);
		tt_prom_u64(p, &l, list[i].is.n);
	}
}

static void stun(struct tt_prom *p, const struct hub_stun *s)
{
	struct hub_stun_stats st = {0};

	if (s)
		hub_stun_get_stats(s, &st);
	const struct count list[] = {{"answered", st.answered},
				     {"malformed", st.dropped_form},
				     {"rate", st.dropped_rate},
				     {"socket", st.dropped_socket}};
	counters(p, "taltun_hub_stun_requests_total", "STUN requests, by what became of them.",
		 "outcome", list, TT_ARRAY_LEN(list));
}

static void certificates(struct tt_prom *p, const struct hub_server *s)
{
	const struct count list[] = {{"server", hub_server_certificate_end(s)},
				     {"ca", hub_server_ca_end(s)}};

	tt_prom_family(p, "taltun_hub_certificate_expiry_timestamp_seconds", TT_PROM_GAUGE,
		       "When the hub's own certificate, and its CA's, ends.");
	for (size_t i = 0; i < TT_ARRAY_LEN(list); i++) {
		struct tt_prom_labels l = {0};

		tt_prom_label(&l, "certificate", list[i].label);
		tt_prom_u64(p, &l, list[i].n);
	}
}

static void inside(struct tt_prom *p, const struct hub_server_stats *st,
		   const struct hub_signer *signer)
{
	tt_prom_gauge(p, "taltun_hub_signer_up",
		      "1 while certificates can be signed; 0 needs a restart of the hub.",
		      hub_signer_works(signer));
	tt_prom_gauge(p, "taltun_hub_signer_queue", "Requests that wait for the signer.",
		      hub_signer_pending(signer));
	tt_prom_gauge(p, "taltun_hub_store_loaded", "1 once the database has been read.",
		      st->store.loaded);
	tt_prom_gauge(p, "taltun_hub_store_queue", "Requests that wait for the database.",
		      st->store.pending);
	tt_prom_counter(p, "taltun_hub_store_failures_total",
			"Reads and writes of the database that failed; the log says why.",
			st->store.failures);
}

/* --- pages ------------------------------------------------------------------------------------ */

struct hub_metrics {
	struct hub_metrics_sources from;
	struct wire_http *http;
};

static unsigned metrics_page(void *ctx, struct tt_text *out)
{
	const struct hub_metrics *m = ctx;
	struct tt_prom p = {.out = out};
	struct hub_server_stats st;

	hub_server_get_stats(m->from.server, &st);
	about(&p, &st);
	connections(&p, &st.conns);
	strangers(&p, &st);
	service(&p, &st);
	relay_traffic(&p, &st);
	relay_refusals(&p, &st);
	relay_drops(&p, &st);
	stun(&p, m->from.stun);
	certificates(&p, m->from.server);
	inside(&p, &st, m->from.signer);
	wire_http_metrics(&p, m->http);
	wire_process_metrics(&p);
	return 200;
}

static unsigned health_page(void *ctx, struct tt_text *out)
{
	(void)ctx;
	tt_text_str(out, "ok\n");
	return 200;
}

static unsigned ready_page(void *ctx, struct tt_text *out)
{
	const struct hub_metrics *m = ctx;
	struct hub_server_stats st;

	hub_server_get_stats(m->from.server, &st);
	tt_text_str(out, st.store.loaded ? "ready\n" : "the database is not read yet\n");
	return st.store.loaded ? 200 : 503;
}

static const struct wire_http_page pages[] = {
	{"/metrics", TT_PROM_CONTENT_TYPE, metrics_page},
	{"/healthz", "text/plain; charset=utf-8", health_page},
	{"/readyz", "text/plain; charset=utf-8", ready_page},
};

int hub_metrics_open(uv_loop_t *loop, int listen_fd, const struct hub_metrics_sources *from,
		     struct hub_metrics **out)
{
	struct hub_metrics *m = calloc(1, sizeof(*m));

	if (!m) {
		close(listen_fd);
		return -ENOMEM;
	}
	m->from = *from;
	struct wire_http_options opt = {
		.listen_fd = listen_fd, .pages = pages, .count = TT_ARRAY_LEN(pages), .ctx = m};
	int err = wire_http_serve(loop, &opt, &m->http);
	if (err) {
		free(m);
		return err;
	}
	*out = m;
	return 0;
}

void hub_metrics_stop(struct hub_metrics *m)
{
	if (!m)
		return;
	wire_http_stop(m->http);
	/* no page is rendered any more */
	free(m);
}
