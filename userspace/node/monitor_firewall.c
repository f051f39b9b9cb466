/* SPDX-License-Identifier: MIT
 *
 * The table of [gateway] on this host: made as the configuration says, put back when somebody
 * changes or flushes it, removed at the end. RUN_DIR/IFNAME.nft holds what the kernel had right
 * after it was made: for `taltun firewall show`, and so that the next monitor removes what one that
 * was killed has left.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/memfile.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define QUIET_SEC      30 /* nobody has touched the table for so long: the next time is a first */

#define WITHOUT                                                                                    \
	"peers are kept apart all the same, but nothing is masqueraded, and peers reach all that " \
	"this host forwards to"

static struct node_firewall_facts facts_of(const struct node_monitor *m)
{
	return (struct node_firewall_facts){
		.ifname = m->name,
		.ifindex = m->tun.ifindex,
		.udp_port = m->udp.current.open ? m->udp.current.udp_port : 0,
	};
}

/* --- the file of what stands -------------------------------------------------------------------
 */

/* Of this node or of one before it; where another one has the name, it is that one's. */
static bool listing_is_there(const struct node_monitor *m)
{
	char path[MONITOR_PATH_MAX];

	return m->lock_fd >= 0 && node_monitor_path(path, m->run_dir, m->name, ".nft") == 0 &&
	       access(path, F_OK) == 0;
}

static void listing_remove(const struct node_monitor *m)
{
	char path[MONITOR_PATH_MAX];

	if (node_monitor_path(path, m->run_dir, m->name, ".nft") == 0)
		(void)unlink(path);
}

static int listing_write(const struct node_monitor *m, const char *text)
{
	char path[MONITOR_PATH_MAX];
	int err = node_monitor_path(path, m->run_dir, m->name, ".nft");

	/* there is no secret in it, and whoever may not ask the kernel may read it */
	return err ? err : node_monitor_replace(path, text, 0644);
}

/* Counters and all: whoever compares leaves them out. */
static void listing_save(const struct node_monitor *m)
{
	char table[PLAT_FIREWALL_TABLE_MAX], reason[NODE_PRIV_ERROR_MAX], *text = NULL;
	bool there;
	int err;

	plat_firewall_table(m->name, "", table);
	err = plat_firewall_list(table, &text, &there, reason, sizeof(reason));
	if (!err)
		err = listing_write(m, text ? text : "");
	if (err)
		tt_log(TT_LOG_WARN, "firewall.not_listed", TT_F_ERRNO("error", err));
	free(text);
}

/* --- making and removing -----------------------------------------------------------------------
 */

static void watch_close(struct node_monitor_firewall *fw)
{
	plat_firewall_watch_close(&fw->watch);
	fw->expected = 0;
}

/* Before the table is made: what happens to it from then on is told. */
static void watch_open(struct node_monitor_firewall *fw)
{
	int err;

	if (fw->watch.fd >= 0)
		return;
	err = plat_firewall_watch_open(&fw->watch);
	if (err)
		tt_log(TT_LOG_WARN, "firewall.unwatched", TT_F_ERRNO("error", err),
		       TT_F_STR("hint", "when others flush the table it is not noticed"));
}

/* 0 or -errno with reason. The old table stays where the new one is refused. */
static int table_make(struct node_monitor *m, char *reason, size_t cap)
{
	struct node_monitor_firewall *fw = &m->firewall;
	struct node_firewall_facts facts = facts_of(m);
	char *script = node_firewall_script(&fw->plan, &facts);
	int err;

	if (!script) {
		snprintf(reason, cap, "out of memory");
		return -ENOMEM;
	}
	/* the file first: a table that no file knows would stay for ever after a kill */
	if (!fw->script)
		(void)listing_write(m, "");
	watch_open(fw);
	err = plat_firewall_apply(script, reason, cap);
	if (err) {
		free(script);
		/* one that was killed may have been done */
		if (!fw->script && err != -ETIMEDOUT)
			listing_remove(m);
		return err;
	}
	fw->expected += fw->watch.fd >= 0;
	fw->again_at = (struct tt_mono){0};
	if (!fw->script)
		tt_log(TT_LOG_INFO, "firewall.made", TT_F_STR("interface", m->name));
	free(fw->script);
	fw->script = script;
	listing_save(m);
	return 0;
}

static int table_remove(struct node_monitor *m, char *reason, size_t cap)
{
	struct node_firewall_facts facts = facts_of(m);
	char *script = node_firewall_script(NULL, &facts);
	int err = script ? plat_firewall_apply(script, reason, cap) : -ENOMEM;

	free(script);
	watch_close(&m->firewall);
	free(m->firewall.script);
	m->firewall.script = NULL;
	m->firewall.again_at = (struct tt_mono){0};
	if (!err)
		listing_remove(m);
	return err;
}

/* Also one that could not be removed before, or that nft may have made before it was killed. */
static bool table_may_stand(const struct node_monitor *m)
{
	return m->firewall.script || listing_is_there(m);
}

