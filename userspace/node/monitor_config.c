/* SPDX-License-Identifier: MIT
 *
 * The configuration goes from text to a sealed memfd in the loader child; the monitor itself only
 * looks for addresses and routes in it (monitor_allowed.c). What the engine committed is kept for
 * the next engine.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <unistd.h>

#include "node/config_load.h"
#include "plat/memfile.h"

static void config_log_warnings(const struct node_config_error *err)
{
	uint32_t kept = TT_MIN(err->warning_count, (uint32_t)NODE_CONFIG_WARNINGS_MAX);

	for (uint32_t i = 0; i < kept; i++)
		tt_log(TT_LOG_WARN, "config.warning", TT_F_STR("text", err->warnings[i]));
	if (err->warning_count > kept)
		tt_log(TT_LOG_WARN, "config.warning",
		       TT_F_U64("more_warnings", err->warning_count - kept));
}

/* In the loader child. */
static void config_work(struct node_monitor *m, const struct node_monitor_job *job, uint32_t len,
			struct node_monitor_job_result *result)
{
	static struct node_config_error err;
	const struct node_monitor_options *opt = m->opt;
	struct node_config_source src = {.path = opt->config_path,
					 .syntax = NODE_CONFIG_BY_NAME,
					 .env = opt->env,
					 .state_dir = m->state_dir,
					 .set = opt->set,
					 .set_count = opt->set_count};
	struct node_config *cfg = NULL;

	(void)len;
	plat_sandbox_hide();
	result->result = node_config_load(&src, &err, &cfg);
	config_log_warnings(&err);
	if (result->result) {
		snprintf(result->error, sizeof(result->error), "%s", err.text);
		return;
	}
	memcpy(result->name, cfg->name, sizeof(result->name));
	result->log_level = cfg->log_level;
	result->log_format = cfg->log_format;
	result->result = node_monitor_write(job->fd, cfg, cfg->size);
	if (result->result)
		snprintf(result->error, sizeof(result->error), "no memory for the configuration");
	node_config_free(cfg);
}

/* How much is logged is the file's word from when it was read: an engine has a lot to say before it
 * commits. */
static void config_take_log(struct node_monitor *m, const struct node_monitor_job_result *result)
{
	if (m->config_loaded < 0) {
		m->log_before.level = tt_log_get_level();
		m->log_before.format = tt_log_get_format();
	}
	tt_log_setup(result->log_level, result->log_format, STDERR_FILENO);
}

static void config_drop_loaded(struct node_monitor *m)
{
	if (m->config_loaded >= 0)
		close(m->config_loaded);
	m->config_loaded = -1;
	node_monitor_disallow(&m->allowed_loaded);
}

int node_monitor_config_load(struct node_monitor *m, const struct node_priv_request *req,
			     struct node_priv_reply *reply, int *fds, unsigned *nfds, bool *now)
{
	bool reload = m->engine.config_given, again = m->engine.restarts > 0 && !reload;
	int fd, err;

	*now = true;
	if (m->opt->mode != NODE_MODE_CONFIG)
		return node_monitor_fail(reply, -ENOENT, "started without a configuration file");
	m->engine.config_given = true;
	if (again && m->config_committed >= 0) {
		/* what was taken into use in part by an engine that is no more */
		node_monitor_config_refuse(m);
		fds[0] = m->config_committed;
		*nfds = 1;
		return 0;
	}
	if (node_monitor_job_runs(&m->load))
		return node_monitor_fail(reply, -EBUSY, "the configuration is being read already");
	fd = plat_memfile_create("taltun-config", 0);
	err = fd < 0 ? fd
		     : node_monitor_job_start(m, &m->load, "loader", config_work, req->id, fd, 0);
	if (err)
		return node_monitor_fail(reply, err, "cannot start the loader: %s", strerror(-err));
	if (reload)
		node_monitor_notify_reloading(m);
	*now = false;
	return 0;
}

