/* SPDX-License-Identifier: MIT */
#include "node/control_status.h"

#include "base/b64.h"
#include "node/control_mesh.h"
#include "node/control_xdp.h"
#include "plat/udp_io.h"

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static const char *status_name(enum wg_peer_status s)
{
	switch (s) {
	case WG_PEER_NEVER:
		return "never";
	case WG_PEER_ONLINE:
		return "online";
	case WG_PEER_IDLE:
		return "idle";
	case WG_PEER_OFFLINE:
		return "offline";
	}
	return "unknown";
}

static json_t *allowed_ips(struct node_device *d, struct node_peer *p)
{
	json_t *list = json_array();
	char text[TT_CIDR_TEXT_MAX];
	struct tt_cidr c;
	uint32_t cursor = 0;

	while (node_peer_next_allowed_ip(d, p, &cursor, &c))
		json_array_append_new(list, json_string(tt_cidr_format(&c, text)));
	return list;
}

static json_t *peer(struct node_device *d, struct node_peer *p, const struct node_mesh *mesh,
		    bool with_allowed_ips)
{
	struct node_peer_info i;
	char key[TT_KEY_B64_LEN + 1], endpoint[TT_ENDPOINT_TEXT_MAX];
	json_t *o = json_object();

	node_peer_get_info(d, p, &i);
	tt_key_to_b64(i.public_key, key);
	json_object_set_new(o, "name", *i.name ? json_string(i.name) : json_null());
	json_object_set_new(o, "public_key", json_string(key));
	json_object_set_new(o, "preshared_key", json_boolean(i.has_psk));
	json_object_set_new(o, "status", json_string(status_name(i.status)));
	json_object_set_new(o, "endpoint",
			    tt_endpoint_is_set(&i.endpoint)
				    ? json_string(tt_endpoint_format(&i.endpoint, endpoint))
				    : json_null());
	json_object_set_new(o, "host", i.host ? json_string(i.host) : json_null());
	json_object_set_new(o, "path",
			    tt_endpoint_is_set(&i.endpoint) ? json_string("direct") : json_null());
	json_object_set_new(o, "last_handshake",
			    i.last_handshake.sec ? count(i.last_handshake.sec) : json_null());
	json_object_set_new(o, "handshakes", count(i.handshakes));
	json_object_set_new(o, "handshake_rtt_us",
			    i.handshake_rtt_us ? count(i.handshake_rtt_us) : json_null());
	json_object_set_new(o, "tx_bytes", count(i.tx_bytes));
	json_object_set_new(o, "rx_bytes", count(i.rx_bytes));
	json_object_set_new(o, "tx_packets", count(i.tx_packets));
	json_object_set_new(o, "rx_packets", count(i.rx_packets));
	json_object_set_new(o, "keepalive", count(i.keepalive));
	if (with_allowed_ips)
		json_object_set_new(o, "allowed_ips", allowed_ips(d, p));
	node_control_mesh_peer(mesh, p, o);
	return o;
}

static json_t *peers(struct node_device *d, const struct node_mesh *mesh, bool with_allowed_ips)
{
	json_t *list = json_array();

	for (struct node_peer *p = node_device_next_peer(d, NULL); p;
	     p = node_device_next_peer(d, p))
		json_array_append_new(list, peer(d, p, mesh, with_allowed_ips));
	return list;
}

json_t *node_control_drops(const uint64_t drop[TT_DROP_COUNT])
{
	json_t *o = json_object();

	for (unsigned i = 1; i < TT_DROP_COUNT; i++)
		if (drop[i])
			json_object_set_new(o, tt_drop_name((enum tt_drop)i), count(drop[i]));
	return o;
}

static json_t *traffic(const struct dp_stats *s)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",
			 "rx_packets", count(s->rx_packets), "rx_bytes", count(s->rx_bytes),
			 "rx_batches", count(s->rx_batches), "tx_packets", count(s->tx_packets),
			 "tx_bytes", count(s->tx_bytes), "tx_batches", count(s->tx_batches),
			 "tun_rx_packets", count(s->tun_rx_packets), "tun_rx_reads",
			 count(s->tun_rx_reads), "tun_tx_packets", count(s->tun_tx_packets),
			 "tun_tx_writes", count(s->tun_tx_writes), "forwarded_packets",
			 count(s->forwarded_packets), "staged_packets", count(s->staged_packets),
			 "mss_clamped", count(s->mss_clamped), "fragmented_packets",
			 count(s->fragmented_packets), "loops", count(s->loops), "busy_loops",
			 count(s->busy_loops), "sleeps", count(s->sleeps));
}

