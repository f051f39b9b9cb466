/* SPDX-License-Identifier: MIT
 *
 * Next hops: where packets to a peer leave, asked of the kernel at a bounded rate and again
 * whenever its routes, neighbours or links change.
 */
#include <errno.h>

#include "base/log.h"
#include "node/device_impl.h"
#include "node/xdp_impl.h"

int node_xdp_path_open(struct node_xdp *x)
{
	int err = plat_nexthops_open(&x->hops);

	if (err) {
		x->hops = NULL;
		return err;
	}
	x->hops_generation = plat_nexthops_generation(x->hops);
	return 0;
}

void node_xdp_path_close(struct node_xdp *x)
{
	plat_nexthops_close(x->hops);
	x->hops = NULL;
}

int node_xdp_fd(const struct node_xdp *x)
{
	return x->hops ? plat_nexthops_fd(x->hops) : -1;
}

int node_xdp_read(struct node_xdp *x)
{
	int err = x->hops ? plat_nexthops_read(x->hops) : -EBADF;

	if (err) {
		tt_log(TT_LOG_WARN, "xdp.no_routes", TT_F_ERRNO("error", err),
		       TT_F_STR("effect", "packets leave by the sockets"));
		node_xdp_path_close(x);
		x->generation++;
		x->relink = true;
		return err;
	}
	if (plat_nexthops_generation(x->hops) != x->hops_generation) {
		x->hops_generation = plat_nexthops_generation(x->hops);
		x->generation++;
		x->relink = true;
		/* what the last tick left of its share: a gateway that moved is followed at once */
		node_xdp_path_tick(x);
	}
	return 0;
}

static struct plat_nexthop_query query_for(const struct node_xdp *x,
					   const struct plat_udp_dest *dest)
{
	struct node_device_info info;

	node_device_get_info(x->opt.device, &info);
	return (struct plat_nexthop_query){.to = dest->to,
					   .from = dest->from,
					   .from_udp_port = info.udp_port,
					   .fwmark = info.fwmark,
					   .ifindex = dest->from_ifindex};
}

static bool sends_on(const struct node_xdp *x, uint32_t ifindex)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (x->at[k].ifindex == ifindex && xdp_is_attached(&x->at[k]))
			return true;
	return false;
}

enum node_link node_xdp_find_link(struct node_xdp *x, const struct plat_udp_dest *dest,
				  struct dp_link *out)
{
	struct plat_nexthop_query q;
	struct plat_nexthop hop;

	if (!x->hops || x->settings.mode == NODE_DATAPATH_SOCKET ||
	    dest->to.ip.family == TT_FAMILY_NONE)
		return NODE_LINK_KERNEL;
	if (!x->lookups) {
		x->relink = true;
		return NODE_LINK_LATER;
	}
	x->lookups--;
	q = query_for(x, dest);
	if (plat_nexthops_lookup(x->hops, &q, &hop) != 0 ||
	    (hop.verdict != PLAT_NEXTHOP_RESOLVED && hop.verdict != PLAT_NEXTHOP_UNRESOLVED))
		return NODE_LINK_KERNEL;
	struct xdp_interface *i = node_xdp_interface_for(x, hop.ifindex);
	/* not from within whoever publishes a path */
	if (i && !i->reason[0])
		i->look = true;
	if (hop.verdict != PLAT_NEXTHOP_RESOLVED || !sends_on(x, hop.ifindex) ||
	    !dp_link_build(out, &hop, &dest->to, q.from_udp_port))
		return NODE_LINK_KERNEL;
	return NODE_LINK_FOUND;
}

void node_xdp_path_defaults(struct node_xdp *x)
{
	/* addresses for documentation: no host has a route of its own to them */
	static const char *const probe[] = {"192.0.2.1:9", "[2001:db8::1]:9"};

	for (unsigned k = 0; x->hops && k < TT_ARRAY_LEN(probe); k++) {
		struct plat_udp_dest dest = {0};
		struct plat_nexthop_query q;
		struct plat_nexthop hop;

		tt_endpoint_parse(probe[k], &dest.to);
		q = query_for(x, &dest);
		if (plat_nexthops_lookup(x->hops, &q, &hop) == 0 &&
		    (hop.verdict == PLAT_NEXTHOP_RESOLVED ||
		     hop.verdict == PLAT_NEXTHOP_UNRESOLVED))
			node_xdp_interface_for(x, hop.ifindex);
	}
}

void node_xdp_outer_changed(struct node_xdp *x)
{
	/* a header with the old udp_port would make peers follow it back */
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (xdp_is_attached(&x->at[k]))
			node_device_unlink(x->opt.device, x->at[k].ifindex);
	x->generation++;
	x->relink = true;
}

void node_xdp_path_tick(struct node_xdp *x)
{
	if (x->relink && x->lookups)
		x->relink = node_device_relink(x->opt.device, x->generation, x->lookups);
}
