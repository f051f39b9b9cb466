/* SPDX-License-Identifier: MIT
 *
 * How the processes of a node log: what the configuration says, until somebody says otherwise.
 */
#include <unistd.h>

#include "base/log.h"
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
