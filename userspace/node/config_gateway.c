/* SPDX-License-Identifier: MIT
 *
 * The section [gateway]: what the host forwards out of the tunnel and into it.
 */
#include "node/config_schema.h"

/* --- keys of the section --------------------------------------------------------------------- */

int node_parse_gateway_firewall(struct node_draft *d, const struct node_schema_key *k,
				const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	char quote[NODE_QUOTE_MAX];

	cfg->gateway.given = 1;
	if (v->kind == NODE_VALUE_BOOLEAN)
		cfg->gateway.firewall = v->boolean ? NODE_FIREWALL_ON : NODE_FIREWALL_OFF;
	else if (v->len == 4 && memcmp(v->text, "auto", 4) == 0)
		cfg->gateway.firewall = NODE_FIREWALL_AUTO;
	else
		return node_draft_fail(d, v->at, "%s is %s; expected %s", v->label,
				       node_quote(quote, v->text, v->len), k->expected);
	return 0;
}

int node_parse_gateway_ip_forward(struct node_draft *d, const struct node_schema_key *k,
				  const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;

	(void)d, (void)k;
	cfg->gateway.given = 1;
	cfg->gateway.ip_forward = v->boolean;
	return 0;
}

int node_parse_gateway_masquerade(struct node_draft *d, const struct node_schema_key *k,
				  const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;

	(void)k;
	cfg->gateway.given = 1;
	d->gateway.masquerade = v->at;
	return node_parse_ifnames(d, v, &cfg->gateway.masquerade, NODE_CONFIG_MASQUERADE_MAX);
}

int node_parse_gateway_subnets(struct node_draft *d, const struct node_schema_key *k,
			       const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	int rc = node_parse_cidrs(d, v, &cfg->gateway.subnets, true);

	(void)k;
	cfg->gateway.given = cfg->gateway.has_subnets = 1;
	d->gateway.subnets = v->at;
	if (!rc && cfg->gateway.subnets.count > NODE_CONFIG_SUBNETS_MAX)
		rc = node_draft_fail(d, v->at, "%s holds more than %d prefixes", v->label,
				     NODE_CONFIG_SUBNETS_MAX);
	return rc;
}

/* --- what goes together ---------------------------------------------------------------------- */

static int check_masquerade(struct node_draft *d)
{
	const struct node_config_range *r = &d->cfg.gateway.masquerade;
	const struct node_config_text *t = (struct node_config_text *)d->lines.base;

	for (uint32_t i = 0; i < r->count; i++)
		if (strcmp(d->text.base + t[r->off + i].off, d->cfg.name) == 0)
			return node_draft_fail(
				d, d->gateway.masquerade,
				"masquerade holds \"%s\", the tunnel itself; expected "
				"interfaces that packets of peers leave by",
				d->cfg.name);
	return 0;
}

int node_draft_check_gateway(struct node_draft *d)
{
	const struct node_config_gateway *g = &d->cfg.gateway;

	if (g->firewall == NODE_FIREWALL_OFF && g->masquerade.count)
		return node_draft_fail(d, d->gateway.masquerade,
				       "masquerade is done by the firewall, and firewall is false");
	if (g->firewall == NODE_FIREWALL_OFF && g->has_subnets)
		return node_draft_fail(d, d->gateway.subnets,
				       "subnets are kept by the firewall, and firewall is false");
	if (g->given && g->firewall != NODE_FIREWALL_OFF && !g->masquerade.count && !g->has_subnets)
		node_draft_warn(d, d->gateway.header,
				"neither subnets nor masquerade: peers reach nothing behind this "
				"gateway");
	return check_masquerade(d);
}
