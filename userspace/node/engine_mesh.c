/* SPDX-License-Identifier: MIT
 *
 * The engine's part of the mesh: what it needs from the monitor, the sockets and the workers.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "node/engine_impl.h"
#include "node/events.h"
#include "plat/clock.h"
#include "plat/memfile.h"
#include "plat/netcfg.h"

#define TEARDOWN_TURNS 64

/* --- what the mesh asks for ------------------------------------------------------------------- */

static void resolve(void *ctx, const char *host, uint16_t port)
{
	node_engine_resolve(ctx, NODE_ENGINE_HUB_QUERY, host, port);
}

static int hub_socket(void *ctx, enum tt_family family)
{
	struct node_engine *e = ctx;
	struct node_priv_request req = {.op = NODE_PRIV_HUB_SOCKET};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	req.u.hub.family = (uint8_t)family;
	int err = node_priv_call(e->priv, &req, -1, &reply, fds);
	return err ? err : fds[0];
}

static void say_not_kept(struct node_engine *e, const struct node_priv_reply *reply)
{
	e->not_kept++;
	tt_log_limited(TT_LOG_WARN, "mesh.not_kept", NULL, plat_clock_mono(), 1,
		       TT_F_STR("error", reply->error), TT_F_ERRNO("errno", reply->result));
}

static void on_map_kept(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	struct node_engine *e = arg;

	(void)fds;
	if (!reply->result)
		return;
	say_not_kept(e, reply);
	if (e->mesh)
		node_mesh_map_not_kept(e->mesh);
}

static void on_cert_kept(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	struct node_engine *e = arg;

	(void)fds;
	if (!reply->result)
		return;
	say_not_kept(e, reply);
	if (e->mesh)
		node_mesh_cert_not_kept(e->mesh);
}

static void keep(struct node_engine *e, enum node_state_kind kind, const void *bytes, size_t len)
{
	struct node_priv_request req = {.op = NODE_PRIV_STATE_SAVE};
	int fd = plat_memfile_create("taltun-keep", 0);

	if (fd < 0)
		return;
	if (pwrite(fd, bytes, len, 0) != (ssize_t)len) {
		close(fd);
		return;
	}
	req.u.state.kind = kind;
	req.u.state.len = (uint32_t)len;
	node_priv_send(e->priv, &req, fd, kind == NODE_STATE_KIND_MAP ? on_map_kept : on_cert_kept,
		       e);
}

static void save_map(void *ctx, const void *bytes, size_t len)
{
	keep(ctx, NODE_STATE_KIND_MAP, bytes, len);
}

static void *load(struct node_engine *e, enum node_state_kind kind, size_t max, size_t *len);

/* Somebody has enrolled this node anew while we were running: the file is not ours any more. */
static bool is_replaced(struct node_engine *e, const struct tls_der *cert)
{
	struct tls_der der;
	size_t len;
	char *pem = load(e, NODE_STATE_KIND_CERT, NODE_PRIV_CERT_MAX, &len);
	bool replaced =
		pem && tls_cert_from_pem(pem, len, &der) == 0 && !tls_cert_same_key(&der, cert);

	free(pem);
	return replaced;
}

static void save_cert(void *ctx, const struct tls_der *cert)
{
	char pem[TLS_CERT_PEM_MAX];

	if (!is_replaced(ctx, cert) && tls_cert_to_pem(cert, pem, sizeof(pem)) == 0)
		keep(ctx, NODE_STATE_KIND_CERT, pem, strlen(pem));
}

static void on_relay(uv_poll_t *h, int status, int events);

static void watch_relay(void *ctx, bool on)
{
	struct node_engine *e = ctx;

	if (!e->poll_relay)
		return;
	if (on)
		uv_poll_start(e->poll_relay, UV_READABLE, on_relay);
	else
		uv_poll_stop(e->poll_relay);
}

static int longest(const struct node_config *cfg, struct node_config_range r,
		   const struct tt_cidr *prefix)
{
	int bits = -1;

	for (uint32_t i = 0; i < r.count; i++) {
		const struct tt_cidr *c = node_config_cidr(cfg, r, i);
		if (c->bits <= prefix->bits && tt_cidr_contains(c, &prefix->ip))
			bits = TT_MAX(bits, (int)c->bits);
	}
	return bits;
}

/* What is said here closest about a prefix decides. A default route says nothing about any. */
static bool is_claimed(void *ctx, const struct tt_cidr *prefix)
{
	const struct node_engine *e = ctx;
	const struct node_config *cfg = e->config;
	int mine = -1;

	for (uint32_t i = 0; i < cfg->peers.count; i++)
		mine = TT_MAX(mine, longest(cfg, node_config_peer(cfg, i)->allowed_ips, prefix));
	return mine > 0 && mine >= longest(cfg, cfg->hub.accept, prefix) &&
	       mine >= longest(cfg, cfg->hub.networks, prefix);
}

