/* SPDX-License-Identifier: MIT */
#include "node/metrics_impl.h"

#include "base/b64.h"
#include "node/mesh.h"
#include "plat/udp_io.h"
#include "wire/http_metrics.h"
#include "wire/process.h"

/* --- the program and its interface ------------------------------------------------------------ */

static void program(struct node_metrics *m)
{
	const struct node_control_about *a = &m->about;
	struct tt_prom_labels l = node_metrics_label("version", a->version);

	tt_prom_label(&l, "aead", a->aead);
	tt_prom_label(&l, "poll", a->poll);
	tt_prom_label(&l, "mode", a->mode);
	tt_prom_family(&m->prom, "taltun_build_info", TT_PROM_GAUGE,
		       "Version, and how this node runs: cipher backend, polling, who configures.");
	tt_prom_u64(&m->prom, &l, 1);
	tt_prom_counter(&m->prom, "taltun_engine_restarts_total",
			"Times the monitor started the engine again after a crash.", a->restarts);
	tt_prom_counter(&m->prom, "taltun_state_write_failures_total",
			"Times that state, map or certificate could not be written to the disk.",
			a->not_kept);
}

static void interface(struct node_metrics *m)
{
	struct node_device_info info;
	char key[TT_KEY_B64_LEN + 1] = "";

	node_device_get_info(m->device, &info);
	if (info.has_private_key)
		tt_key_to_b64(info.public_key, key);
	struct tt_prom_labels l = node_metrics_label("interface", info.name);
	tt_prom_label(&l, "public_key", key);
	tt_prom_family(&m->prom, "taltun_interface_info", TT_PROM_GAUGE,
		       "Name and public key of the tunnel interface.");
	tt_prom_u64(&m->prom, &l, 1);
	tt_prom_gauge(&m->prom, "taltun_interface_up", "Whether the tunnel interface is up.",
		      info.up);
	tt_prom_gauge(&m->prom, "taltun_interface_mtu_bytes", "MTU of the tunnel interface.",
		      m->about.mtu);
	tt_prom_gauge(&m->prom, "taltun_interface_listen_port", "The udp_port that is bound.",
		      info.udp_port);
	tt_prom_counter(&m->prom, "taltun_future_stamps_total",
			"Handshakes stamped more than a day ahead of our clock.",
			info.future_stamps);
}

/* --- drops ------------------------------------------------------------------------------------ */

static void drops(struct node_metrics *m)
{
	uint64_t drop[TT_DROP_COUNT];
	struct node_mesh_map_info map = {0};

	node_device_drops(m->device, drop);
	if (m->about.mesh)
		node_mesh_map_info(m->about.mesh, &map);
	/* all reasons, so that a rate can be taken of the first one */
	tt_prom_family(&m->prom, "taltun_dropped_packets_total", TT_PROM_COUNTER,
		       "Packets and messages that were dropped, by reason.");
	for (unsigned i = 1; i < TT_DROP_COUNT; i++) {
		struct tt_prom_labels l =
			node_metrics_label("reason", tt_drop_name((enum tt_drop)i));
		tt_prom_u64(&m->prom, &l, drop[i] + map.drops[i]);
	}
	tt_prom_counter(&m->prom, "taltun_replayed_packets_total",
			"Data packets dropped because their counter was seen, or is too old.",
			drop[TT_DROP_DATA_REPLAY] + drop[TT_DROP_DATA_OLD]);
}

/* --- offloads --------------------------------------------------------------------------------- */

static void offload(struct node_metrics *m, const char *name, bool on)
{
	struct tt_prom_labels l = node_metrics_label("offload", name);

	tt_prom_u64(&m->prom, &l, on);
}

static void offloads(struct node_metrics *m)
{
	const struct node_control_about *a = &m->about;
	struct dp_stats s;

	dp_plane_stats(node_device_plane(m->device), UINT32_MAX, &s);
	tt_prom_family(&m->prom, "taltun_offload_enabled", TT_PROM_GAUGE,
		       "Whether an offload of the kernel is used; the status says why it is not.");
	offload(m, "tun_tso", a->tun_flags & PLAT_TUN_TSO);
	offload(m, "tun_uso", (a->tun_flags & PLAT_TUN_USO) && !s.uso_off);
	offload(m, "udp_gso", (a->udp_flags & PLAT_UDP_GSO) && !s.gso_off);
	offload(m, "udp_gro", a->udp_flags & PLAT_UDP_GRO);
	offload(m, "udp_steering", a->steered);
}

/* --- the firewall, the hub -------------------------------------------------------------------- */

static void when(struct node_metrics *m, const char *name, enum tt_prom_type type, const char *help,
		 bool known, uint64_t value)
{
	tt_prom_family(&m->prom, name, type, help);
	if (known)
		tt_prom_u64(&m->prom, NULL, value);
}

