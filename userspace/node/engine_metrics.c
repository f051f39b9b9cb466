/* SPDX-License-Identifier: MIT
 *
 * Metrics and health over HTTP, where the configuration asks for it. A socket that cannot be had is
 * no reason for a tunnel not to start: it is tried again.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/prom.h"
#include "node/engine_impl.h"
#include "plat/clock.h"

#define TRY_AGAIN_NS (5 * TT_NS_PER_SEC)

/* --- pages ------------------------------------------------------------------------------------ */

static struct node_metrics_options options(struct node_engine *e,
					   const struct node_control_ops *ops)
{
	return (struct node_metrics_options){
		.ops = ops, .per_peer = e->metrics.at.per_peer, .http = e->metrics.http};
}

static unsigned metrics_page(void *ctx, struct tt_text *out)
{
	struct node_engine *e = ctx;
	struct node_control_ops ops = {
		.device = e->device, .describe = node_engine_describe, .ctx = e};
	struct node_metrics_options opt = options(e, &ops);

	node_metrics_write(&opt, out);
	return 200;
}

/* That this is answered is all it says. */
static unsigned health_page(void *ctx, struct tt_text *out)
{
	(void)ctx;
	tt_text_str(out, "ok\n");
	return 200;
}

static unsigned ready_page(void *ctx, struct tt_text *out)
{
	struct node_engine *e = ctx;
	struct node_control_ops ops = {
		.device = e->device, .describe = node_engine_describe, .ctx = e};
	struct node_metrics_options opt = options(e, &ops);

	return node_metrics_ready(&opt, out) ? 200 : 503;
}

static const struct wire_http_page pages[] = {
	{"/metrics", TT_PROM_CONTENT_TYPE, metrics_page},
	{"/healthz", "text/plain; charset=utf-8", health_page},
	{"/readyz", "text/plain; charset=utf-8", ready_page},
};

/* --- serving ---------------------------------------------------------------------------------- */

static struct node_config_metrics wanted(const struct node_engine *e)
{
	const struct node_config *cfg = e->config ? e->config : e->start->settings;

	return cfg ? cfg->metrics : (struct node_config_metrics){0};
}

/* The socket comes from the monitor, which knows where; none where there is nothing to serve. */
static int serve(struct node_engine *e, char *error, size_t cap)
{
	struct node_priv_request req = {.op = NODE_PRIV_LISTEN_METRICS};
	struct wire_http_options opt = {.pages = pages, .count = TT_ARRAY_LEN(pages), .ctx = e};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);

	if (err) {
		snprintf(error, cap, "%s", reply.error);
		return err;
	}
	if (!reply.fds)
		return 0;
	opt.listen_fd = fds[0];
	err = wire_http_serve(&e->loop, &opt, &e->metrics.http);
	if (err)
		snprintf(error, cap, "cannot serve metrics: %s", strerror(-err));
	return err;
}

static int try_to_serve(struct node_engine *e, char *error, size_t cap)
{
	int err = serve(e, error, cap);

	e->metrics.again =
		err ? tt_mono_add_ns(plat_clock_mono(), TRY_AGAIN_NS) : (struct tt_mono){0};
	/* a socket that stays out of reach is told of once */
	if (err && !e->metrics.told)
		tt_log(TT_LOG_WARN, "metrics.not_served", TT_F_STR("error", error),
		       TT_F_STR("hint", "it is tried again every 5 s"));
	e->metrics.told = err;
	return err;
}

int node_engine_metrics_configure(struct node_engine *e, char *error, size_t cap)
{
	struct node_config_metrics want = wanted(e);
	bool same = node_config_metrics_same(&want, &e->metrics.at);

	e->metrics.at = want;
	if (same && (e->metrics.http || !node_config_has_metrics(&want)))
		return 0;
	node_engine_metrics_stop(e);
	e->metrics.told = false;
	return try_to_serve(e, error, cap);
}

void node_engine_metrics_tick(struct node_engine *e, struct tt_mono now)
{
	char error[NODE_PRIV_ERROR_MAX];

	if (tt_mono_is_set(e->metrics.again) && !tt_mono_before(now, e->metrics.again))
		try_to_serve(e, error, sizeof(error));
}

void node_engine_metrics_stop(struct node_engine *e)
{
	wire_http_stop(e->metrics.http);
	e->metrics.http = NULL;
	e->metrics.again = (struct tt_mono){0};
}
