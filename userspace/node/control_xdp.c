/* SPDX-License-Identifier: MIT */
#include "node/control_xdp.h"

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

const char *node_control_xdp_mode(struct node_xdp *x)
{
	enum node_xdp_kind kind = NODE_XDP_SOCKET;
	struct node_xdp_interface_info i;
	bool any = false;

	for (unsigned n = 0; x && n < node_xdp_interface_count(x); n++) {
		node_xdp_interface_get(x, n, &i);
		if (any && i.kind != kind)
			return "mixed";
		kind = i.kind;
		any = true;
	}
	return node_xdp_kind_name(kind);
}

static json_t *rings(const struct node_xdp_queue_info *q)
{
	const struct dp_xsk_stats *s = &q->datapath;

	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "frames", count(s->frames), "free",
			 count(s->free_frames), "fill", count(q->fill_level), "rx",
			 count(q->rx_pending), "sending", count(s->out));
}

static json_t *kernel(const struct plat_xsk_stats *s)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "rx_dropped",
			 count(s->rx_dropped), "rx_ring_full", count(s->rx_ring_full),
			 "rx_fill_empty", count(s->rx_fill_empty), "rx_invalid_desc",
			 count(s->rx_invalid_desc), "tx_invalid_desc", count(s->tx_invalid_desc),
			 "tx_ring_empty", count(s->tx_ring_empty), "kicks", count(s->kicks),
			 "again", count(s->again), "lost", count(s->lost), "rx_wakeups",
			 count(s->rx_wakeup));
}

static json_t *queues(struct node_xdp *x, unsigned interface, unsigned n)
{
	json_t *list = json_array();
	struct node_xdp_queue_info q;

	for (unsigned i = 0; i < n; i++) {
		node_xdp_queue_get(x, interface, i, &q);
		json_array_append_new(list, json_pack("{s:i,s:i,s:b,s:o,s:o,s:o,s:o}", "queue",
						      (int)q.queue, "worker", (int)q.worker,
						      "active", q.active ? 1 : 0, "rx_packets",
						      count(q.datapath.rx), "tx_packets",
						      count(q.datapath.tx), "rings", rings(&q),
						      "kernel", kernel(&q.kernel)));
	}
	return list;
}

/* All of them, so that a zero can be seen. */
static json_t *reasons(const struct node_xdp_interface_info *i)
{
	json_t *o = json_object();

	for (unsigned r = 0; r < i->reason_count; r++)
		json_object_set_new(o, plat_xdp_reason_name(r), count(i->reasons[r]));
	return o;
}

static json_t *refusals(const struct node_xdp_interface_info *i)
{
	json_t *o = json_object();

	for (unsigned k = NODE_XDP_ZERO_COPY; k < NODE_XDP_KIND_COUNT; k++)
		if (i->refusal[k][0] && k != i->kind)
			json_object_set_new(o, node_xdp_kind_name((enum node_xdp_kind)k),
					    json_string(i->refusal[k]));
	return o;
}

json_t *node_control_xdp(struct node_xdp *x)
{
	json_t *list = json_array();
	struct node_xdp_interface_info i;

	for (unsigned n = 0; x && n < node_xdp_interface_count(x); n++) {
		node_xdp_interface_get(x, n, &i);
		json_array_append_new(
			list, json_pack("{s:s,s:i,s:s,s:s,s:o,s:s,s:i,s:i,s:i,s:o,s:o}",
					"interface", i.name, "ifindex", (int)i.ifindex, "mode",
					node_xdp_kind_name(i.kind), "reason",
					i.reason ? i.reason : "", "refused", refusals(&i), "driver",
					i.facts.driver, "mtu", (int)i.facts.mtu, "nic_queues",
					(int)i.nic_queues, "restarts", (int)i.restarts, "queues",
					queues(x, n, i.queues), "steering", reasons(&i)));
	}
	return list;
}
