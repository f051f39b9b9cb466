/* SPDX-License-Identifier: MIT
 *
 * One interface: attach and open in the best way that works, notice when it no longer does, and
 * take everything back in the order that loses no packet of anybody else.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "node/device_impl.h"
#include "node/priv_wire.h"
#include "node/xdp_impl.h"
#include "plat/clock.h"

#define ETHERNET_VLAN_HEADER 18
#define RETRY_MIN_NS	     (500 * TT_NS_PER_MS)
#define RETRY_MAX_NS	     (60 * TT_NS_PER_SEC)
/* For so many tries (3.5 s) the program waits on the interface for its queues to get free. */
#define BUSY_TRIES 3

static uint32_t frame_limit(const struct xdp_interface *i)
{
	return TT_MIN(i->facts.mtu + ETHERNET_VLAN_HEADER, PLAT_XSK_RX_MAX);
}

/* The monitor's texts name the interface first; here they stand beside its name. */
static void take_text(const struct xdp_interface *i, const char *text, char *why)
{
	size_t n = strlen(i->name);

	if (strncmp(text, i->name, n) == 0 && strncmp(text + n, ": ", 2) == 0)
		text += n + 2;
	snprintf(why, PLAT_XDP_WHY_MAX, "%.*s", PLAT_XDP_WHY_MAX - 1, text);
}

/* --- the attachment --------------------------------------------------------------------------- */

/* Returns when it is off: some drivers must not lose their sockets before. */
static void detach(struct node_xdp *x, struct xdp_interface *i)
{
	struct node_priv_request req = {.op = NODE_PRIV_XDP_DETACH};
	struct node_priv_reply reply;

	if (i->attached == PLAT_XDP_MODE_NONE)
		return;
	req.u.xdp.ifindex = i->ifindex;
	(void)node_priv_call(x->opt.priv, &req, -1, &reply, NULL);
	plat_xdp_view_close(i->view);
	i->view = NULL;
	i->attached = PLAT_XDP_MODE_NONE;
	i->threaded = false;
	i->program_id = 0;
}

static bool others_attached(const struct node_xdp *x, const struct xdp_interface *i)
{
	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		if (&x->at[k] != i && x->at[k].view)
			return true;
	return false;
}

static void add_index(void *arg, uint32_t index)
{
	plat_xdp_view_index_set(arg, index);
}

static int open_view(struct node_xdp *x, struct xdp_interface *i, const int *fds)
{
	struct plat_xdp_fds maps = {fds[0], fds[1], fds[2], fds[3]};
	struct plat_xdp_held held;
	int err = plat_xdp_view_open(&maps, &i->view);

	if (err)
		return err;
	plat_xdp_view_set_capacity(i->view, DP_INDEX_SLOTS);
	/* what an engine before this one left */
	if (!others_attached(x, i))
		plat_xdp_view_index_clear_all(i->view);
	plat_xdp_view_set_unknown_pass(i->view, x->settings.unknown_pass);
	node_device_each_index(x->opt.device, add_index, i->view);
	if (plat_xdp_held_get(i->ifindex, &held) == 0)
		i->program_id = held.program_id;
	return 0;
}

static void set_limit(struct node_xdp *x, const struct xdp_interface *i)
{
	struct node_priv_request req = {.op = NODE_PRIV_XDP_LIMIT};

	req.u.xdp.ifindex = i->ifindex;
	req.u.xdp.frame_limit = frame_limit(i);
	(void)node_priv_send(x->opt.priv, &req, -1, NULL, NULL);
}

static int attach(struct node_xdp *x, struct xdp_interface *i, enum plat_xdp_mode mode, char *why)
{
	struct node_priv_request req = {.op = NODE_PRIV_XDP_ATTACH};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	if (i->attached == mode) {
		set_limit(x, i); /* it may have waited for its queues */
		return 0;
	}
	detach(x, i);
	req.u.xdp.ifindex = i->ifindex;
	req.u.xdp.mode = mode;
	req.u.xdp.frame_limit = frame_limit(i);
	int err = node_priv_call(x->opt.priv, &req, -1, &reply, fds);
	if (!err && reply.fds != 4) {
		node_wire_close(fds, reply.fds);
		err = -EBADMSG;
	}
	if (err) {
		take_text(i, reply.error, why);
		return err;
	}
	i->attached = mode;
	err = open_view(x, i, fds);
	if (err) {
		snprintf(why, PLAT_XDP_WHY_MAX, "cannot use its maps: %s", strerror(-err));
		detach(x, i);
	}
	return err;
}

/* --- GRO -------------------------------------------------------------------------------------- */

/* Generic mode sees super-packets that GRO made of the tunnel's own datagrams. */
static void settle_gro(struct node_xdp *x)
{
	bool refused = false;

	for (unsigned k = 0; k < NODE_XDP_INTERFACES; k++)
		refused |= x->at[k].attached == PLAT_XDP_MODE_GENERIC;
	if (refused == x->gro_refused)
		return;
	x->gro_refused = refused;
	x->opt.allow_gro(x->opt.ctx, !refused);
}

