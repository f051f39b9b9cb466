/* SPDX-License-Identifier: MIT
 *
 * Where peers are sent to: the endpoint for the sockets, and the link past the kernel beside it.
 */
#include "node/device_impl.h"
#include "plat/clock.h"

static enum node_link find_link(struct node_device *d, struct node_peer *p, struct dp_link *out)
{
	enum node_link found = NODE_LINK_KERNEL;

	memset(out, 0, sizeof(*out));
	/* a managed peer's dest is that of its route: the peer's own, or the relay's */
	if (d->opt.find_link && tt_endpoint_is_set(&p->dest.to))
		found = d->opt.find_link(d->opt.ctx, &p->dest, out);
	if (found != NODE_LINK_FOUND)
		memset(out, 0, sizeof(*out));
	p->link_generation = found == NODE_LINK_LATER ? 0 : d->link_generation;
	return found;
}

static void publish(struct node_device *d, struct node_peer *p)
{
	struct dp_route route = {.via = DP_VIA_UDP};

	if (p->managed)
		route = p->route;
	route.dest = p->dest;
	dp_peer_set_path(d->opt.plane, p->dp, node_peer_has_path(p) ? &route : NULL,
			 p->outer_link.ifindex ? &p->outer_link : NULL);
}

bool node_peer_has_path(const struct node_peer *p)
{
	return p->managed ? p->has_route : tt_endpoint_is_set(&p->dest.to);
}

void node_peer_set_managed(struct node_device *d, struct node_peer *p, void *user)
{
	p->managed = true;
	p->user = user;
	memset(&p->dest, 0, sizeof(p->dest));
	node_peer_publish_path(d, p);
}

bool node_peer_is_managed(const struct node_peer *p)
{
	return p->managed;
}

void *node_peer_user(const struct node_peer *p)
{
	return p->user;
}

const uint8_t *node_peer_shared_secret(struct node_device *d, struct node_peer *p)
{
	return d->wg->has_key && wg_peer_static_static(d->wg, p->wg) ? p->wg->remote.static_static
								     : NULL;
}

void node_peer_send_facts(const struct node_peer *p, struct tt_mono *last_data_tx,
			  struct tt_mono *unanswered_tx_since)
{
	last_data_tx->ns = atomic_load_explicit(&p->dp->last_data_tx, memory_order_relaxed);
	unanswered_tx_since->ns =
		atomic_load_explicit(&p->dp->unanswered_tx_since, memory_order_relaxed);
}

void node_peer_set_route(struct node_device *d, struct node_peer *p, const struct dp_route *route,
			 bool restart)
{
	memset(&p->route, 0, sizeof(p->route));
	memset(&p->dest, 0, sizeof(p->dest));
	p->has_route = route != NULL;
	if (route) {
		p->route = *route;
		p->route.managed = true;
		if (route->via != DP_VIA_RELAY_TCP)
			p->dest = route->dest;
		if (route->via == DP_VIA_UDP)
			p->direct = route->dest.to;
	}
	node_peer_publish_path(d, p);
	if (!route || !restart)
		return;
	wg_timers_restart(&p->wg->timers);
	node_peer_run(d, p, plat_clock_mono(), 0);
	node_device_rearm(d);
}

void node_peer_publish_path(struct node_device *d, struct node_peer *p)
{
	plat_udp_dest_prepare(&p->dest);
	p->route.dest = p->dest; /* control's own messages to a managed peer */
	find_link(d, p, &p->outer_link);
	publish(d, p);
}

/* The way back may be another one now; the endpoint stays. */
void node_peer_forget_path(struct node_device *d, struct node_peer *p)
{
	memset(&p->dest.from, 0, sizeof(p->dest.from));
	p->dest.from_ifindex = 0;
	node_peer_publish_path(d, p);
}

void node_device_address_gone(struct node_device *d, const struct tt_ip *ip)
{
	for (struct node_peer *p = node_device_next_peer(d, NULL); p;
	     p = node_device_next_peer(d, p))
		if (tt_ip_equal(&p->dest.from, ip))
			node_peer_forget_path(d, p);
}

/* --- links ------------------------------------------------------------------------------------ */

/* False where it has to wait. */
static bool relink(struct node_device *d, struct node_peer *p)
{
	struct dp_link link;

	if (find_link(d, p, &link) == NODE_LINK_LATER)
		return false;
	if (memcmp(&link, &p->outer_link, sizeof(link)) != 0) {
		p->outer_link = link;
		publish(d, p);
	}
	return true;
}

bool node_device_relink(struct node_device *d, uint64_t generation, unsigned max)
{
	d->link_generation = generation;
	for (tt_peer_id left = DP_PEERS_MAX; left; left--) {
		struct node_peer *p = d->peers[d->link_cursor];

		if (p && p->link_generation != generation && (max-- == 0 || !relink(d, p)))
			return true;
		d->link_cursor = (d->link_cursor + 1) % DP_PEERS_MAX;
	}
	return false;
}

void node_device_unlink(struct node_device *d, uint32_t ifindex)
{
	for (struct node_peer *p = node_device_next_peer(d, NULL); p;
	     p = node_device_next_peer(d, p)) {
		if (p->outer_link.ifindex != ifindex)
			continue;
		memset(&p->outer_link, 0, sizeof(p->outer_link));
		p->link_generation = 0;
		publish(d, p);
	}
}

void node_device_each_index(const struct node_device *d, void (*fn)(void *arg, uint32_t index),
			    void *arg)
{
	const struct wg_index_table *t = &d->wg->index;

	for (uint32_t i = 0; i < t->capacity; i++)
		if (t->entries[i].kind == WG_INDEX_SESSION)
			fn(arg, t->entries[i].index);
}
