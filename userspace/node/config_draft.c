/* SPDX-License-Identifier: MIT */
#include "node/config_draft.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include "crypto/mem.h"

void node_draft_init(struct node_draft *d, const char *path, struct node_config_error *err)
{
	*d = (struct node_draft){.path = path, .err = err};
	d->cfg.magic = NODE_CONFIG_MAGIC;
	d->cfg.version = NODE_CONFIG_VERSION;
	d->cfg.log_level = TT_LOG_INFO;
	d->cfg.log_format = TT_LOG_LOGFMT;
	d->cfg.metrics.per_peer = true;
	d->file = (struct node_where){path, 1, 1, NODE_LEVEL_FILE};
	d->interface = d->private_key = d->mtu = d->hub.header = d->file;
	d->gateway.header = d->gateway.masquerade = d->gateway.subnets = d->file;
	err->text[0] = '\0';
	err->warning_count = 0;
}

static void pool_free(struct node_pool *pool)
{
	if (pool->base)
		crypto_wipe(pool->base, pool->len);
	free(pool->base);
	*pool = (struct node_pool){0};
}

void node_draft_free(struct node_draft *d)
{
	pool_free(&d->peers);
	pool_free(&d->peer_places);
	pool_free(&d->cidrs);
	pool_free(&d->cidr_places);
	pool_free(&d->ips);
	pool_free(&d->lines);
	pool_free(&d->text);
	pool_free(&d->items);
	crypto_wipe(&d->cfg, sizeof(d->cfg));
}

static void say(char *out, struct node_where at, const char *fmt, va_list ap)
{
	char where[320];
	int name = at.level == NODE_LEVEL_FILE ? 256 : (int)strcspn(at.source, "=");

	if (at.column)
		snprintf(where, sizeof(where), "%.256s:%u:%u", at.source, at.line, at.column);
	else if (at.line)
		snprintf(where, sizeof(where), "%.256s:%u", at.source, at.line);
	else
		snprintf(where, sizeof(where), "%s%.*s",
			 at.level == NODE_LEVEL_FLAG ? "--set " : "", TT_MIN(name, 256), at.source);
	int n = snprintf(out, NODE_CONFIG_TEXT_MAX, "%s: ", where);
	vsnprintf(out + n, (size_t)(NODE_CONFIG_TEXT_MAX - n), fmt, ap);
}