/* --- start ------------------------------------------------------------------------------------ */

static void log_result(const struct xdp_interface *i, enum node_xdp_kind was,
		       const char *reason_was)
{
	if (i->kind == was && strcmp(i->reason, reason_was) == 0)
		return;
	tt_log(TT_LOG_INFO, "xdp.mode", TT_F_STR("interface", i->name),
	       TT_F_STR("mode", node_xdp_kind_name(i->kind)), TT_F_STR("reason", i->reason),
	       TT_F_STR("driver", i->facts.driver), TT_F_U64("queues", i->queues),
	       TT_F_U64("nic_queues", i->facts.queues));
	for (unsigned k = NODE_XDP_ZERO_COPY; k < NODE_XDP_KIND_COUNT; k++)
		if (i->refusal[k][0] && k != i->kind)
			tt_log(TT_LOG_INFO, "xdp.refused", TT_F_STR("interface", i->name),
			       TT_F_STR("mode", node_xdp_kind_name((enum node_xdp_kind)k)),
			       TT_F_STR("reason", i->refusal[k]));
}

/* True where a later try can end differently without anybody's change of configuration. */
static bool may_pass(int err)
{
	return err != -EOPNOTSUPP && err != -EPERM && err != -ENOTSUP && err != -EAFNOSUPPORT &&
	       err != -ERANGE && err != -EINVAL && err != -ETIME;
}

static void back_off(struct xdp_interface *i, bool again)
{
	uint64_t ns = RETRY_MIN_NS << TT_MIN(i->failures, 8u);

	i->failures++;
	i->not_before = tt_mono_add_ns(plat_clock_mono(), TT_MIN(ns, RETRY_MAX_NS));
	if (again)
		i->retry_at = i->not_before;
}

/* Tries one kind; 0 or -errno with its refusal written. */
static int try_kind(struct node_xdp *x, struct xdp_interface *i, enum node_xdp_kind kind)
{
	char *why = i->refusal[kind];
	int err = attach(x, i, node_xdp_attachment(kind), why);

	if (!err) {
		settle_gro(x);
		err = node_xdp_queues_open(x, i, kind, why);
	}
	if (err)
		return err;
	why[0] = 0;
	i->kind = kind;
	return 0;
}

static const char *best_refusal(const struct xdp_interface *i, const struct node_xdp_plan *plan)
{
	/* the most able kind that was tried says what is wrong with the interface */
	return plan->count ? i->refusal[plan->order[plan->count - 1]]
			   : plan->refusal[NODE_XDP_SOCKET];
}

/* The queues are still a dead engine's, or somebody's for good: generic mode finds the same. */
static bool is_busy(const struct xdp_interface *i, const struct node_xdp_plan *plan, unsigned k)
{
	return k + 1 == plan->count || node_xdp_attachment(plan->order[k + 1]) != i->attached;
}

static void run_plan(struct node_xdp *x, struct xdp_interface *i, const struct node_xdp_plan *plan)
{
	bool again = false, busy = false;

	i->kind = NODE_XDP_SOCKET;
	i->foreign = false;
	for (unsigned k = 0; k < plan->count && i->kind == NODE_XDP_SOCKET; k++) {
		int err = try_kind(x, i, plan->order[k]);

		again |= err && may_pass(err);
		if (err != -EBUSY)
			continue;
		/* somebody else has it: no other kind will fare better */
		i->foreign = i->attached == PLAT_XDP_MODE_NONE;
		busy = !i->foreign && is_busy(i, plan, k);
		if (i->foreign || busy) {
			memcpy(i->reason, i->refusal[plan->order[k]], sizeof(i->reason));
			break;
		}
	}
	if (i->kind != NODE_XDP_SOCKET) {
		i->failures = 0;
		snprintf(i->reason, sizeof(i->reason), "the best that works here");
		return;
	}
	/* switching the NIC's receive path off and on is not for nothing: the next try may be it */
	if (!busy || i->failures >= BUSY_TRIES)
		detach(x, i);
	settle_gro(x);
	if (!i->reason[0])
		snprintf(i->reason, sizeof(i->reason), "%s", best_refusal(i, plan));
	if (plan->count)
		back_off(i, again);
}

