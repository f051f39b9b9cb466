/* SPDX-License-Identifier: MIT */
#include "node/control_mesh.h"

#include "node/control_status.h"
#include "plat/clock.h"

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *count_or_null(uint64_t v)
{
	return v ? count(v) : json_null();
}

static json_t *endpoint(const struct tt_endpoint *e)
{
	char text[TT_ENDPOINT_TEXT_MAX];

	return tt_endpoint_is_set(e) ? json_string(tt_endpoint_format(e, text)) : json_null();
}

static json_t *seconds_since(struct tt_mono at)
{
	if (!tt_mono_is_set(at))
		return json_null();
	return json_real((double)tt_mono_since(plat_clock_mono(), at) / TT_NS_PER_SEC);
}

static void add_map(const struct node_mesh *mesh, json_t *o)
{
	struct node_mesh_map_info map;

	node_mesh_map_info(mesh, &map);
	json_object_set_new(o, "name", *map.name ? json_string(map.name) : json_null());
	json_object_set_new(o, "node_id", count_or_null(map.node_id));
	json_object_set_new(o, "map_peers", count(map.peers));
	json_object_set_new(o, "map_version", count(map.version));
	json_object_set_new(o, "map_valid_until", count_or_null(map.valid_until_s));
	json_object_set_new(o, "reflexive_v4", endpoint(&map.reflexive[0]));
	json_object_set_new(o, "reflexive_v6", endpoint(&map.reflexive[1]));
	json_object_set_new(o, "drops", node_control_drops(map.drops));
}

json_t *node_control_hub(const struct node_mesh *mesh)
{
	struct node_hub_link_info hub;
	json_t *o;

	if (!mesh)
		return json_null();
	node_mesh_hub_info(mesh, &hub);
	o = json_object();
	json_object_set_new(o, "host", json_string(hub.host));
	json_object_set_new(o, "port", count(hub.tcp_port));
	json_object_set_new(o, "state", json_string(node_hub_state_name(hub.state)));
	json_object_set_new(o, "since_s", seconds_since(hub.since));
	json_object_set_new(o, "endpoint", endpoint(&hub.at));
	json_object_set_new(o, "rtt_us", count_or_null(hub.rtt_us));
	json_object_set_new(o, "why", *hub.why ? json_string(hub.why) : json_null());
	json_object_set_new(o, "retry_in_ms", count_or_null(hub.retry_in_ms));
	json_object_set_new(o, "connects", count(hub.connects));
	json_object_set_new(o, "lost", count(hub.lost));
	json_object_set_new(o, "relayed_packets", count(hub.relayed_packets));
	json_object_set_new(o, "relay_dropped", count(hub.relay_dropped));
	add_map(mesh, o);
	return o;
}

void node_control_mesh_peer(const struct node_mesh *mesh, const struct node_peer *p, json_t *peer)
{
	struct node_mesh_peer_info i;
	bool direct;

	if (!mesh || !node_mesh_peer_info(mesh, p, &i))
		return;
	direct = i.kind == MESH_PATH_DIRECT || i.kind == MESH_PATH_PUNCHED;
	json_object_set_new(peer, "node_id", count(i.node_id));
	json_object_set_new(peer, "role", json_string(i.gateway ? "gateway" : "client"));
	json_object_set_new(peer, "at_hub", json_boolean(i.online));
	json_object_set_new(peer, "path",
			    i.kind == MESH_PATH_NONE ? json_null()
						     : json_string(mesh_path_kind_name(i.kind)));
	if (direct)
		json_object_set_new(peer, "endpoint", endpoint(&i.remote));
	json_object_set_new(peer, "path_rtt_us", count_or_null(i.rtt_us));
	json_object_set_new(peer, "path_mtu", count_or_null(i.inner_mtu));
	json_object_set_new(peer, "path_since_s", seconds_since(i.since));
	json_object_set_new(peer, "path_cause",
			    i.cause && *i.cause ? json_string(i.cause) : json_null());
	json_object_set_new(peer, "why_not_direct",
			    i.why_not_direct && *i.why_not_direct ? json_string(i.why_not_direct)
								  : json_null());
}