/* The first configuration names the interface for good. */
static int config_take_name(struct node_monitor *m, const char *name, struct node_priv_reply *reply)
{
	char text[NODE_PRIV_ERROR_MAX];
	int err;

	if (!node_monitor_name_valid(name))
		return node_monitor_fail(reply, -EINVAL, "interface.name cannot name an interface");
	if (m->name[0] && strcmp(m->name, name) != 0)
		return node_monitor_fail(reply, -EBUSY,
					 "interface.name is %s now but %s runs: it cannot change "
					 "without a restart",
					 name, m->name);
	if (m->lock_fd >= 0)
		return 0;
	snprintf(m->name, sizeof(m->name), "%s", name);
	err = node_monitor_lock(m, text, sizeof(text));
	if (err) {
		m->name[0] = 0;
		return node_monitor_fail(reply, err, "%s", text);
	}
	return 0;
}

/* The loader's blob becomes what was loaded last; takes the descriptor where it returns 0. */
static int config_take(struct node_monitor *m, int fd, const struct node_monitor_job_result *result,
		       struct node_priv_reply *reply)
{
	struct node_monitor_allowed allowed;
	int64_t size = plat_memfile_size(fd);
	void *map;
	int err = size <= 0 ? -EBADMSG : plat_memfile_map(fd, (size_t)size, false, &map);

	if (err)
		return node_monitor_fail(reply, err, "cannot look at the configuration: %s",
					 strerror(-err));
	err = node_monitor_allow(map, (size_t)size, &allowed);
	plat_memfile_unmap(map, (size_t)size);
	if (err)
		return node_monitor_fail(reply, err, "cannot keep the configuration: %s",
					 strerror(-err));
	config_take_log(m, result);
	config_drop_loaded(m);
	m->config_loaded = fd;
	m->allowed_loaded = allowed;
	return 0;
}

void node_monitor_config_loaded(struct node_monitor *m)
{
	struct node_monitor_job_result result;
	struct node_priv_reply reply = {0};
	uint32_t id = m->load.id;
	int fd = m->load.fd, err;

	node_monitor_job_finish(m, &m->load, &result);
	m->load.fd = -1;
	err = result.result ? node_monitor_fail(&reply, result.result, "%s", result.error)
			    : plat_memfile_seal(fd, true);
	if (!err)
		err = config_take_name(m, result.name, &reply);
	if (!err)
		err = config_take(m, fd, &result, &reply);
	if (err) {
		close(fd);
		reply.result = err;
	}
	if (m->load.wanted)
		node_monitor_reply(m, NODE_PRIV_CONFIG_LOAD, id, &reply, &m->config_loaded, !err,
				   false);
}

int node_monitor_config_commit(struct node_monitor *m, struct node_priv_reply *reply)
{
	/* a restarted engine commits again what it was given */
	if (m->config_loaded < 0)
		return m->config_committed >= 0
			       ? 0
			       : node_monitor_fail(reply, -ENOENT, "nothing was loaded");
	if (m->config_committed >= 0)
		close(m->config_committed);
	m->config_committed = m->config_loaded;
	m->config_loaded = -1;
	node_monitor_disallow(&m->allowed_committed);
	m->allowed_committed = m->allowed_loaded;
	m->allowed_loaded = (struct node_monitor_allowed){0};
	node_monitor_xdp_review(m);
	return 0;
}

void node_monitor_config_refuse(struct node_monitor *m)
{
	if (m->config_loaded < 0)
		return;
	config_drop_loaded(m);
	tt_log_setup(m->log_before.level, m->log_before.format, STDERR_FILENO);
}

void node_monitor_config_close(struct node_monitor *m)
{
	config_drop_loaded(m);
	if (m->config_committed >= 0)
		close(m->config_committed);
	m->config_committed = -1;
	node_monitor_disallow(&m->allowed_committed);
}