static void firewall(struct node_metrics *m)
{
	static const char *const states[] = {"on", "off", "missing"};
	const char *is = m->about.firewall;

	tt_prom_family(&m->prom, "taltun_firewall_state", TT_PROM_GAUGE,
		       "1 for the state that the table of [gateway] is in.");
	for (unsigned i = 0; is && i < TT_ARRAY_LEN(states); i++) {
		struct tt_prom_labels l = node_metrics_label("state", states[i]);
		tt_prom_u64(&m->prom, &l, strcmp(is, states[i]) == 0);
	}
	when(m, "taltun_firewall_restored_total", TT_PROM_COUNTER,
	     "Times that the table was put back after others had changed it.", is,
	     m->about.firewall_restored);
}

static void hub_states(struct node_metrics *m, bool any, enum node_hub_state state)
{
	tt_prom_family(&m->prom, "taltun_hub_state", TT_PROM_GAUGE,
		       "1 for the state that the connection to the hub is in.");
	for (int s = NODE_HUB_WAITING; any && s <= NODE_HUB_STOPPED; s++) {
		struct tt_prom_labels l =
			node_metrics_label("state", node_hub_state_name((enum node_hub_state)s));
		tt_prom_u64(&m->prom, &l, s == (int)state);
	}
}

static void hub(struct node_metrics *m)
{
	const struct node_mesh *mesh = m->about.mesh;
	struct node_hub_link_info h = {0};
	struct node_mesh_map_info map = {0};
	bool any = mesh;

	if (any) {
		node_mesh_hub_info(mesh, &h);
		node_mesh_map_info(mesh, &map);
	}
	when(m, "taltun_hub_connected", TT_PROM_GAUGE, "Whether the hub is connected.", any,
	     h.state == NODE_HUB_UP);
	hub_states(m, any, h.state);
	when(m, "taltun_hub_connects_total", TT_PROM_COUNTER,
	     "Times the connection to the hub came up.", any, h.connects);
	when(m, "taltun_hub_losses_total", TT_PROM_COUNTER,
	     "Times the connection to the hub was lost.", any, h.lost);
	tt_prom_family(&m->prom, "taltun_hub_rtt_seconds", TT_PROM_GAUGE,
		       "Round trip of the last ping to the hub.");
	if (h.rtt_us)
		tt_prom_seconds(&m->prom, NULL, h.rtt_us * TT_NS_PER_US);
	when(m, "taltun_hub_relayed_packets_total", TT_PROM_COUNTER,
	     "Packets sent by way of the connection to the hub.", any, h.relayed_packets);
	when(m, "taltun_hub_relay_dropped_packets_total", TT_PROM_COUNTER,
	     "Packets for which that connection had no room.", any, h.relay_dropped);
	when(m, "taltun_certificate_expiry_timestamp_seconds", TT_PROM_GAUGE,
	     "When this node's certificate ends; it is renewed before.", h.cert_ends_s,
	     h.cert_ends_s);
	when(m, "taltun_hub_map_peers", TT_PROM_GAUGE, "Peers in the map that the hub sent.", any,
	     map.peers);
	when(m, "taltun_hub_map_version", TT_PROM_GAUGE, "Version of that map.", any, map.version);
	when(m, "taltun_hub_map_expiry_timestamp_seconds", TT_PROM_GAUGE,
	     "Until when that map may be used without the hub.", map.valid_until_s,
	     map.valid_until_s);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void open_metrics(const struct node_metrics_options *opt, struct tt_text *out,
			 struct node_metrics *m)
{
	*m = (struct node_metrics){
		.prom = {.out = out}, .device = opt->ops->device, .per_peer = opt->per_peer};
	opt->ops->describe(opt->ops->ctx, &m->about);
}

void node_metrics_write(const struct node_metrics_options *opt, struct tt_text *out)
{
	struct node_metrics m;

	open_metrics(opt, out, &m);
	program(&m);
	interface(&m);
	node_metrics_peers(&m);
	drops(&m);
	node_metrics_workers(&m);
	offloads(&m);
	node_metrics_xdp(&m);
	firewall(&m);
	hub(&m);
	wire_process_metrics(&m.prom);
	wire_http_metrics(&m.prom, opt->http);
}

bool node_metrics_ready(const struct node_metrics_options *opt, struct tt_text *out)
{
	struct node_device_info info;
	struct node_hub_link_info h = {.connects = 1};
	struct node_metrics m;

	open_metrics(opt, out, &m);
	node_device_get_info(m.device, &info);
	if (m.about.mesh)
		node_mesh_hub_info(m.about.mesh, &h);
	const char *missing = !info.up		? "the interface is down\n"
			      : m.about.hung	? "a worker does not get on\n"
			      : h.connects == 0 ? "the hub was not connected yet\n"
						: NULL;
	tt_text_str(out, missing ? missing : "ready\n");
	return !missing;
}