static uint32_t route_mtu(void *ctx, const struct tt_ip *to)
{
	const struct node_engine *e = ctx;
	unsigned ifindex, mtu;

	return plat_netcfg_route_get(to, e->fwmark, &ifindex, &mtu) == 0 ? mtu : 1500;
}

static int send_probe(void *ctx, const struct plat_udp_dest *dest, const void *data, size_t len)
{
	struct node_engine *e = ctx;
	const struct node_sockets *s = &e->sockets;
	int fd = dest->to.ip.family == TT_FAMILY_V6 ? s->fd6[s->workers] : s->fd4[s->workers];

	return fd < 0 ? -EAFNOSUPPORT : plat_udp_send_probe(fd, dest, data, len);
}

static void on_event(void *ctx, const struct node_mesh_event *ev)
{
	struct node_engine *e = ctx;

	node_events_mesh(e->control, ev);
}

/* --- for the device --------------------------------------------------------------------------- */

int node_engine_send_route(void *ctx, const struct dp_route *route, const void *data, size_t len)
{
	struct node_engine *e = ctx;

	return e->mesh ? node_mesh_send_route(e->mesh, route, data, len) : -EOPNOTSUPP;
}

void node_engine_heard(void *ctx, struct node_peer *p, const struct dp_roam *from)
{
	struct node_engine *e = ctx;

	if (e->mesh)
		node_mesh_heard(e->mesh, p, from);
}

void node_engine_wanted(void *ctx, struct node_peer *p)
{
	struct node_engine *e = ctx;

	if (e->mesh)
		node_mesh_wanted(e->mesh, p);
}

void node_engine_peer_gone(void *ctx, struct node_peer *p)
{
	struct node_engine *e = ctx;

	if (e->mesh)
		node_mesh_peer_gone(e->mesh, p);
}

/* --- datagrams -------------------------------------------------------------------------------- */

bool node_engine_mesh_datagram(struct node_engine *e, const struct plat_udp_rx *rx)
{
	bool mine = false;

	if (!e->mesh || !rx->segment || rx->truncated)
		return false;
	/* one source's datagrams of one size may come together: all of a kind, then, or not */
	for (uint32_t off = 0; off < rx->len; off += rx->segment) {
		uint32_t len = TT_MIN(rx->segment, rx->len - off);
		if (!node_mesh_datagram(e->mesh, &rx->src, &rx->dst, rx->ifindex, rx->buf + off,
					len)) {
			if (off == 0)
				return false;
			continue;
		}
		mine = true;
	}
	return mine;
}

void node_engine_mesh_datagrams(struct node_engine *e)
{
	struct dp_datagram batch[8];
	unsigned n;

	while (e->mesh && (n = dp_datagram_pop(e->plane, batch, TT_ARRAY_LEN(batch))) > 0)
		for (unsigned i = 0; i < n; i++)
			(void)node_mesh_datagram(e->mesh, &batch[i].src, &batch[i].dst,
						 batch[i].ifindex, batch[i].bytes, batch[i].len);
}

static void on_relay(uv_poll_t *h, int status, int events)
{
	struct node_engine *e = h->data;

	(void)status;
	(void)events;
	node_mesh_pump(e->mesh);
}

/* --- life ------------------------------------------------------------------------------------- */

static bool take_der(const struct node_config *cfg, struct node_config_text t, struct tls_der *out)
{
	if (t.len > sizeof(out->bytes))
		return false;
	out->len = t.len;
	memcpy(out->bytes, node_config_at(cfg, t.off), t.len);
	return true;
}

static bool fill_options(struct node_engine *e, struct node_mesh_options *o)
{
	const struct node_config *cfg = e->config;
	const struct node_config_hub *hub = &cfg->hub;

	*o = (struct node_mesh_options){
		.loop = &e->loop,
		.device = e->device,
		.rng = plat_rng(),
		.loopback_too = getenv("TALTUN_TEST_LOOPBACK") != NULL,
		.send = node_engine_send,
		.send_probe = send_probe,
		.route_mtu = route_mtu,
		.is_claimed = is_claimed,
		.watch_relay = watch_relay,
		.save_map = save_map,
		.save_cert = save_cert,
		.event = on_event,
		.ctx = e,
	};
	o->rules.accept = hub->accept.count ? node_config_cidr(cfg, hub->accept, 0) : NULL;
	o->rules.accept_count = hub->accept.count;
	memcpy(o->own_ifname, e->tun.name, sizeof(o->own_ifname));
	o->hub.loop = &e->loop;
	o->hub.rng = o->rng;
	o->hub.tcp_port = hub->tcp_port;
	o->hub.on.resolve = resolve;
	o->hub.on.socket = hub_socket;
	o->hub.on.ctx = e;
	strncpy(o->hub.host, node_config_str(cfg, hub->host), sizeof(o->hub.host) - 1);
	strncpy(o->hub.name, node_config_str(cfg, hub->name), sizeof(o->hub.name) - 1);
	return take_der(cfg, hub->certificate, &o->hub.cert) &&
	       take_der(cfg, hub->key, &o->hub.key) && take_der(cfg, hub->ca, &o->hub.ca);
}

