/* SPDX-License-Identifier: MIT */
#include "node/apply.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "plat/clock.h"

/* The peers of a configuration by public key, to compare two configurations in linear time. */
struct by_key {
	const struct node_config_peer **sorted;
	uint32_t count;
};

static int compare_keys(const void *a, const void *b)
{
	const struct node_config_peer *const *x = a, *const *y = b;
	return memcmp((*x)->public_key, (*y)->public_key, TT_KEY_LEN); /* public keys: no secret */
}

static int by_key_init(struct by_key *k, const struct node_config *cfg)
{
	k->count = cfg ? cfg->peers.count : 0;
	k->sorted = calloc(k->count + 1, sizeof(*k->sorted));
	if (!k->sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->count; i++)
		k->sorted[i] = node_config_peer(cfg, i);
	if (k->count)
		qsort(k->sorted, k->count, sizeof(*k->sorted), compare_keys);
	return 0;
}

static const struct node_config_peer *by_key_find(const struct by_key *k,
						  const uint8_t key[TT_KEY_LEN])
{
	struct node_config_peer probe;
	const struct node_config_peer *wanted = &probe, **found;

	memcpy(probe.public_key, key, TT_KEY_LEN);
	found = k->count ? bsearch(&wanted, k->sorted, k->count, sizeof(*k->sorted), compare_keys)
			 : NULL;
	return found ? *found : NULL;
}

static bool same_endpoint(const struct node_config *cfg, const struct node_config_peer *p,
			  const struct node_config *old, const struct node_config_peer *was)
{
	return was && p->udp_port == was->udp_port &&
	       strcmp(node_config_str(cfg, p->host), node_config_str(old, was->host)) == 0;
}

static int apply_endpoint(struct node_device *d, struct node_peer *p, const struct node_config *cfg,
			  const struct node_config_peer *c)
{
	if (!c->host.len)
		return node_peer_set_host(d, p, NULL, 0);
	if (tt_endpoint_is_set(&c->endpoint)) {
		int err = node_peer_set_host(d, p, NULL, 0);
		node_peer_set_endpoint(d, p, &c->endpoint);
		return err;
	}
	return node_peer_set_host(d, p, node_config_str(cfg, c->host), c->udp_port);
}

static int apply_peer(struct node_device *d, const struct node_config *cfg,
		      const struct node_config_peer *c, const struct node_config *old,
		      const struct node_config_peer *was)
{
	struct node_peer *p = node_device_find_peer(d, c->public_key);

	/* the configuration wins over the hub's map */
	if (p && node_peer_is_managed(p)) {
		node_device_remove_peer(d, p);
		p = NULL;
	}
	int err = p ? 0 : node_device_add_peer(d, c->public_key, &p);

	if (err)
		return err;
	err = node_peer_set_name(p, node_config_str(cfg, c->name));
	node_peer_set_psk(d, p, c->preshared_key);
	/* allowed IPs are published as one table at the end: replacing them loses no packet */
	node_peer_clear_allowed_ips(d, p);
	for (uint32_t i = 0; !err && i < c->allowed_ips.count; i++)
		err = node_peer_add_allowed_ip(d, p, node_config_cidr(cfg, c->allowed_ips, i));
	node_peer_set_keepalive(d, p, c->keepalive);
	node_peer_set_roaming(d, p, c->roaming);
	/* one that may not roam any more is sent to where the file says */
	if (!err && (!same_endpoint(cfg, c, old, was) || (was->roaming && !c->roaming)))
		err = apply_endpoint(d, p, cfg, c);
	return err;
}

static void remove_absent(struct node_device *d, const struct by_key *wanted)
{
	struct node_peer *p = node_device_next_peer(d, NULL);

	while (p) {
		struct node_peer *next = node_device_next_peer(d, p);
		struct node_peer_info info;
		node_peer_get_info(d, p, &info);
		/* those of the hub's map come and go with it */
		if (!node_peer_is_managed(p) && !by_key_find(wanted, info.public_key))
			node_device_remove_peer(d, p);
		p = next;
	}
}

int node_apply_device(struct node_device *d, const struct node_config *cfg,
		      const struct node_config *old)
{
	struct by_key now = {0}, before = {0};
	int first = by_key_init(&now, cfg);

	if (!first)
		first = by_key_init(&before, old);
	if (first)
		goto out;
	first = node_device_set_private_key(d, cfg->has_private_key ? cfg->private_key : NULL);
	remove_absent(d, &now);
	for (uint32_t i = 0; i < cfg->peers.count; i++) {
		const struct node_config_peer *c = node_config_peer(cfg, i);
		int err = apply_peer(d, cfg, c, old, by_key_find(&before, c->public_key));
		if (err) {
			tt_log_limited(TT_LOG_ERROR, "config.peer_failed", NULL, plat_clock_mono(),
				       50, TT_F_STR("peer", node_config_str(cfg, c->name)),
				       TT_F_ERRNO("error", err));
			first = first ? first : err;
		}
	}
	int err = node_device_commit(d);
	first = first ? first : err;
out:
	free(now.sorted);
	free(before.sorted);
	return first;
}