int node_draft_fail(struct node_draft *d, struct node_where at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d->err->text, at, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

void node_draft_warn(struct node_draft *d, struct node_where at, const char *fmt, ...)
{
	va_list ap;

	if (d->err->warning_count++ >= NODE_CONFIG_WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	say(d->err->warnings[d->err->warning_count - 1], at, fmt, ap);
	va_end(ap);
}

int node_draft_no_memory(struct node_draft *d)
{
	snprintf(d->err->text, sizeof(d->err->text), "%.300s: out of memory", d->path);
	return -ENOMEM;
}

static int pool_reserve(struct node_pool *pool, size_t more)
{
	if (pool->cap - pool->len >= more)
		return 0;
	size_t cap = TT_MAX(pool->cap * 2, pool->len + more + 512);
	char *base = malloc(cap); /* not realloc: it would leave keys behind in freed memory */
	if (!base)
		return -ENOMEM;
	if (pool->base) {
		memcpy(base, pool->base, pool->len);
		crypto_wipe(pool->base, pool->len);
		free(pool->base);
	}
	pool->base = base;
	pool->cap = cap;
	return 0;
}

void *node_pool_add(struct node_pool *pool, size_t size)
{
	if (pool_reserve(pool, size))
		return NULL;
	void *p = pool->base + pool->len;
	memset(p, 0, size);
	pool->len += size;
	return p;
}

int node_draft_text(struct node_draft *d, const char *text, size_t len,
		    struct node_config_text *out)
{
	uint32_t off = (uint32_t)d->text.len;
	char *p = node_pool_add(&d->text, len + 1);

	if (!p)
		return node_draft_no_memory(d);
	memcpy(p, text, len);
	*out = (struct node_config_text){off, (uint32_t)len};
	return 0;
}

struct node_config_peer *node_draft_peer(const struct node_draft *d, uint32_t i)
{
	return (struct node_config_peer *)d->peers.base + i;
}

struct node_draft_peer *node_draft_peer_place(const struct node_draft *d, uint32_t i)
{
	return (struct node_draft_peer *)d->peer_places.base + i;
}

struct node_config_peer *node_draft_add_peer(struct node_draft *d, struct node_where header)
{
	if (node_draft_peer_count(d) >= NODE_CONFIG_PEERS_MAX) {
		node_draft_fail(d, header, "more than %d peers", NODE_CONFIG_PEERS_MAX);
		return NULL;
	}
	struct node_draft_peer *place = node_pool_add(&d->peer_places, sizeof(*place));
	struct node_config_peer *peer = node_pool_add(&d->peers, sizeof(*peer));
	if (!place || !peer) {
		node_draft_no_memory(d);
		return NULL;
	}
	place->header = header;
	peer->roaming = true;
	return peer;
}

/* --- the blob: header | peers | cidrs | ips | lines | text ---------------------------------- */

struct layout {
	uint32_t peers, cidrs, ips, lines, text, size;
};

static struct layout layout_of(const struct node_draft *d)
{
	struct layout l;

	l.peers = TT_ALIGN_UP((uint32_t)sizeof(struct node_config), 8U);
	l.cidrs = TT_ALIGN_UP(l.peers + (uint32_t)d->peers.len, 8U);
	l.ips = TT_ALIGN_UP(l.cidrs + (uint32_t)d->cidrs.len, 8U);
	l.lines = TT_ALIGN_UP(l.ips + (uint32_t)d->ips.len, 8U);
	l.text = TT_ALIGN_UP(l.lines + (uint32_t)d->lines.len, 8U);
	l.size = TT_ALIGN_UP(l.text + (uint32_t)d->text.len, 8U);
	return l;
}

static void seal_text(struct node_config_text *t, const struct layout *l)
{
	t->off = t->len ? t->off + l->text : 0;
}

static void seal_range(struct node_config_range *r, uint32_t base, size_t size)
{
	r->off = r->count ? base + r->off * (uint32_t)size : 0;
}

/* Moves the kept prefixes of a range together; `next` is where the blob's cidrs continue. */
static void seal_cidrs(const struct node_draft *d, struct node_config *cfg, const struct layout *l,
		       struct node_config_range *r, uint32_t *next)
{
	struct tt_cidr *out = (struct tt_cidr *)((char *)cfg + l->cidrs) + *next;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->count; i++) {
		const struct tt_cidr *c = node_draft_cidr(d, r->off + i);
		if (c->ip.family != TT_FAMILY_NONE)
			out[kept++] = *c;
	}
	r->off = kept ? l->cidrs + *next * (uint32_t)sizeof(*out) : 0;
	r->count = kept;
	*next += kept;
}

static void seal_peers(const struct node_draft *d, struct node_config *cfg, const struct layout *l,
		       uint32_t *next_cidr)
{
	struct node_config_peer *peers = (struct node_config_peer *)((char *)cfg + l->peers);

	cfg->peers.count = node_draft_peer_count(d);
	cfg->peers.off = cfg->peers.count ? l->peers : 0;
	for (uint32_t i = 0; i < cfg->peers.count; i++) {
		peers[i] = *node_draft_peer(d, i);
		seal_text(&peers[i].name, l);
		seal_text(&peers[i].host, l);
		seal_cidrs(d, cfg, l, &peers[i].allowed_ips, next_cidr);
	}
}

static void seal_hub(const struct node_draft *d, struct node_config *cfg, const struct layout *l,
		     uint32_t *next_cidr)
{
	struct node_config_hub *hub = &cfg->hub;
	struct node_config_text *const texts[] = {
		&hub->host,    &hub->name, &hub->certificate_file, &hub->key_file,
		&hub->ca_file, &hub->key,  &hub->certificate,	   &hub->ca,
	};

	if (!hub->given) {
		*hub = (struct node_config_hub){0};
		return;
	}
	for (size_t i = 0; i < TT_ARRAY_LEN(texts); i++)
		seal_text(texts[i], l);
	seal_cidrs(d, cfg, l, &hub->accept, next_cidr);
	seal_cidrs(d, cfg, l, &hub->networks, next_cidr);
}

static void copy_pool(struct node_config *cfg, uint32_t off, const struct node_pool *pool)
{
	if (pool->len)
		memcpy((char *)cfg + off, pool->base, pool->len);
}

struct node_config *node_draft_seal(const struct node_draft *d)
{
	struct layout l = layout_of(d);
	struct node_config *cfg = calloc(1, l.size);
	uint32_t next_cidr = 0;

	if (!cfg)
		return NULL;
	*cfg = d->cfg;
	cfg->size = l.size;
	copy_pool(cfg, l.ips, &d->ips);
	copy_pool(cfg, l.lines, &d->lines);
	copy_pool(cfg, l.text, &d->text);
	seal_cidrs(d, cfg, &l, &cfg->addresses, &next_cidr);
	seal_cidrs(d, cfg, &l, &cfg->routes, &next_cidr);
	seal_peers(d, cfg, &l, &next_cidr);
	seal_range(&cfg->dns, l.ips, sizeof(struct tt_ip));
	seal_range(&cfg->dns_search, l.lines, sizeof(struct node_config_text));
	seal_range(&cfg->interfaces, l.lines, sizeof(struct node_config_text));
	for (int i = 0; i < NODE_HOOK_COUNT; i++)
		seal_range(&cfg->hooks[i], l.lines, sizeof(struct node_config_text));
	struct node_config_text *lines = (struct node_config_text *)((char *)cfg + l.lines);
	for (size_t i = 0; i < d->lines.len / sizeof(*lines); i++)
		seal_text(&lines[i], &l);
	seal_hub(d, cfg, &l, &next_cidr);
	seal_range(&cfg->gateway.masquerade, l.lines, sizeof(struct node_config_text));
	seal_cidrs(d, cfg, &l, &cfg->gateway.subnets, &next_cidr);
	return cfg;
}
