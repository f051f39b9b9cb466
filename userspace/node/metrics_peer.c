/* SPDX-License-Identifier: MIT
 *
 * Peers. What is known of each is gathered once, since a family lists all of them.
 */
#include "node/metrics_impl.h"

#include <stdlib.h>

#include "base/b64.h"
#include "node/mesh.h"
#include "plat/clock.h"

struct row {
	struct node_peer_info info;
	struct node_mesh_peer_info path; /* managed peers; kind NONE: no path */
	struct tt_prom_labels label;
};

struct table {
	struct row *row; /* NULL: no series per peer */
	unsigned rows, omitted;
	unsigned sessions;
	unsigned status[WG_PEER_OFFLINE + 1];
};

static void label(struct row *r)
{
	char key[TT_KEY_B64_LEN + 1];

	tt_key_to_b64(r->info.public_key, key);
	tt_prom_label(&r->label, "peer", *r->info.name ? r->info.name : key);
	tt_prom_label(&r->label, "public_key", key);
}

/* A peer of the configuration has the one path that it is sent by. */
static void find_path(struct node_metrics *m, struct node_peer *p, struct row *r)
{
	if (m->about.mesh && node_mesh_peer_info(m->about.mesh, p, &r->path))
		return;
	if (tt_endpoint_is_set(&r->info.endpoint))
		r->path.kind = MESH_PATH_DIRECT;
}

static void gather(struct node_metrics *m, struct table *t)
{
	struct node_device_info device;
	struct node_peer_info info;

	node_device_get_info(m->device, &device);
	unsigned most = m->per_peer ? TT_MIN(device.peers, (unsigned)NODE_METRICS_PEERS_MAX) : 0;
	t->row = most ? calloc(most, sizeof(*t->row)) : NULL;
	for (struct node_peer *p = node_device_next_peer(m->device, NULL); p;
	     p = node_device_next_peer(m->device, p)) {
		node_peer_get_info(m->device, p, &info);
		t->sessions += info.has_session;
		t->status[info.status]++;
		if (!t->row || t->rows == most) {
			t->omitted += m->per_peer;
			continue;
		}
		struct row *r = &t->row[t->rows++];
		r->info = info;
		label(r);
		find_path(m, p, r);
	}
}

/* --- all peers together ----------------------------------------------------------------------- */

static void totals(struct node_metrics *m, const struct table *t)
{
	static const char *const names[] = {[WG_PEER_NEVER] = "never",
					    [WG_PEER_ONLINE] = "online",
					    [WG_PEER_IDLE] = "idle",
					    [WG_PEER_OFFLINE] = "offline"};
	struct node_handshake_stats h;

	tt_prom_gauge(&m->prom, "taltun_sessions_active",
		      "Peers with a session that can be sent with.", t->sessions);
	tt_prom_family(&m->prom, "taltun_peers", TT_PROM_GAUGE, "Peers by status.");
	for (unsigned i = 0; i < TT_ARRAY_LEN(names); i++) {
		struct tt_prom_labels l = node_metrics_label("status", names[i]);
		tt_prom_u64(&m->prom, &l, t->status[i]);
	}
	tt_prom_gauge(&m->prom, "taltun_peers_without_series",
		      "Peers beyond those that have series of their own here.", t->omitted);
	node_device_handshake_stats(m->device, &h);
	tt_prom_counter(&m->prom, "taltun_handshakes_total",
			"Handshakes that were completed, begun by either side.", h.completed);
	tt_prom_family(&m->prom, "taltun_handshake_duration_seconds", TT_PROM_HISTOGRAM,
		       "From sending an initiation to its response.");
	tt_prom_histogram(&m->prom, NULL, &h.duration, node_handshake_bounds_ns,
			  NODE_HANDSHAKE_BOUNDS);
}

