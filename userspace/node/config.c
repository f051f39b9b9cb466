/* SPDX-License-Identifier: MIT */
#include "node/config.h"

#include <stdlib.h>
#include "crypto/mem.h"

void node_config_free(struct node_config *cfg)
{
	if (cfg)
		crypto_wipe(cfg, cfg->size);
	free(cfg);
}

static bool fits(const struct node_config *cfg, struct node_config_range r, size_t size)
{
	if (r.count == 0)
		return true;
	return r.off >= sizeof(*cfg) && r.off % 4 == 0 && r.off <= cfg->size &&
	       r.count <= (cfg->size - r.off) / size;
}

static bool text_fits(const struct node_config *cfg, struct node_config_text t)
{
	if (t.len == 0)
		return true;
	return t.off >= sizeof(*cfg) && t.off < cfg->size && t.len < cfg->size - t.off &&
	       ((const char *)cfg)[t.off + t.len] == '\0';
}

static bool lines_fit(const struct node_config *cfg, struct node_config_range r)
{
	const struct node_config_text *t = node_config_at(cfg, r.off);

	if (!fits(cfg, r, sizeof(*t)))
		return false;
	for (uint32_t i = 0; i < r.count; i++) {
		if (!text_fits(cfg, t[i]))
			return false;
	}
	return true;
}

static bool hub_fits(const struct node_config *cfg)
{
	const struct node_config_hub *h = &cfg->hub;
	const struct node_config_text texts[] = {h->host,     h->name,	  h->certificate_file,
						 h->key_file, h->ca_file, h->certificate,
						 h->key,      h->ca};

	if (!h->given)
		return true;
	for (size_t i = 0; i < TT_ARRAY_LEN(texts); i++) {
		if (!texts[i].len || !text_fits(cfg, texts[i]))
			return false;
	}
	return fits(cfg, h->accept, sizeof(struct tt_cidr)) &&
	       fits(cfg, h->networks, sizeof(struct tt_cidr));
}

static bool peers_fit(const struct node_config *cfg)
{
	if (!fits(cfg, cfg->peers, sizeof(struct node_config_peer)))
		return false;
	for (uint32_t i = 0; i < cfg->peers.count; i++) {
		const struct node_config_peer *p = node_config_peer(cfg, i);
		if (!text_fits(cfg, p->name) || !text_fits(cfg, p->host) ||
		    !fits(cfg, p->allowed_ips, sizeof(struct tt_cidr)))
			return false;
	}
	return true;
}

bool node_config_valid(const void *blob, size_t size)
{
	const struct node_config *cfg = blob;

	if (size < sizeof(*cfg) || cfg->magic != NODE_CONFIG_MAGIC ||
	    cfg->version != NODE_CONFIG_VERSION || cfg->size < sizeof(*cfg) || cfg->size > size)
		return false;
	if (!memchr(cfg->name, '\0', sizeof(cfg->name)) ||
	    !memchr(cfg->metrics.path, '\0', sizeof(cfg->metrics.path)) ||
	    !fits(cfg, cfg->addresses, sizeof(struct tt_cidr)) ||
	    !fits(cfg, cfg->routes, sizeof(struct tt_cidr)) ||
	    !fits(cfg, cfg->dns, sizeof(struct tt_ip)) || !lines_fit(cfg, cfg->dns_search) ||
	    !lines_fit(cfg, cfg->interfaces))
		return false;
	for (int i = 0; i < NODE_HOOK_COUNT; i++) {
		if (!lines_fit(cfg, cfg->hooks[i]))
			return false;
	}
	return hub_fits(cfg) && peers_fit(cfg) && lines_fit(cfg, cfg->gateway.masquerade) &&
	       fits(cfg, cfg->gateway.subnets, sizeof(struct tt_cidr));
}
