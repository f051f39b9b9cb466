/* SPDX-License-Identifier: MIT
 *
 * Loading and reloading the configuration. A reload that fails leaves everything as it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "node/apply.h"
#include "node/engine_impl.h"
#include "plat/memfile.h"
#include "plat/netcfg.h"

/* A private copy: it holds keys, so it is wiped when it is freed. */
static int take_blob(int fd, struct node_config **out)
{
	int64_t size = plat_memfile_size(fd);
	void *map;

	if (size < (int64_t)sizeof(struct node_config))
		return -EBADMSG;
	int err = plat_memfile_map(fd, (size_t)size, false, &map);
	if (err)
		return err;
	if (!node_config_valid(map, (size_t)size)) {
		err = -EBADMSG;
	} else {
		*out = malloc((size_t)size);
		if (*out)
			memcpy(*out, map, (size_t)size);
		else
			err = -ENOMEM;
	}
	plat_memfile_unmap(map, (size_t)size);
	return err;
}

void node_engine_config_free(struct node_config *cfg)
{
	if (!cfg)
		return;
	crypto_wipe(cfg, cfg->size);
	free(cfg);
}

void node_engine_config_forget_keys(struct node_config *cfg)
{
	struct node_config_peer *p = (void *)((char *)cfg + cfg->peers.off);

	crypto_wipe(cfg->private_key, sizeof(cfg->private_key));
	for (uint32_t i = 0; i < cfg->peers.count; i++)
		crypto_wipe(p[i].preshared_key, sizeof(p[i].preshared_key));
	if (cfg->hub.key.len)
		crypto_wipe((char *)cfg + cfg->hub.key.off, cfg->hub.key.len);
}

static int take_reply(const struct node_priv_reply *reply, const int *fds, struct node_config **out,
		      char *error, size_t cap)
{
	int err = reply->result;

	if (err) {
		snprintf(error, cap, "%s", reply->error);
		return err;
	}
	err = reply->fds == 1 ? take_blob(fds[0], out) : -EBADMSG;
	for (uint32_t i = 0; i < reply->fds; i++)
		close(fds[i]);
	if (err)
		snprintf(error, cap, "the loader sent no usable configuration");
	return err;
}

int node_engine_load_config(struct node_engine *e, struct node_config **out, char *error,
			    size_t cap)
{
	struct node_priv_request req = {.op = NODE_PRIV_CONFIG_LOAD};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	node_priv_call(e->priv, &req, -1, &reply, fds);
	int err = take_reply(&reply, fds, out, error, cap);
	if (err)
		return err;
	node_engine_log_configure(e, *out, false);
	node_engine_log_undone(e, *out);
	return 0;
}

/* --- reload ----------------------------------------------------------------------------------- */

unsigned node_engine_config_mtu(const struct node_engine *e, const struct node_config *cfg)
{
	return cfg->mtu ? cfg->mtu
			: node_auto_mtu(cfg, e->tun.ifindex, e->mark.fwmark, plat_netcfg_route_get);
}

struct reload {
	struct node_engine *engine;
	node_control_done done;
	void *arg;
};

static bool text_differs(const struct node_config *a, struct node_config_text ta,
			 const struct node_config *b, struct node_config_text tb)
{
	return strcmp(node_config_str(a, ta), node_config_str(b, tb)) != 0;
}

/* Membership of a mesh begins with the daemon. A certificate that is newer than ours is none of
 * this: renewals write the file. */
static bool hub_differs(const struct node_config *old, const struct node_config *cfg)
{
	const struct node_config_hub *a = &old->hub, *b = &cfg->hub;

	return a->given != b->given || a->tcp_port != b->tcp_port ||
	       text_differs(old, a->host, cfg, b->host) ||
	       text_differs(old, a->name, cfg, b->name) ||
	       text_differs(old, a->key_file, cfg, b->key_file) ||
	       text_differs(old, a->ca_file, cfg, b->ca_file);
}

/* What cannot change while the daemon runs is named, so that nobody waits for it in vain. */
static const char *needs_restart(struct node_engine *e, const struct node_config *cfg)
{
	const struct node_config *old = e->config;
	struct node_device_info info;
	uint8_t key[WG_KEY_LEN];

	if (strcmp(old->name, cfg->name) != 0)
		return "interface.name";
	if (old->workers != cfg->workers)
		return "datapath.workers";
	if (old->poll != cfg->poll)
		return "datapath.poll";
	if (old->aead != cfg->aead)
		return "datapath.aead";
	if (hub_differs(old, cfg))
		return "hub";
	/* the certificate is for the key */
	crypto_x25519_base(key, cfg->private_key);
	node_device_get_info(e->device, &info);
	if (e->mesh && memcmp(key, info.public_key, sizeof(key)) != 0)
		return "the private key of a node with a hub";
	return NULL;
}

/* Comes first, because it is what can fail: then nothing has changed yet. */
static int move_port(struct node_engine *e, const struct node_config *cfg, char *error, size_t cap)
{
	int err = 0;

	if (cfg->listen_port && cfg->listen_port != e->sockets.udp_port)
		err = node_device_set_udp_port(e->device, cfg->listen_port);
	if (err)
		snprintf(error, cap, "cannot move to listen_port %u: %s; nothing was changed",
			 cfg->listen_port, strerror(-err));
	return err;
}