void node_xdp_interface_start(struct node_xdp *x, struct xdp_interface *i)
{
	enum node_xdp_kind was = i->kind;
	char reason_was[PLAT_XDP_WHY_MAX];
	struct node_xdp_plan plan;

	if (xdp_is_attached(i))
		return;
	memcpy(reason_was, i->reason, sizeof(reason_was));
	i->reason[0] = 0;
	i->retry_at = i->not_before = (struct tt_mono){0};
	i->tried = true;
	if (!i->ifindex || plat_xdp_facts_get(i->ifindex, &i->facts) != 0) {
		memset(i->refusal, 0, sizeof(i->refusal));
		snprintf(i->reason, sizeof(i->reason), "no such interface");
		log_result(i, was, reason_was);
		return;
	}
	snprintf(i->name, sizeof(i->name), "%s", i->facts.name);
	i->tried_with = i->facts;
	node_xdp_plan(x->settings.mode, &i->facts, i->failed, i->failed_why, &plan);
	memcpy(i->refusal, plan.refusal, sizeof(i->refusal));
	run_plan(x, i, &plan);
	if (xdp_is_attached(i)) {
		x->generation++;
		x->relink = true;
	}
	log_result(i, was, reason_was);
}

/* --- stop ------------------------------------------------------------------------------------- */

/* Out of the map, out of the workers' hands, off the NIC, and only then the sockets. */
void node_xdp_interface_stop(struct node_xdp *x, struct xdp_interface *i)
{
	if (!xdp_is_attached(i)) {
		detach(x, i); /* one that waits for its queues */
		return;
	}
	node_xdp_queues_withdraw(x, i);
	i->kind = NODE_XDP_SOCKET;
	x->generation++;
	node_device_unlink(x->opt.device, i->ifindex);
	detach(x, i);
	node_xdp_queues_close(x, i);
	settle_gro(x);
}

void node_xdp_interface_downgrade(struct node_xdp *x, struct xdp_interface *i, const char *why)
{
	enum node_xdp_kind kind = i->kind;

	tt_log(TT_LOG_WARN, "xdp.downgrade", TT_F_STR("interface", i->name),
	       TT_F_STR("mode", node_xdp_kind_name(kind)), TT_F_STR("reason", why));
	i->failed |= 1u << kind;
	snprintf(i->failed_why[kind], PLAT_XDP_WHY_MAX, "failed while it ran: %s", why);
	node_xdp_interface_stop(x, i);
	node_xdp_interface_start(x, i);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The attachment was replaced, taken away, or does not fit the link any more. */
static bool is_lost(const struct xdp_interface *i, const char **why)
{
	struct plat_xdp_held held;

	*why = "its program was taken away";
	if (plat_xdp_held_get(i->ifindex, &held) != 0)
		return false; /* nobody knows: it stays */
	if (held.program_id == i->program_id)
		return false;
	return true;
}

static void new_mtu(struct node_xdp *x, struct xdp_interface *i)
{
	if (i->facts.mtu > plat_xdp_mtu_max(i->kind == NODE_XDP_ZERO_COPY)) {
		tt_log(TT_LOG_INFO, "xdp.mtu", TT_F_STR("interface", i->name),
		       TT_F_U64("mtu", i->facts.mtu));
		node_xdp_interface_stop(x, i);
		node_xdp_interface_start(x, i);
		return;
	}
	set_limit(x, i);
}

static bool differs(const struct plat_xdp_facts *a, const struct plat_xdp_facts *b)
{
	return a->mtu != b->mtu || a->up != b->up || a->running != b->running ||
	       a->queues != b->queues ||
	       ((a->offloads ^ b->offloads) & PLAT_XDP_OFFLOAD_TX_UDP_GSO);
}

static bool is_free_again(const struct xdp_interface *i)
{
	struct plat_xdp_held held;

	return i->foreign && plat_xdp_held_get(i->ifindex, &held) == 0 &&
	       held.mode == PLAT_XDP_MODE_NONE;
}

/* Whether it is worth another try now. */
static bool worth_it(struct xdp_interface *i)
{
	struct tt_mono now = plat_clock_mono();
	bool due = tt_mono_is_set(i->retry_at) && !tt_mono_before(now, i->retry_at);

	if (!i->tried || due || is_free_again(i))
		return true;
	if (plat_xdp_facts_get(i->ifindex, &i->facts) != 0 || !differs(&i->facts, &i->tried_with))
		return false;
	if (!tt_mono_is_set(i->not_before) || !tt_mono_before(now, i->not_before))
		return true;
	i->retry_at = i->not_before;
	return false;
}

void node_xdp_interface_look(struct node_xdp *x, struct xdp_interface *i)
{
	uint32_t mtu = i->facts.mtu;
	const char *why;

	i->look = false;
	i->unlooked = 0;
	if (!xdp_is_attached(i)) {
		if (worth_it(i))
			node_xdp_interface_start(x, i);
		return;
	}
	if (plat_xdp_facts_get(i->ifindex, &i->facts) != 0)
		return; /* it is going: its removal is told */
	if (is_lost(i, &why)) {
		tt_log(TT_LOG_WARN, "xdp.lost", TT_F_STR("interface", i->name),
		       TT_F_STR("reason", why));
		i->restarts++;
		node_xdp_interface_stop(x, i);
		node_xdp_interface_start(x, i);
	} else if (i->facts.mtu != mtu) {
		new_mtu(x, i);
	}
}
