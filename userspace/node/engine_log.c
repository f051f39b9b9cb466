/* SPDX-License-Identifier: MIT
 *
 * How the processes of a node log: what the configuration says, until somebody says otherwise.
 */
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "node/engine_impl.h"
#include "node/resolver.h"

static void log_setup(const struct node_engine *e, enum tt_log_level level,
		      enum tt_log_format format)
{
	tt_log_setup(level, format, STDERR_FILENO);
	/* a resolver that is just not there is started by the monitor, which knows it too */
	(void)node_resolver_tell_log(e->start->resolver_fd, (int)level, (int)format);
}

void node_engine_log_configure(const struct node_engine *e, const struct node_config *cfg,
			       bool reload)
{
	enum tt_log_level level = (enum tt_log_level)cfg->log_level;

	/* an engine that was restarted was born with the level that is in force */
	if (e->start->restarts && !reload)
		level = tt_log_get_level();
	log_setup(e, level, (enum tt_log_format)cfg->log_format);
}

void node_engine_log_undone(const struct node_engine *e, const struct node_config *cfg)
{
	char buf[64];
	struct tt_text t = {.buf = buf, .cap = sizeof(buf) - 1, .max = sizeof(buf) - 1};

	if (!e->start->unattended || e->start->restarts)
		return;
	for (int i = 0; i < NODE_HOOK_COUNT; i++)
		if (cfg->hooks[i].count) {
			tt_text_str(&t, t.len ? " " : "");
			tt_text_str(&t, node_hook_name((enum node_hook)i));
		}
	if (cfg->dns.count || cfg->dns_search.count)
		tt_text_str(&t, t.len ? " dns" : "dns");
	buf[t.len] = 0;
	if (t.len)
		tt_log(TT_LOG_WARN, "config.not_done", TT_F_STR("what", buf),
		       TT_F_STR("hint", "commands and name servers are for `taltun up`, or for a "
					"drop-in of the unit"));
}

int node_engine_log_level(void *ctx, enum tt_log_level level)
{
	struct node_priv_request req = {.op = NODE_PRIV_LOG_LEVEL};
	struct node_engine *e = ctx;

	req.u.log.level = (uint32_t)level;
	int err = node_priv_send(e->priv, &req, -1, NULL, NULL);
	if (!err)
		log_setup(e, level, tt_log_get_format());
	return err;
}
