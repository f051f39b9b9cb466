/* SPDX-License-Identifier: MIT */
#include "node/xdp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "node/xdp_impl.h"
#include "plat/clock.h"

#define STUCK_TICKS 20 /* two seconds */
#define LOOK_TICKS  20

void node_xdp_settings_of(const struct node_config *cfg, struct node_xdp_settings *out)
{
	*out = (struct node_xdp_settings){.mode = NODE_DATAPATH_AUTO};
	if (!cfg)
		return;
	out->mode = (enum node_datapath_mode)cfg->mode;
	out->unknown_pass = cfg->unknown_index == NODE_UNKNOWN_INDEX_PASS;
	out->queues = cfg->queues;
	out->umem_mb = cfg->umem_mb;
	for (uint32_t i = 0; i < TT_MIN(cfg->interfaces.count, NODE_XDP_INTERFACES); i++)
		snprintf(out->interface[out->interfaces++], PLAT_IFNAME_MAX, "%.15s",
			 node_config_line(cfg, cfg->interfaces, i));
}

int node_xdp_create(const struct node_xdp_options *opt, struct node_xdp **out)
{
	struct node_xdp *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->opt = *opt;
	x->generation = 1;
	x->lookups = XDP_LOOKUPS_BURST;
	x->settings.mode = NODE_DATAPATH_SOCKET;
	*out = x;
	return 0;
}

static void forget_interface(struct node_xdp *x, struct xdp_interface *i)
{
	node_xdp_interface_stop(x, i);
	memset(i, 0, sizeof(*i));
}

void node_xdp_destroy(struct node_xdp *x)
{
	if (!x)
		return;
	x->settings.mode = NODE_DATAPATH_SOCKET;
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		forget_interface(x, &x->at[k]);
	node_xdp_path_close(x);
	free(x);
}

/* --- which interfaces ------------------------------------------------------------------------- */

static uint32_t index_of(const char *name)
{
	struct plat_netcfg_link link;

	return plat_netcfg_link_get(0, name, &link) == 0 ? link.ifindex : 0;
}

static struct xdp_interface *slot_by_name(struct node_xdp *x, const char *name)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (strcmp(x->at[k].name, name) == 0)
			return &x->at[k];
	return NULL;
}

static struct xdp_interface *free_slot(struct node_xdp *x)
{
	return slot_by_name(x, "");
}

struct xdp_interface *node_xdp_interface_for(struct node_xdp *x, uint32_t ifindex)
{
	struct plat_netcfg_link link;
	struct xdp_interface *i;

	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (x->at[k].name[0] && x->at[k].ifindex == ifindex)
			return &x->at[k];
	if (x->settings.interfaces || !ifindex || plat_netcfg_link_get(ifindex, NULL, &link) != 0)
		return NULL;
	/* one of this name that vanished, or a new one */
	i = slot_by_name(x, link.name);
	if (!i)
		i = free_slot(x);
	if (!i || xdp_is_attached(i))
		return NULL;
	snprintf(i->name, sizeof(i->name), "%s", link.name);
	i->ifindex = ifindex;
	i->reason[0] = 0;
	return i;
}

static bool is_configured(const struct node_xdp *x, const char *name)
{
	for (unsigned k = 0; k < x->settings.interfaces; k++)
		if (strcmp(x->settings.interface[k], name) == 0)
			return true;
	return false;
}

static void add_configured(struct node_xdp *x)
{
	for (unsigned k = 0; k < x->settings.interfaces; k++) {
		const char *name = x->settings.interface[k];
		struct xdp_interface *i = slot_by_name(x, name);

		if (!i)
			i = free_slot(x);
		if (!i)
			return;
		snprintf(i->name, sizeof(i->name), "%s", name);
		i->configured = true;
		if (!i->ifindex)
			i->ifindex = index_of(name);
	}
}

static bool same_settings(const struct node_xdp_settings *a, const struct node_xdp_settings *b)
{
	return a->mode == b->mode && a->queues == b->queues && a->umem_mb == b->umem_mb;
}

/* What cannot be changed in place is taken down; what is not wanted any more is forgotten. */
static void drop_unwanted(struct node_xdp *x, const struct node_xdp_settings *old)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		struct xdp_interface *i = &x->at[k];

		if (!i->name[0])
			continue;
		if (!same_settings(old, &x->settings) ||
		    (x->settings.interfaces && !is_configured(x, i->name)) ||
		    (!x->settings.interfaces && i->configured))
			forget_interface(x, i);
		else if (i->view)
			plat_xdp_view_set_unknown_pass(i->view, x->settings.unknown_pass);
	}
}

