/* SPDX-License-Identifier: MIT */
#include "node/events.h"

#include <jansson.h>

#include "base/b64.h"
#include "node/control_stream.h"
#include "node/mesh.h"
#include "plat/clock.h"

static const char *const names[NODE_EVENT_COUNT] = {
	[NODE_EVENT_PEER_UP] = "peer_up",
	[NODE_EVENT_PEER_IDLE] = "peer_idle",
	[NODE_EVENT_PEER_OFFLINE] = "peer_offline",
	[NODE_EVENT_PEER_ADDED] = "peer_added",
	[NODE_EVENT_PEER_REMOVED] = "peer_removed",
	[NODE_EVENT_PATH] = "path",
	[NODE_EVENT_ROAM] = "roam",
	[NODE_EVENT_REKEY] = "rekey",
	[NODE_EVENT_MTU] = "mtu",
	[NODE_EVENT_HUB_UP] = "hub_up",
	[NODE_EVENT_HUB_DOWN] = "hub_down",
	[NODE_EVENT_MAP_REFUSED] = "map_refused",
	[NODE_EVENT_FIREWALL] = "firewall",
};

const char *node_event_name(enum node_event_kind kind)
{
	return (unsigned)kind < NODE_EVENT_COUNT ? names[kind] : "unknown";
}

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(o, key, json_string(text));
}

static void set_number(json_t *o, const char *key, uint32_t number)
{
	if (number)
		json_object_set_new(o, key, json_integer(number));
}

static void set_endpoint(json_t *o, const char *key, const struct tt_endpoint *e)
{
	char text[TT_ENDPOINT_TEXT_MAX];

	if (tt_endpoint_is_set(e))
		json_object_set_new(o, key, json_string(tt_endpoint_format(e, text)));
}

static json_t *render(const struct node_event *e, const char *interface)
{
	struct tt_wall now = plat_clock_wall();
	double seconds = (double)now.sec + (double)(now.nsec / 1000000) / 1000;
	json_t *o = json_pack("{s:i,s:s,s:f,s:s}", "v", NODE_CONTROL_VERSION, "event",
			      node_event_name(e->kind), "time", seconds, "interface", interface);
	char key[TT_KEY_B64_LEN + 1];

	if (!o)
		return NULL;
	json_object_set_new(o, "why", json_string(e->why ? e->why : ""));
	set_text(o, "peer", e->peer);
	if (e->public_key) {
		tt_key_to_b64(e->public_key, key);
		json_object_set_new(o, "public_key", json_string(key));
	}
	set_endpoint(o, "endpoint", &e->endpoint);
	set_endpoint(o, "endpoint_was", &e->endpoint_was);
	set_text(o, "path", e->path);
	set_text(o, "path_was", e->path_was);
	set_number(o, "mtu", e->mtu);
	set_number(o, "rtt_us", e->rtt_us);
	return o;
}

void node_events_emit(struct node_control *c, const struct node_event *e)
{
	struct node_device_info info;

	if (!c || !node_control_listeners(c))
		return;
	node_device_get_info(node_control_device(c), &info);
	node_control_publish(c, render(e, info.name));
}

static enum node_event_kind kind_of(enum node_mesh_event_kind kind)
{
	switch (kind) {
	case NODE_MESH_HUB_UP:
		return NODE_EVENT_HUB_UP;
	case NODE_MESH_HUB_DOWN:
		return NODE_EVENT_HUB_DOWN;
	case NODE_MESH_PEER_ADDED:
		return NODE_EVENT_PEER_ADDED;
	case NODE_MESH_PEER_REMOVED:
		return NODE_EVENT_PEER_REMOVED;
	case NODE_MESH_PATH_CHANGED:
		return NODE_EVENT_PATH;
	case NODE_MESH_MTU_CHANGED:
		return NODE_EVENT_MTU;
	case NODE_MESH_MAP_REFUSED:
		break;
	}
	return NODE_EVENT_MAP_REFUSED;
}

void node_events_mesh(struct node_control *c, const struct node_mesh_event *m)
{
	bool path = m->kind == NODE_MESH_PATH_CHANGED || m->kind == NODE_MESH_MTU_CHANGED;
	struct node_event e = {.kind = kind_of(m->kind),
			       .why = m->why,
			       .peer = m->peer,
			       .mtu = m->mtu,
			       .path = path ? mesh_path_kind_name(m->path) : NULL};

	if (m->kind == NODE_MESH_PATH_CHANGED)
		e.path_was = mesh_path_kind_name(m->path_was);
	node_events_emit(c, &e);
}