/* The table as the plan wants it, without doing again what is done. */
static int table_apply(struct node_monitor *m, char *reason, size_t cap)
{
	struct node_monitor_firewall *fw = &m->firewall;
	struct node_firewall_facts facts = facts_of(m);
	char *script;
	bool same;

	reason[0] = 0;
	if (!fw->plan.wanted)
		return table_may_stand(m) ? table_remove(m, reason, cap) : 0;
	script = fw->script ? node_firewall_script(&fw->plan, &facts) : NULL;
	/* one that is to be put back is not there */
	same = script && strcmp(script, fw->script) == 0 && !tt_mono_is_set(fw->again_at);
	free(script);
	return same ? 0 : table_make(m, reason, cap);
}

/* --- the request ---------------------------------------------------------------------------------
 */

/* What the configuration that was loaded last wants, or the one in force. */
static int plan_take(struct node_monitor *m, struct node_firewall *out)
{
	int fd = m->config_loaded >= 0 ? m->config_loaded : m->config_committed;
	int64_t size = fd >= 0 ? plat_memfile_size(fd) : -ENOENT;
	void *map;
	int err = size <= 0 ? -ENOENT : plat_memfile_map(fd, (size_t)size, false, &map);

	if (err)
		return err;
	err = node_config_valid(map, (size_t)size) ? node_firewall_make(map, out) : -EBADMSG;
	plat_memfile_unmap(map, (size_t)size);
	return err;
}

/* Nobody has insisted on it: the log tells, and the node goes on. */
static int firewall_explain(struct node_monitor *m, struct node_priv_reply *reply, int err,
			    const char *reason)
{
	const char *install = err == -ENOENT ? " (install the package nftables)" : "";
	char text[NODE_PRIV_ERROR_MAX];

	if (m->firewall.plan.required)
		return node_monitor_fail(reply, err,
					 "[gateway] has firewall = true, and it cannot be made: "
					 "%s%s",
					 reason, install);
	snprintf(text, sizeof(text), "%s%s", reason, install);
	if (!m->firewall.plan.wanted)
		tt_log(TT_LOG_WARN, "firewall.left", TT_F_STR("reason", text),
		       TT_F_STR("hint",
				"it is no longer wanted; it is removed when the node stops"));
	else
		tt_log(TT_LOG_WARN, "firewall.missing", TT_F_STR("reason", text),
		       TT_F_STR("hint", WITHOUT));
	return 0;
}

static void gateway_describe(const struct node_monitor *m, struct node_priv_reply *reply)
{
	const struct node_monitor_firewall *fw = &m->firewall;

	reply->u.gateway.firewall = !fw->plan.wanted ? NODE_GATEWAY_OFF
				    : fw->script     ? NODE_GATEWAY_ON
						     : NODE_GATEWAY_MISSING;
	reply->u.gateway.restored = fw->restored;
}

/* It may come later; but a name with a typing error never does. */
static void check_links(const struct node_monitor *m)
{
	const struct node_firewall *plan = &m->firewall.plan;
	struct plat_netcfg_link link;

	for (uint32_t i = 0; plan->wanted && i < plan->masquerades; i++)
		if (plat_netcfg_link_get(0, plan->masquerade[i], &link) == -ENODEV)
			tt_log(TT_LOG_WARN, "firewall.no_interface",
			       TT_F_STR("name", plan->masquerade[i]),
			       TT_F_STR("hint", "masquerade of [gateway] names it; it counts from "
						"when it is there"));
}

int node_monitor_gateway(struct node_monitor *m, struct node_priv_reply *reply)
{
	struct node_monitor_firewall *fw = &m->firewall;
	char reason[NODE_PRIV_ERROR_MAX] = "";
	struct node_firewall plan;
	int err, forward_err;

	if (m->opt->mode != NODE_MODE_CONFIG || !m->tun_open)
		return node_monitor_fail(reply, -EINVAL, "there is no configuration to follow");
	err = plan_take(m, &plan);
	if (err)
		return node_monitor_fail(reply, err, "cannot look at the configuration: %s",
					 strerror(-err));
	node_firewall_free(&fw->plan);
	fw->plan = plan;
	if (fw->plan.wanted && fw->plan.cut)
		tt_log(TT_LOG_WARN, "firewall.cut", TT_F_U64("prefixes", NODE_FIREWALL_TUNNEL_MAX),
		       TT_F_STR("hint", "peers have more; spoofing of the others is not looked "
					"for"));
	check_links(m);
	err = table_apply(m, reason, sizeof(reason));
	if (err)
		err = firewall_explain(m, reply, err, reason);
	/* nothing is forwarded before what may be is settled */
	if (!err || !fw->plan.required) {
		forward_err = node_monitor_forward(m, &fw->plan, reply);
		err = err ? err : forward_err;
	}
	gateway_describe(m, reply);
	return err;
}

void node_monitor_gateway_udp_port(struct node_monitor *m)
{
	char reason[NODE_PRIV_ERROR_MAX];

	/* where it could not be made before, it is not tried again and again */
	if (m->firewall.script && table_apply(m, reason, sizeof(reason)) != 0)
		tt_log(TT_LOG_WARN, "firewall.stale", TT_F_STR("reason", reason),
		       TT_F_STR("hint", "it protects the udp_port from before"));
}