/* --- each peer -------------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
	size_t offset; /* in struct node_peer_info */
} counters[] = {
#define COUNTER(name, field, help)                                                         \
	{                                                                                  \
		"taltun_peer_" name "_total", help, offsetof(struct node_peer_info, field) \
	}
	COUNTER("received_bytes", rx_bytes, "Bytes received from the peer, as wg(8) counts them."),
	COUNTER("sent_bytes", tx_bytes, "Bytes sent to the peer, as wg(8) counts them."),
	COUNTER("received_packets", rx_packets, "Packets received from the peer."),
	COUNTER("sent_packets", tx_packets, "Packets sent to the peer."),
	COUNTER("handshakes", handshakes, "Handshakes completed with the peer."),
#undef COUNTER
};

static void peer_counters(struct node_metrics *m, const struct table *t)
{
	for (unsigned i = 0; i < TT_ARRAY_LEN(counters); i++) {
		tt_prom_family(&m->prom, counters[i].name, TT_PROM_COUNTER, counters[i].help);
		for (unsigned n = 0; n < t->rows; n++) {
			const struct row *r = &t->row[n];
			uint64_t v;

			memcpy(&v, (const char *)&r->info + counters[i].offset, sizeof(v));
			tt_prom_u64(&m->prom, &r->label, v);
		}
	}
}

static void peer_sessions(struct node_metrics *m, const struct table *t)
{
	struct tt_wall now = plat_clock_wall();

	tt_prom_family(&m->prom, "taltun_peer_session_active", TT_PROM_GAUGE,
		       "Whether there is a session with the peer that can be sent with.");
	for (unsigned n = 0; n < t->rows; n++)
		tt_prom_u64(&m->prom, &t->row[n].label, t->row[n].info.has_session);
	tt_prom_family(&m->prom, "taltun_peer_handshake_age_seconds", TT_PROM_GAUGE,
		       "Since the last handshake with the peer; absent where there was none.");
	for (unsigned n = 0; n < t->rows; n++) {
		uint64_t at = t->row[n].info.last_handshake.sec;
		if (at)
			tt_prom_u64(&m->prom, &t->row[n].label, now.sec > at ? now.sec - at : 0);
	}
}

static uint64_t rtt_us(const struct row *r)
{
	return r->path.rtt_us ? r->path.rtt_us : r->info.handshake_rtt_us;
}

static void peer_paths(struct node_metrics *m, const struct table *t)
{
	tt_prom_family(&m->prom, "taltun_peer_path_info", TT_PROM_GAUGE,
		       "The kind of path that the peer is sent by; absent where there is none.");
	for (unsigned n = 0; n < t->rows; n++) {
		struct tt_prom_labels l = t->row[n].label;
		if (t->row[n].path.kind == MESH_PATH_NONE)
			continue;
		tt_prom_label(&l, "path", mesh_path_kind_name(t->row[n].path.kind));
		tt_prom_u64(&m->prom, &l, 1);
	}
	tt_prom_family(&m->prom, "taltun_peer_rtt_seconds", TT_PROM_GAUGE,
		       "Round trip by this path, or of the last handshake that we began.");
	for (unsigned n = 0; n < t->rows; n++)
		if (rtt_us(&t->row[n]))
			tt_prom_seconds(&m->prom, &t->row[n].label,
					rtt_us(&t->row[n]) * TT_NS_PER_US);
	tt_prom_family(&m->prom, "taltun_peer_mtu_bytes", TT_PROM_GAUGE,
		       "The largest inner packet that the path takes; the interface's if unknown.");
	for (unsigned n = 0; n < t->rows; n++) {
		uint32_t mtu = t->row[n].path.inner_mtu;
		tt_prom_u64(&m->prom, &t->row[n].label, mtu ? mtu : m->about.mtu);
	}
}

void node_metrics_peers(struct node_metrics *m)
{
	struct table t = {0};

	gather(m, &t);
	totals(m, &t);
	peer_counters(m, &t);
	peer_sessions(m, &t);
	peer_paths(m, &t);
	free(t.row);
}
