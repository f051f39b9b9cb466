/* SPDX-License-Identifier: MIT
 *
 * The rules that no single key can judge: what must be there, what must not be there twice, what
 * does not go together. Hash sets keep it linear in peers and prefixes.
 */
#include "node/config_schema.h"

#include <stdlib.h>
#include "crypto/mem.h"
#include "crypto/x25519.h"

/* --- a set of indices whose keys lie elsewhere ----------------------------------------------- */

struct key_bytes {
	const void *p;
	size_t len;
};

struct index_set {
	uint32_t *slots; /* index + 1; 0: empty */
	uint32_t mask;
	struct key_bytes (*key_of)(const struct node_draft *d, uint32_t index);
};

static int set_init(struct index_set *s, size_t count,
		    struct key_bytes (*key_of)(const struct node_draft *d, uint32_t index))
{
	size_t slots = 16;

	while (slots < count * 2)
		slots *= 2;
	*s = (struct index_set){calloc(slots, sizeof(uint32_t)), (uint32_t)slots - 1, key_of};
	return s->slots ? 0 : -1;
}

static uint64_t hash_of(struct key_bytes k)
{
	const uint8_t *p = k.p;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < k.len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return h * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

/* The slot of an equal key, or an empty one. The set is never more than half full. */
static uint32_t *set_slot(const struct index_set *s, const struct node_draft *d, uint32_t index)
{
	struct key_bytes k = s->key_of(d, index);
	uint32_t at = (uint32_t)hash_of(k) & s->mask;

	for (;; at = (at + 1) & s->mask) {
		if (!s->slots[at])
			return &s->slots[at];
		struct key_bytes other = s->key_of(d, s->slots[at] - 1);
		if (other.len == k.len && memcmp(other.p, k.p, k.len) == 0)
			return &s->slots[at];
	}
}

static struct key_bytes key_of_peer(const struct node_draft *d, uint32_t i)
{
	return (struct key_bytes){node_draft_peer(d, i)->public_key, TT_KEY_LEN};
}

static struct key_bytes name_of_peer(const struct node_draft *d, uint32_t i)
{
	struct node_config_text name = node_draft_peer(d, i)->name;

	return (struct key_bytes){name.len ? d->text.base + name.off : "", name.len};
}

static struct key_bytes bytes_of_cidr(const struct node_draft *d, uint32_t i)
{
	return (struct key_bytes){node_draft_cidr(d, i), sizeof(struct tt_cidr)};
}

/* --- keys ------------------------------------------------------------------------------------ */

static int check_private_key(struct node_draft *d)
{
	struct node_config_text file = d->private_key_file;

	if (!d->cfg.has_private_key && d->wgquick)
		return node_draft_fail(d, d->interface,
				       "no private key; expected PrivateKey in [Interface]");
	if (!d->cfg.has_private_key)
		return node_draft_fail(
			d, d->interface,
			"no private key; expected private_key_file or private_key in [interface]");
	if (!file.len)
		return 0;
	return node_keyfile_read(d, d->private_key_level, d->private_key, "private_key_file",
				 d->text.base + file.off, d->cfg.private_key);
}

static int check_public_keys(struct node_draft *d, const struct index_set *seen)
{
	uint8_t own[TT_KEY_LEN];

	crypto_x25519_base(own, d->cfg.private_key);
	for (uint32_t i = 0; i < node_draft_peer_count(d); i++) {
		struct node_draft_peer *at = node_draft_peer_place(d, i);
		if (!at->public_key.source)
			return node_draft_fail(d, at->header, "peer has no %s",
					       d->wgquick ? "PublicKey" : "public_key");
		if (crypto_equal(own, node_draft_peer(d, i)->public_key, TT_KEY_LEN))
			return node_draft_fail(d, at->public_key,
					       "the peer's public key is this node's own");
		uint32_t *slot = set_slot(seen, d, i);
		if (*slot)
			return node_draft_fail(d, at->public_key,
					       "public_key is that of the peer at line %u already",
					       node_draft_peer_place(d, *slot - 1)->header.line);
		*slot = i + 1;
	}
	return 0;
}

static int check_names(struct node_draft *d, const struct index_set *seen)
{
	char quote[NODE_QUOTE_MAX];

	for (uint32_t i = 0; i < node_draft_peer_count(d); i++) {
		struct key_bytes name = name_of_peer(d, i);
		if (!name.len)
			continue;
		uint32_t *slot = set_slot(seen, d, i);
		if (*slot)
			return node_draft_fail(d, node_draft_peer_place(d, i)->name,
					       "name %s belongs to the peer at line %u already",
					       node_quote(quote, name.p, name.len),
					       node_draft_peer_place(d, *slot - 1)->header.line);
		*slot = i + 1;
	}
	return 0;
}

static int check_roaming(struct node_draft *d)
{
	for (uint32_t i = 0; i < node_draft_peer_count(d); i++) {
		const struct node_config_peer *p = node_draft_peer(d, i);
		if (!p->roaming && !p->host.len)
			return node_draft_fail(d, node_draft_peer_place(d, i)->header,
					       "peer with roaming = false has no endpoint");
	}
	return 0;
}

static int check_peers(struct node_draft *d)
{
	struct index_set keys, names;
	int rc = 0;

	if (set_init(&keys, node_draft_peer_count(d), key_of_peer))
		return node_draft_no_memory(d);
	rc = check_public_keys(d, &keys);
	free(keys.slots);
	if (rc || (rc = check_roaming(d)))
		return rc;
	if (set_init(&names, node_draft_peer_count(d), name_of_peer))
		return node_draft_no_memory(d);
	rc = check_names(d, &names);
	free(names.slots);
	return rc;
}

/* --- prefixes -------------------------------------------------------------------------------- */

static struct node_where cidr_place(const struct node_draft *d, uint32_t i)
{
	const struct node_draft_place *p = (struct node_draft_place *)d->cidr_places.base + i;

	return (struct node_where){d->path, p->line, p->column, NODE_LEVEL_FILE};
}

/*
 * Leaves each prefix once: within the range the first, against earlier ranges the later. A prefix
 * that is dropped gets family none, which node_draft_seal leaves out.
 */
static void drop_doubles(struct node_draft *d, const struct index_set *seen,
			 const struct node_config_range *r)
{
	char text[TT_CIDR_TEXT_MAX];

	for (uint32_t i = r->off; i < r->off + r->count; i++) {
		struct tt_cidr *c = node_draft_cidr(d, i);
		uint32_t *slot = set_slot(seen, d, i);
		uint32_t old = *slot - 1;
		if (*slot && old >= r->off) {
			node_draft_warn(d, cidr_place(d, i), "%s is listed twice",
					tt_cidr_format(c, text));
			c->ip.family = TT_FAMILY_NONE;
			continue;
		}
		if (*slot) {
			node_draft_warn(d, cidr_place(d, i),
					"%s moves here from the peer that had it at line %u",
					tt_cidr_format(c, text), cidr_place(d, old).line);
			node_draft_cidr(d, old)->ip.family = TT_FAMILY_NONE;
		}
		*slot = i + 1;
	}
}

static int check_range(struct node_draft *d, const struct node_config_range *r)
{
	struct index_set seen;

	if (set_init(&seen, r->count, bytes_of_cidr))
		return node_draft_no_memory(d);
	drop_doubles(d, &seen, r);
	free(seen.slots);
	return 0;
}

static int check_allowed_ips(struct node_draft *d)
{
	struct index_set seen;

	if (set_init(&seen, d->allowed_ips, bytes_of_cidr))
		return node_draft_no_memory(d);
	for (uint32_t i = 0; i < node_draft_peer_count(d); i++)
		drop_doubles(d, &seen, &node_draft_peer(d, i)->allowed_ips);
	free(seen.slots);
	return 0;
}

static const struct tt_cidr *first_v6(const struct node_draft *d, const struct node_config_range *r)
{
	for (uint32_t i = r->off; i < r->off + r->count; i++) {
		if (node_draft_cidr(d, i)->ip.family == TT_FAMILY_V6)
			return node_draft_cidr(d, i);
	}
	return NULL;
}

static int check_mtu(struct node_draft *d)
{
	const struct tt_cidr *v6 = first_v6(d, &d->cfg.addresses);
	char text[TT_CIDR_TEXT_MAX];

	if (d->cfg.mtu == 0 || d->cfg.mtu >= 1280)
		return 0;
	if (!v6)
		v6 = first_v6(d, &d->cfg.hub.networks);
	if (!v6)
		v6 = first_v6(d, &d->cfg.hub.accept);
	for (uint32_t i = 0; !v6 && i < node_draft_peer_count(d); i++)
		v6 = first_v6(d, &node_draft_peer(d, i)->allowed_ips);
	if (!v6)
		return 0;
	return node_draft_fail(d, d->mtu, "mtu is %u; IPv6 needs at least 1280, and %s is IPv6",
			       d->cfg.mtu, tt_cidr_format(v6, text));
}

int node_draft_check(struct node_draft *d)
{
	int rc = check_private_key(d);

	if (!rc && !d->cfg.name[0])
		rc = node_draft_fail(d, d->interface,
				     "no interface name, and the file's name is none; expected "
				     "name in [interface]");
	if (!rc)
		rc = check_peers(d);
	if (!rc)
		rc = check_mtu(d);
	if (!rc)
		rc = check_range(d, &d->cfg.addresses);
	if (!rc)
		rc = check_range(d, &d->cfg.routes);
	if (!rc)
		rc = check_range(d, &d->cfg.hub.accept);
	if (!rc)
		rc = check_range(d, &d->cfg.hub.networks);
	if (!rc)
		rc = check_range(d, &d->cfg.gateway.subnets);
	if (!rc)
		rc = node_draft_check_gateway(d);
	if (!rc)
		rc = node_draft_check_hub(d);
	return rc ? rc : check_allowed_ips(d);
}