/* --- changes by others ---------------------------------------------------------------------------
 */

struct foreign {
	struct node_monitor_firewall *fw;
	bool changed;
	enum plat_firewall_change change;
	char by[32];
};

static void on_change(void *arg, enum plat_firewall_change change, const char *by)
{
	struct foreign *f = arg;

	if (change == PLAT_FIREWALL_MADE && f->fw->expected) {
		f->fw->expected--;
		return;
	}
	if (change == PLAT_FIREWALL_LOST)
		f->fw->expected = 0;
	f->changed = true;
	f->change = change;
	snprintf(f->by, sizeof(f->by), "%s", by);
}

static const char *change_name(enum plat_firewall_change change)
{
	switch (change) {
	case PLAT_FIREWALL_MADE:
		return "replaced";
	case PLAT_FIREWALL_REMOVED:
		return "removed";
	case PLAT_FIREWALL_EDITED:
		return "changed";
	case PLAT_FIREWALL_LOST:
		break;
	}
	return "unknown";
}

/* Two programs that undo each other's work do it ever more slowly. */
static void put_back(struct node_monitor *m, struct tt_mono now)
{
	struct node_monitor_firewall *fw = &m->firewall;
	char reason[NODE_PRIV_ERROR_MAX];
	int err = table_make(m, reason, sizeof(reason));

	fw->backoff_ms = TT_MIN(TT_MAX(fw->backoff_ms * 2, BACKOFF_MIN_MS), BACKOFF_MAX_MS);
	fw->put_back_at = now;
	fw->again_at = (struct tt_mono){0};
	if (err) {
		fw->again_at = tt_mono_add_ns(now, fw->backoff_ms * TT_NS_PER_MS);
		tt_log(TT_LOG_ERROR, "firewall.gone", TT_F_STR("what", fw->what),
		       TT_F_STR("by", fw->by), TT_F_STR("reason", reason),
		       TT_F_STR("hint", WITHOUT));
	} else {
		fw->restored++;
		tt_log(TT_LOG_WARN, "firewall.restored", TT_F_STR("was", fw->what),
		       TT_F_STR("by", fw->by));
	}
	node_monitor_engine_signal(m,
				   err ? NODE_SIGNAL_FIREWALL_GONE : NODE_SIGNAL_FIREWALL_RESTORED);
}

void node_monitor_firewall_watch(struct node_monitor *m)
{
	struct node_monitor_firewall *fw = &m->firewall;
	char table[PLAT_FIREWALL_TABLE_MAX];
	struct foreign f = {.fw = fw};
	struct tt_mono now = plat_clock_mono();

	if (fw->watch.fd < 0)
		return;
	plat_firewall_table(m->name, "", table);
	if (plat_firewall_watch_read(&fw->watch, table, on_change, &f) < 0) {
		tt_log(TT_LOG_WARN, "firewall.unwatched",
		       TT_F_STR("hint", "when others flush the table it is not noticed"));
		watch_close(fw);
	}
	if (!f.changed || !fw->script)
		return;
	snprintf(fw->what, sizeof(fw->what), "%s", change_name(f.change));
	snprintf(fw->by, sizeof(fw->by), "%s", f.by);
	if (tt_mono_since(now, fw->put_back_at) >= QUIET_SEC * TT_NS_PER_SEC)
		fw->backoff_ms = 0;
	fw->again_at = tt_mono_add_ns(fw->backoff_ms ? fw->put_back_at : now,
				      fw->backoff_ms * TT_NS_PER_MS);
	if (!tt_mono_before(now, fw->again_at))
		put_back(m, now);
}

struct tt_mono node_monitor_firewall_timer(struct node_monitor *m, struct tt_mono now)
{
	struct node_monitor_firewall *fw = &m->firewall;

	if (tt_mono_is_set(fw->again_at) && !tt_mono_before(now, fw->again_at))
		put_back(m, now);
	return fw->again_at;
}

/* --- beginning and end ---------------------------------------------------------------------------
 */

void node_monitor_gateway_recover(struct node_monitor *m)
{
	char reason[NODE_PRIV_ERROR_MAX] = "";

	node_monitor_forward_recover(m);
	if (m->firewall.script || !listing_is_there(m))
		return;
	if (table_remove(m, reason, sizeof(reason)) == 0)
		tt_log(TT_LOG_INFO, "firewall.removed",
		       TT_F_STR("why", "a daemon that was killed has left it"));
	else
		tt_log(TT_LOG_WARN, "firewall.left", TT_F_STR("reason", reason));
}

void node_monitor_gateway_undo(struct node_monitor *m)
{
	struct node_monitor_firewall *fw = &m->firewall;
	char reason[NODE_PRIV_ERROR_MAX] = "";

	node_monitor_forward_undo(m);
	if (table_may_stand(m) && table_remove(m, reason, sizeof(reason)) != 0)
		tt_log(TT_LOG_WARN, "firewall.left", TT_F_STR("reason", reason));
	node_firewall_free(&fw->plan);
	watch_close(fw);
}
