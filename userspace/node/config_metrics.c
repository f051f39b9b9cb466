/* SPDX-License-Identifier: MIT
 *
 * The section [metrics]: where they are served.
 */
#include "node/config_schema.h"

static bool is_loopback(const struct tt_ip *ip)
{
	static const uint8_t v6[16] = {[15] = 1};

	return ip->family == TT_FAMILY_V4 ? ip->b[0] == 127 : memcmp(ip->b, v6, sizeof(v6)) == 0;
}

static int parse_path(struct node_draft *d, const struct node_value *v, struct node_config *cfg)
{
	const char *path = v->text + strlen("unix:");
	size_t len = v->len - strlen("unix:");
	char quote[NODE_QUOTE_MAX];

	if (len == 0 || path[0] != '/' || path[len - 1] == '/')
		return node_draft_fail(d, v->at, "%s is %s; expected a whole path after \"unix:\"",
				       v->label, node_quote(quote, v->text, v->len));
	if (len >= sizeof(cfg->metrics.path))
		return node_draft_fail(d, v->at, "%s: the path is longer than %zu bytes", v->label,
				       sizeof(cfg->metrics.path) - 1);
	memcpy(cfg->metrics.path, path, len);
	return 0;
}

static int parse_address(struct node_draft *d, const struct node_schema_key *k,
			 const struct node_value *v, struct node_config *cfg)
{
	char text[TT_ENDPOINT_TEXT_MAX], quote[NODE_QUOTE_MAX];

	if (v->len < sizeof(text)) {
		memcpy(text, v->text, v->len);
		text[v->len] = '\0';
	}
	if (v->len >= sizeof(text) || tt_endpoint_parse(text, &cfg->metrics.address))
		return node_draft_fail(d, v->at, "%s is %s; expected %s", v->label,
				       node_quote(quote, v->text, v->len), k->expected);
	if (!is_loopback(&cfg->metrics.address.ip))
		node_draft_warn(d, v->at,
				"%s is %s, which others can reach: whoever does reads the names "
				"and addresses of all peers",
				v->label, text);
	return 0;
}

int node_parse_metrics_listen(struct node_draft *d, const struct node_schema_key *k,
			      const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;

	memset(&cfg->metrics.address, 0, sizeof(cfg->metrics.address));
	memset(cfg->metrics.path, 0, sizeof(cfg->metrics.path));
	if (v->len == 3 && memcmp(v->text, "off", 3) == 0)
		return 0;
	if (v->len >= 5 && memcmp(v->text, "unix:", 5) == 0)
		return parse_path(d, v, cfg);
	return parse_address(d, k, v, cfg);
}