static json_t *workers(struct dp_plane *pl, uint32_t hung)
{
	json_t *list = json_array();
	struct dp_stats s;

	for (unsigned i = 0; i < dp_plane_workers(pl); i++) {
		dp_plane_stats(pl, i, &s);
		json_t *o = traffic(&s);
		json_object_set_new(o, "cpu_ns", count(dp_plane_worker_cpu_ns(pl, i)));
		json_object_set_new(o, "hung", json_boolean(hung & (1u << i)));
		json_array_append_new(list, o);
	}
	return list;
}

static const char *offload_name(enum plat_offload o, bool failed)
{
	static const char *const names[PLAT_OFFLOADS] = {
		[PLAT_OFFLOAD_REFUSED] = "refused",
		[PLAT_OFFLOAD_BROKEN] = "broken",
		[PLAT_OFFLOAD_UNPROVED] = "unproved",
		[PLAT_OFFLOAD_PROVED] = "proved",
	};

	return failed && plat_offload_is_on(o) ? "failed" : names[o];
}

static json_t *offloads(const struct node_control_about *a, const struct dp_stats *s)
{
	return json_pack("{s:s,s:s,s:s,s:s}", "tun_tso", offload_name(a->tun_offloads.tso, false),
			 "tun_uso", offload_name(a->tun_offloads.uso, s->uso_off), "udp_gso",
			 offload_name(a->udp_offloads.gso, s->gso_off), "udp_gro",
			 offload_name(a->udp_offloads.gro, false));
}

static json_t *datapath(struct dp_plane *pl, const struct node_control_about *a)
{
	struct dp_stats s;

	dp_plane_stats(pl, UINT32_MAX, &s);
	return json_pack(
		"{s:s,s:s,s:o,s:s,s:s,s:b,s:b,s:b,s:b,s:b,s:b,s:o,s:o,s:o}", "mode",
		node_control_xdp_mode(a->xdp), "mode_wanted",
		node_datapath_mode_name(a->xdp ? node_xdp_mode(a->xdp) : NODE_DATAPATH_SOCKET),
		"interfaces", node_control_xdp(a->xdp), "poll", a->poll, "aead", a->aead,
		"tun_vnet_hdr", a->tun_flags & PLAT_TUN_VNET_HDR ? 1 : 0, "tun_tso",
		a->tun_flags & PLAT_TUN_TSO ? 1 : 0, "tun_uso",
		(a->tun_flags & PLAT_TUN_USO) && !s.uso_off ? 1 : 0, "udp_gso",
		(a->udp_flags & PLAT_UDP_GSO) && !s.gso_off ? 1 : 0, "udp_gro",
		a->udp_flags & PLAT_UDP_GRO ? 1 : 0, "udp_steered", a->steered ? 1 : 0, "offloads",
		offloads(a, &s), "traffic", traffic(&s), "workers", workers(pl, a->hung));
}

static json_t *gateway(const struct node_control_about *a)
{
	if (!a->firewall)
		return json_null();
	return json_pack("{s:s,s:o}", "firewall", a->firewall, "firewall_restored",
			 count(a->firewall_restored));
}

json_t *node_control_status(const struct node_control_ops *ops, bool with_allowed_ips)
{
	struct node_control_about about = {0};
	struct node_device_info info;
	uint64_t drop[TT_DROP_COUNT];
	char key[TT_KEY_B64_LEN + 1] = "";

	ops->describe(ops->ctx, &about);
	node_device_get_info(ops->device, &info);
	node_device_drops(ops->device, drop);
	if (info.has_private_key)
		tt_key_to_b64(info.public_key, key);
	return json_pack("{s:s,s:s,s:s,s:s,s:b,s:s,s:i,s:I,s:i,s:i,s:f,s:I,s:o,s:o,s:o,s:o,s:o}",
			 "version", about.version, "interface", info.name, "mode", about.mode,
			 "config_file", about.config_file ? about.config_file : "", "up",
			 info.up ? 1 : 0, "public_key", key, "listen_port", (int)info.udp_port,
			 "fwmark", (json_int_t)info.fwmark, "mtu", (int)about.mtu, "restarts",
			 (int)about.restarts, "uptime_s", (double)about.uptime_ns / 1e9,
			 "future_stamps", (json_int_t)info.future_stamps, "datapath",
			 datapath(node_device_plane(ops->device), &about), "drops",
			 node_control_drops(drop), "hub", node_control_hub(about.mesh), "gateway",
			 gateway(&about), "peers",
			 peers(ops->device, about.mesh, with_allowed_ips));
}