static void detach_left_over(struct node_xdp *x)
{
	struct node_priv_request req = {.op = NODE_PRIV_XDP_DETACH};

	(void)node_priv_send(x->opt.priv, &req, -1, NULL, NULL);
}

void node_xdp_configure(struct node_xdp *x, const struct node_xdp_settings *settings)
{
	struct node_xdp_settings old = x->settings;
	int err = 0;

	x->settings = *settings;
	drop_unwanted(x, &old);
	if (!x->configured && settings->mode == NODE_DATAPATH_SOCKET)
		detach_left_over(x);
	x->configured = true;
	if (settings->mode == NODE_DATAPATH_SOCKET)
		return;
	if (!x->hops)
		err = node_xdp_path_open(x);
	if (err)
		tt_log(TT_LOG_WARN, "xdp.no_routes", TT_F_ERRNO("error", err),
		       TT_F_STR("effect", "packets leave by the sockets"));
	add_configured(x);
	if (!settings->interfaces)
		node_xdp_path_defaults(x);
	/* finds the interfaces that peers are behind */
	x->lookups = XDP_LOOKUPS_BURST;
	x->generation++;
	x->relink = true;
	node_xdp_path_tick(x);
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (x->at[k].name[0])
			node_xdp_interface_start(x, &x->at[k]);
	x->lookups = XDP_LOOKUPS_BURST;
	node_xdp_path_tick(x);
}

enum node_datapath_mode node_xdp_mode(const struct node_xdp *x)
{
	return x->settings.mode;
}

/* --- indices ---------------------------------------------------------------------------------- */

void node_xdp_index(struct node_xdp *x, uint32_t index, bool on)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		struct plat_xdp_view *v = x->at[k].view;

		if (!v)
			continue;
		(on ? plat_xdp_view_index_set : plat_xdp_view_index_clear)(v, index);
		return; /* all attachments of a monitor share the array */
	}
}

/* --- events ----------------------------------------------------------------------------------- */

static void vanished(struct node_xdp *x, struct xdp_interface *i)
{
	tt_log(TT_LOG_INFO, "xdp.gone", TT_F_STR("interface", i->name));
	if (xdp_is_attached(i))
		i->restarts++;
	node_xdp_interface_stop(x, i);
	i->ifindex = 0;
	i->failed = 0;
	i->failures = 0;
	i->tried = i->foreign = false;
	i->retry_at = i->not_before = (struct tt_mono){0};
	snprintf(i->reason, sizeof(i->reason), "no such interface");
}

/* A name that was waited for is there: an interface made anew has another index. */
static void look_for_absent(struct node_xdp *x)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		struct xdp_interface *i = &x->at[k];

		if (!i->name[0] || i->ifindex)
			continue;
		i->ifindex = index_of(i->name);
		i->look = i->ifindex != 0;
	}
}

void node_xdp_link_event(struct node_xdp *x, const struct plat_netcfg_event *ev)
{
	bool lost = ev->kind == PLAT_NETCFG_EVENT_LOST;

	if (x->settings.mode == NODE_DATAPATH_SOCKET ||
	    (ev->kind != PLAT_NETCFG_EVENT_LINK && !lost))
		return;
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++) {
		struct xdp_interface *i = &x->at[k];

		if (!i->name[0] || !i->ifindex || (!lost && i->ifindex != ev->ifindex))
			continue;
		if (lost ? index_of(i->name) != i->ifindex : ev->removed)
			vanished(x, i);
		else
			i->look = true;
	}
	if (!ev->removed)
		look_for_absent(x);
}

/* Packets handed to the NIC that it does not take, with the link up: this way does not work. */
static bool is_stuck(struct xdp_interface *i)
{
	uint32_t pending = 0;

	for (unsigned q = 0; q < i->queues; q++)
		pending += plat_xsk_tx_pending(i->queue[q].xsk);
	if (!pending || pending != i->stuck_pending || !i->facts.running)
		i->stuck_ticks = 0;
	else
		i->stuck_ticks++;
	i->stuck_pending = pending;
	return i->stuck_ticks >= STUCK_TICKS;
}