/* A file that the monitor keeps for us; NULL where there is none. */
static void *load(struct node_engine *e, enum node_state_kind kind, size_t max, size_t *len)
{
	struct node_priv_request req = {.op = NODE_PRIV_STATE_LOAD};
	struct node_priv_reply reply;
	int fds[NODE_PRIV_FDS_MAX];

	req.u.state.kind = kind;
	if (node_priv_call(e->priv, &req, -1, &reply, fds) != 0 || !reply.fds)
		return NULL;
	int64_t size = plat_memfile_size(fds[0]);
	void *bytes = size > 0 && size <= (int64_t)max ? malloc((size_t)size) : NULL;

	if (bytes && pread(fds[0], bytes, (size_t)size, 0) != size) {
		free(bytes);
		bytes = NULL;
	}
	close(fds[0]);
	*len = (size_t)size;
	return bytes;
}

/* One that was renewed since the configuration was read. */
static void load_cert(struct node_engine *e, struct tls_der *cert, const struct tls_der *key)
{
	struct tls_cert_info mine, kept;
	struct tls_der der;
	size_t len;
	char *pem = load(e, NODE_STATE_KIND_CERT, NODE_PRIV_CERT_MAX, &len);

	if (pem && tls_cert_from_pem(pem, len, &der) == 0 && tls_cert_has_key(&der, key) &&
	    tls_cert_parse(der.bytes, der.len, &kept) == 0 &&
	    tls_cert_parse(cert->bytes, cert->len, &mine) == 0 &&
	    kept.not_after_s > mine.not_after_s)
		*cert = der;
	free(pem);
}

int node_engine_mesh_create(struct node_engine *e)
{
	struct node_mesh_options *o;
	size_t len = 0;
	int err = 0;

	if (e->config && e->config->hub.given) {
		o = calloc(1, sizeof(*o));
		void *map = load(e, NODE_STATE_KIND_MAP,
				 mesh_netmap_cache_size_max(MESH_HUB_PEERS_MAX, 4096), &len);
		err = !o ? -ENOMEM : !fill_options(e, o) ? -EINVAL : 0;
		if (!err) {
			load_cert(e, &o->hub.cert, &o->hub.key);
			err = node_mesh_create(o, map, len, &e->mesh);
		}
		free(map);
		if (o)
			crypto_wipe(o, sizeof(*o));
		free(o);
		if (err)
			tt_log(TT_LOG_ERROR, "mesh.create_failed", TT_F_ERRNO("errno", err),
			       TT_F_STR("hint",
					"certificate, key and CA of [hub] must belong together; "
					"`taltun enroll` writes them"));
	}
	if (e->config)
		node_engine_config_forget_keys(e->config);
	return err;
}

void node_engine_mesh_start(struct node_engine *e)
{
	if (!e->mesh)
		return;
	dp_plane_relay_prepare(e->plane);
	e->poll_relay = calloc(1, sizeof(*e->poll_relay));
	if (e->poll_relay) {
		uv_poll_init(&e->loop, e->poll_relay, dp_plane_relay_fd(e->plane));
		e->poll_relay->data = e;
		uv_poll_start(e->poll_relay, UV_READABLE, on_relay);
	}
	node_mesh_start(e->mesh);
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void on_mesh_closed(void *arg)
{
	*(bool *)arg = true;
}

void node_engine_mesh_destroy(struct node_engine *e)
{
	struct node_mesh *m = e->mesh;
	bool gone = false;

	if (!m)
		return;
	if (e->poll_relay)
		uv_close((uv_handle_t *)e->poll_relay, on_poll_closed);
	e->poll_relay = NULL;
	/* nothing calls it any more while it goes */
	e->mesh = NULL;
	node_mesh_destroy(m, on_mesh_closed, &gone);
	for (int i = 0; !gone && i < TEARDOWN_TURNS; i++)
		uv_run(&e->loop, UV_RUN_NOWAIT);
}