static int apply_reload(struct node_engine *e, struct node_config *cfg, char *error, size_t cap)
{
	char gateway_error[NODE_PRIV_ERROR_MAX];
	int err;

	node_net_choose_mark(cfg, e->tun.ifindex, &e->mark);
	node_device_set_fwmark(e->device, e->mark.fwmark);
	dp_plane_set_between(e->plane,
			     cfg->forward_between_peers ? DP_BETWEEN_DIRECT : DP_BETWEEN_DENY);
	/* what somebody set by hand stays, unless the file says something new */
	if (cfg->mtu != e->config->mtu)
		e->mtu = node_engine_config_mtu(e, cfg);
	dp_plane_set_mtu(e->plane, e->mtu);
	err = node_apply_device(e->device, cfg, e->config);
	if (e->mesh)
		node_mesh_set_accept(
			e->mesh,
			cfg->hub.accept.count ? node_config_cidr(cfg, cfg->hub.accept, 0) : NULL,
			cfg->hub.accept.count);
	if (!err)
		err = node_net_apply(e->net, cfg, e->mtu, &e->mark, true, error, cap);
	else
		snprintf(error, cap, "some peers could not be applied; see the log");
	/* the first error is told, and the rest is done all the same */
	int gateway_err = node_engine_gateway_reload(e, cfg, gateway_error, sizeof(gateway_error));
	if (gateway_err && !err)
		snprintf(error, cap, "%s", gateway_error);
	return err ? err : gateway_err;
}

/* Of what the loader answered: whether the file is to blame. */
static enum node_control_kind load_kind(int err)
{
	switch (-err) {
	case EBUSY: /* another load is going on, or what cannot change would */
	case ENOMEM:
	case EBADMSG:
	case EPIPE:
	case ETIMEDOUT:
		return NODE_CONTROL_FAILED;
	default:
		return NODE_CONTROL_CONFIG;
	}
}

static void finish(struct reload *r, enum node_control_kind kind, const char *error, bool applied)
{
	struct node_priv_request ready = {.op = NODE_PRIV_READY};

	r->engine->reloading = false;
	node_priv_send(r->engine->priv, &ready, -1, NULL, NULL);
	if (error)
		tt_log(TT_LOG_ERROR, "config.reload_failed", TT_F_STR("error", error),
		       TT_F_STR("hint", applied ? "the rest of the file is in force"
						: "the running configuration stays"));
	if (r->done)
		r->done(r->arg, kind, error);
	free(r);
}

/* Nothing of what was loaded is in use: the monitor is not to go by it either. */
static void refuse(struct reload *r, enum node_control_kind kind, const char *error)
{
	struct node_priv_request req = {.op = NODE_PRIV_CONFIG_REFUSE};

	node_priv_send(r->engine->priv, &req, -1, NULL, NULL);
	finish(r, kind, error, false);
}

/* The first thing that went wrong is what is told. */
static int configure_metrics(struct node_engine *e, int err, char *error, size_t cap)
{
	char own[NODE_PRIV_ERROR_MAX];
	int failed = node_engine_metrics_configure(e, own, sizeof(own));

	if (err || !failed)
		return err;
	snprintf(error, cap, "%s", own);
	return failed;
}

static void on_config(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	struct reload *r = arg;
	struct node_engine *e = r->engine;
	struct node_config *cfg = NULL;
	char error[NODE_PRIV_ERROR_MAX] = "";

	int err = take_reply(reply, fds, &cfg, error, sizeof(error));
	if (err) {
		refuse(r, load_kind(err), error);
		return;
	}
	const char *fixed = needs_restart(e, cfg);
	if (fixed) {
		snprintf(error, sizeof(error), "%s cannot change while the daemon runs; restart it",
			 fixed);
		node_engine_config_free(cfg);
		refuse(r, NODE_CONTROL_FAILED, error);
		return;
	}
	if (move_port(e, cfg, error, sizeof(error)) != 0) {
		node_engine_config_free(cfg);
		refuse(r, NODE_CONTROL_FAILED, error);
		return;
	}
	err = apply_reload(e, cfg, error, sizeof(error));
	node_engine_log_configure(e, cfg, true);
	node_engine_config_forget_keys(cfg);
	node_engine_config_free(e->config);
	e->config = cfg;
	if (e->mesh)
		node_mesh_reconfigured(e->mesh);
	node_engine_publish_addresses(e);
	node_engine_xdp_configure(e);
	err = configure_metrics(e, err, error, sizeof(error));
	node_engine_memory_save(e);
	struct node_priv_request commit = {.op = NODE_PRIV_CONFIG_COMMIT};
	node_priv_send(e->priv, &commit, -1, NULL, NULL);
	if (!err)
		tt_log(TT_LOG_INFO, "config.reloaded", TT_F_U64("peers", cfg->peers.count));
	finish(r, NODE_CONTROL_FAILED, err ? error : NULL, true);
}

void node_engine_reload_for(void *ctx, node_control_done done, void *arg)
{
	struct node_engine *e = ctx;
	struct node_priv_request req = {.op = NODE_PRIV_CONFIG_LOAD};
	struct reload *r;

	if (!e->config || e->reloading) {
		if (done)
			done(arg, NODE_CONTROL_FAILED,
			     e->config ? "a reload is going on already"
				       : "started without a configuration file: use wg(8)");
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		if (done)
			done(arg, NODE_CONTROL_FAILED, "out of memory");
		return;
	}
	*r = (struct reload){e, done, arg};
	e->reloading = true;
	if (node_priv_send(e->priv, &req, -1, on_config, r) != 0)
		finish(r, NODE_CONTROL_FAILED, "the monitor does not answer", false);
}

void node_engine_reload(struct node_engine *e)
{
	node_engine_reload_for(e, NULL, NULL);
}