static void interface_tick(struct node_xdp *x, struct xdp_interface *i, struct tt_mono now)
{
	bool due = tt_mono_is_set(i->retry_at) && !tt_mono_before(now, i->retry_at);

	/* the kernel tells nobody when a link is detached by force */
	if (xdp_is_attached(i) && ++i->unlooked >= LOOK_TICKS)
		i->look = true;
	if (i->look || due)
		node_xdp_interface_look(x, i);
	if (i->kind == NODE_XDP_ZERO_COPY && is_stuck(i)) {
		i->stuck_ticks = 0;
		node_xdp_interface_downgrade(x, i, "the NIC does not send what it was given");
	}
}

/* Queues are free that were not when they were asked for last. */
static void look_at_all(struct node_xdp *x)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (!xdp_is_attached(&x->at[k])) {
			x->at[k].look = true;
			x->at[k].tried = false;
		}
}

void node_xdp_tick(struct node_xdp *x, struct tt_mono now)
{
	if (node_xdp_queues_release(x))
		look_at_all(x);
	if (x->settings.mode == NODE_DATAPATH_SOCKET)
		return;
	x->lookups = XDP_LOOKUPS_BURST;
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (x->at[k].name[0] && x->at[k].ifindex)
			interface_tick(x, &x->at[k], now);
	node_xdp_threaded_tick(x);
	node_xdp_path_tick(x);
}

/* --- looking ---------------------------------------------------------------------------------- */

static struct xdp_interface *nth(struct node_xdp *x, unsigned n)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (x->at[k].name[0] && n-- == 0)
			return &x->at[k];
	return NULL;
}

unsigned node_xdp_interface_count(const struct node_xdp *x)
{
	unsigned n = 0;

	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		n += x->at[k].name[0] != 0;
	return n;
}

void node_xdp_interface_get(struct node_xdp *x, unsigned n, struct node_xdp_interface_info *out)
{
	const struct xdp_interface *i = nth(x, n);
	uint64_t of_queue[PLAT_XDP_REASONS_MAX];

	*out = (struct node_xdp_interface_info){0};
	if (!i)
		return;
	memcpy(out->name, i->name, sizeof(out->name));
	out->ifindex = i->ifindex;
	out->kind = i->kind;
	out->reason = i->reason;
	for (unsigned k = 0; k < NODE_XDP_KIND_COUNT; k++)
		out->refusal[k] = i->refusal[k];
	out->facts = i->facts;
	out->restarts = i->restarts;
	out->queues = i->queues;
	out->nic_queues = TT_MAX(i->facts.queues, 1u); /* where the driver does not say */
	for (unsigned q = 0; q < out->nic_queues && q <= PLAT_XDP_QUEUES_MAX; q++) {
		out->reason_count = node_xdp_reasons_get(x, n, q, of_queue);
		for (unsigned r = 0; r < out->reason_count; r++)
			out->reasons[r] += of_queue[r];
	}
}

unsigned node_xdp_reasons_get(struct node_xdp *x, unsigned n, unsigned queue,
			      uint64_t reasons[PLAT_XDP_REASONS_MAX])
{
	const struct xdp_interface *i = nth(x, n);
	int count = i && i->view
			    ? plat_xdp_view_counters(i->view, queue, reasons, PLAT_XDP_REASONS_MAX)
			    : 0;

	return count > 0 ? (unsigned)count : 0;
}

void node_xdp_queue_get(struct node_xdp *x, unsigned n, unsigned queue,
			struct node_xdp_queue_info *out)
{
	const struct xdp_interface *i = nth(x, n);
	struct dp_xsk_stats s[DP_XSK_LANES];
	unsigned lane = 0;

	*out = (struct node_xdp_queue_info){.queue = queue};
	if (!i || queue >= i->queues)
		return;
	out->worker = i->queue[queue].worker;
	out->active = i->queue[queue].active;
	(void)plat_xsk_stats_get(i->queue[queue].xsk, &out->kernel);
	out->fill_level = plat_xsk_fill_level(i->queue[queue].xsk);
	out->rx_pending = plat_xsk_rx_pending(i->queue[queue].xsk);
	/* a worker's lanes are its queues in the order of interfaces and numbers */
	for (const struct xdp_interface *k = x->at; k <= i; k++)
		for (unsigned q = 0; q < (k == i ? queue : k->queues); q++)
			lane += k->queue[q].worker == out->worker;
	if (lane < dp_plane_xsk_stats(x->opt.plane, out->worker, s, DP_XSK_LANES))
		out->datapath = s[lane];
}
