/* SPDX-License-Identifier: MIT
 *
 * The parsers of the keys that are more than a number or a word.
 */
#include "node/config_schema.h"

#include <ctype.h>
#include <errno.h>
#include "crypto/mem.h"

static struct node_where item_place(const struct node_value *v, const struct node_item *item)
{
	return (struct node_where){v->at.source, item->line, item->column, v->at.level};
}

static uint32_t item_count(const struct node_draft *d)
{
	return (uint32_t)(d->items.len / sizeof(struct node_item));
}

static const struct node_item *item_at(const struct node_draft *d, uint32_t i)
{
	return (const struct node_item *)d->items.base + i;
}

/* --- names ----------------------------------------------------------------------------------- */

const char *node_ifname_complaint(const char *name, size_t len)
{
	if (len == 0)
		return "is empty";
	if (len >= NODE_CONFIG_IFNAME_MAX)
		return "is longer than 15 characters";
	if ((len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
		return "is no interface name";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		if (!isalnum(c) && !strchr("_=+.-", c))
			return "may hold only letters, digits and _ = + . -";
	}
	return name[0] == '-' ? "starts with a dash" : NULL;
}

int node_parse_ifname(struct node_draft *d, const struct node_schema_key *k,
		      const struct node_value *v, void *obj)
{
	const char *why = node_ifname_complaint(v->text, v->len);
	struct node_config *cfg = obj;
	char quote[NODE_QUOTE_MAX];

	(void)k;
	if (why)
		return node_draft_fail(d, v->at, "%s %s %s", v->label,
				       node_quote(quote, v->text, v->len), why);
	memset(cfg->name, 0, sizeof(cfg->name));
	memcpy(cfg->name, v->text, v->len);
	return 0;
}

int node_parse_peer_name(struct node_draft *d, const struct node_schema_key *k,
			 const struct node_value *v, void *obj)
{
	struct node_config_peer *peer = obj;
	char quote[NODE_QUOTE_MAX];

	(void)k;
	if (v->len == 0)
		return node_draft_fail(d, v->at, "%s is empty; leave it out instead", v->label);
	if (v->len > 64)
		return node_draft_fail(d, v->at, "%s is longer than 64 bytes", v->label);
	for (size_t i = 0; i < v->len; i++) {
		if ((unsigned char)v->text[i] < 32 || v->text[i] == 127)
			return node_draft_fail(d, v->at, "%s %s holds a control character",
					       v->label, node_quote(quote, v->text, v->len));
	}
	node_draft_peer_place(d, node_draft_peer_count(d) - 1)->name = v->at;
	return node_draft_text(d, v->text, v->len, &peer->name);
}

/* --- keys ------------------------------------------------------------------------------------ */

/* The message never quotes the text: it may be a secret with a typing error. */
static int read_key(struct node_draft *d, const struct node_value *v, uint8_t key[TT_KEY_LEN])
{
	if (v->len != TT_KEY_B64_LEN)
		return node_draft_fail(d, v->at, "%s has %zu characters; expected 44 of base64",
				       v->label, v->len);
	if (tt_key_from_b64(v->text, v->len, key))
		return node_draft_fail(d, v->at, "%s is not base64 of 32 bytes", v->label);
	if (crypto_is_zero(key, TT_KEY_LEN))
		return node_draft_fail(d, v->at, "%s is all zero", v->label);
	return 0;
}

/* A later source replaces an earlier one; within one source the two spellings exclude each other.
 */
static int claim_private_key(struct node_draft *d, const struct node_value *v, bool is_file)
{
	if (d->cfg.has_private_key && d->private_key_level == d->level &&
	    (d->private_key_file.len != 0) != is_file)
		return node_draft_fail(d, v->at,
				       "private_key and private_key_file are both given; keep one");
	d->cfg.has_private_key = true;
	d->private_key_level = d->level;
	d->private_key_file = (struct node_config_text){0};
	d->private_key = v->at;
	return 0;
}

int node_parse_private_key(struct node_draft *d, const struct node_schema_key *k,
			   const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	int rc = claim_private_key(d, v, false);

	(void)k;
	d->file_holds_keys |= d->level == NODE_LEVEL_FILE;
	return rc ? rc : read_key(d, v, cfg->private_key);
}

/* The file is read by node_draft_check: a later source may still replace it. */
int node_parse_private_key_file(struct node_draft *d, const struct node_schema_key *k,
				const struct node_value *v, void *obj)
{
	int rc = claim_private_key(d, v, true);

	(void)k, (void)obj;
	if (rc)
		return rc;
	if (v->len == 0)
		return node_draft_fail(d, v->at, "%s is empty", v->label);
	return node_draft_text(d, v->text, v->len, &d->private_key_file);
}

int node_parse_public_key(struct node_draft *d, const struct node_schema_key *k,
			  const struct node_value *v, void *obj)
{
	struct node_config_peer *peer = obj;

	(void)k;
	node_draft_peer_place(d, node_draft_peer_count(d) - 1)->public_key = v->at;
	return read_key(d, v, peer->public_key);
}

static int claim_psk(struct node_draft *d, const struct node_value *v,
		     struct node_config_peer *peer)
{
	if (peer->has_preshared_key)
		return node_draft_fail(
			d, v->at, "preshared_key and preshared_key_file are both given; keep one");
	peer->has_preshared_key = true;
	return 0;
}

int node_parse_psk(struct node_draft *d, const struct node_schema_key *k,
		   const struct node_value *v, void *obj)
{
	struct node_config_peer *peer = obj;
	int rc = claim_psk(d, v, peer);

	(void)k;
	d->file_holds_keys |= d->level == NODE_LEVEL_FILE;
	return rc ? rc : read_key(d, v, peer->preshared_key);
}

int node_parse_psk_file(struct node_draft *d, const struct node_schema_key *k,
			const struct node_value *v, void *obj)
{
	struct node_config_peer *peer = obj;
	int rc = claim_psk(d, v, peer);

	(void)k;
	if (rc)
		return rc;
	if (v->len == 0)
		return node_draft_fail(d, v->at, "%s is empty", v->label);
	return node_keyfile_read(d, d->level, v->at, v->label, v->text, peer->preshared_key);
}

/* --- endpoint -------------------------------------------------------------------------------- */

static int fail_endpoint(struct node_draft *d, const struct node_value *v, const char *hint)
{
	char quote[NODE_QUOTE_MAX];

	return node_draft_fail(d, v->at, "%s is %s; %s", v->label,
			       node_quote(quote, v->text, v->len), hint);
}

static bool host_is_sane(const char *host, size_t len, bool brackets)
{
	bool colon = false;

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)host[i];
		colon |= c == ':';
		if (!isalnum(c) && !strchr(brackets ? "-._:%" : "-._", c))
			return false;
	}
	return brackets == colon && host[0] != '-';
}

static bool all_digits_and_dots(const char *host, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (host[i] != '.' && !isdigit((unsigned char)host[i]))
			return false;
	}
	return true;
}

int64_t node_parse_port_number(const char *text, size_t len)
{
	int64_t n = 0;

	if (len == 0 || len > 5)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		n = n * 10 + (text[i] - '0');
	}
	return n >= 1 && n <= 65535 ? n : -1;
}

int node_parse_endpoint(struct node_draft *d, const struct node_schema_key *k,
			const struct node_value *v, void *obj)
{
	struct node_config_peer *peer = obj;
	const char *colon = v->len ? memrchr(v->text, ':', v->len) : NULL;
	bool brackets = v->len && v->text[0] == '[';
	const char *host = v->text + brackets;
	char text[256];

	(void)k;
	if (!colon || memchr(v->text, '/', v->len) ||
	    (brackets && (colon == v->text || colon[-1] != ']')))
		return fail_endpoint(d, v, "expected \"host:port\", as \"vpn.example.com:51820\"");
	size_t len = (size_t)(colon - host) - brackets;
	if (!brackets && memchr(host, ':', len))
		return fail_endpoint(d, v, "an IPv6 address is written \"[address]:port\"");
	int64_t udp_port =
		node_parse_port_number(colon + 1, (size_t)(v->text + v->len - colon - 1));
	if (udp_port < 0)
		return fail_endpoint(d, v, "expected a port from 1 to 65535 after the last \":\"");
	if (!host_is_sane(host, len, brackets))
		return fail_endpoint(d, v, "expected a host name or an address before the port");
	memcpy(text, host, len);
	text[len] = '\0';
	if (tt_ip_parse(text, &peer->endpoint.ip) == 0)
		peer->endpoint.udp_port = (uint16_t)udp_port;
	else if (all_digits_and_dots(host, len))
		return fail_endpoint(d, v, "the IPv4 address is not valid");
	peer->udp_port = (uint16_t)udp_port;
	return node_draft_text(d, host, len, &peer->host);
}

/* --- lists ----------------------------------------------------------------------------------- */

static int fail_item(struct node_draft *d, const struct node_value *v, const struct node_item *item,
		     const char *expected)
{
	char quote[NODE_QUOTE_MAX];

	if (item->what)
		return node_draft_fail(d, item_place(v, item), "%s holds %s; expected %s", v->label,
				       item->what, expected);
	return node_draft_fail(d, item_place(v, item), "%s holds %s; expected %s", v->label,
			       node_quote(quote, item->text, item->len), expected);
}

/* The item as a terminated string in buf, or NULL where it cannot be one. */
static const char *item_text(const struct node_item *item, char *buf, size_t size)
{
	if (item->what || item->len >= size || memchr(item->text, '\0', item->len))
		return NULL;
	memcpy(buf, item->text, item->len);
	buf[item->len] = '\0';
	return buf;
}

/* Appended ranges grow at the end of the pool; one that lies elsewhere is copied there first. */
static int open_cidrs(struct node_draft *d, const struct node_value *v, struct node_config_range *r)
{
	uint32_t end = (uint32_t)(d->cidrs.len / sizeof(struct tt_cidr));
	struct node_config_range old = *r;

	if (v->append && r->count && r->off + r->count == end)
		return 0;
	*r = (struct node_config_range){end, 0};
	for (uint32_t i = 0; v->append && i < old.count; i++) {
		struct tt_cidr *c = node_pool_add(&d->cidrs, sizeof(*c));
		struct node_draft_place *at = node_pool_add(&d->cidr_places, sizeof(*at));
		if (!c || !at)
			return node_draft_no_memory(d);
		*c = *node_draft_cidr(d, old.off + i);
		*at = ((struct node_draft_place *)d->cidr_places.base)[old.off + i];
		r->count++;
	}
	return 0;
}

static int add_cidr(struct node_draft *d, const struct node_value *v, const struct node_item *item,
		    struct node_config_range *r, bool mask)
{
	const char *expected = "a prefix as \"10.77.0.0/24\" or \"fd77::1/64\"";
	char buf[TT_CIDR_TEXT_MAX], text[TT_CIDR_TEXT_MAX];
	const char *s = item_text(item, buf, sizeof(buf));
	struct tt_cidr parsed;

	if (!s || tt_cidr_parse(s, &parsed))
		return fail_item(d, v, item, expected);
	if (mask && tt_cidr_mask(&parsed))
		node_draft_warn(d, item_place(v, item), "%s holds \"%s\" with host bits; using %s",
				v->label, s, tt_cidr_format(&parsed, text));
	struct tt_cidr *c = node_pool_add(&d->cidrs, sizeof(*c));
	struct node_draft_place *at = node_pool_add(&d->cidr_places, sizeof(*at));
	if (!c || !at)
		return node_draft_no_memory(d);
	*c = parsed;
	*at = (struct node_draft_place){item->line, item->column};
	r->count++;
	return 0;
}

int node_parse_cidrs(struct node_draft *d, const struct node_value *v, struct node_config_range *r,
		     bool mask)
{
	int rc = open_cidrs(d, v, r);

	for (uint32_t i = 0; !rc && i < item_count(d); i++)
		rc = add_cidr(d, v, item_at(d, i), r, mask);
	return rc;
}

int node_parse_address(struct node_draft *d, const struct node_schema_key *k,
		       const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;

	(void)k;
	int rc = node_parse_cidrs(d, v, &cfg->addresses, false);
	if (!rc && cfg->addresses.count > 256)
		rc = node_draft_fail(d, v->at, "%s holds more than 256 addresses", v->label);
	return rc;
}

int node_parse_routes(struct node_draft *d, const struct node_schema_key *k,
		      const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	char quote[NODE_QUOTE_MAX];

	if (v->kind == NODE_VALUE_LIST) {
		cfg->routes_mode = NODE_ROUTES_LIST;
		return node_parse_cidrs(d, v, &cfg->routes, true);
	}
	for (const struct node_word *w = k->words; w->word; w++) {
		if (strlen(w->word) == v->len && memcmp(w->word, v->text, v->len) == 0) {
			cfg->routes_mode = (uint8_t)w->number;
			cfg->routes = (struct node_config_range){0};
			return 0;
		}
	}
	return node_draft_fail(d, v->at, "%s is %s; expected %s", v->label,
			       node_quote(quote, v->text, v->len), k->expected);
}

int node_parse_allowed_ips(struct node_draft *d, const struct node_schema_key *k,
			   const struct node_value *v, void *obj)
{
	struct node_config_peer *peer = obj;

	(void)k;
	d->allowed_ips += item_count(d);
	if (d->allowed_ips > NODE_CONFIG_ALLOWED_IPS_MAX)
		return node_draft_fail(d, v->at, "more than %d allowed IPs",
				       NODE_CONFIG_ALLOWED_IPS_MAX);
	return node_parse_cidrs(d, v, &peer->allowed_ips, true);
}

int node_parse_dns(struct node_draft *d, const struct node_schema_key *k,
		   const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	char buf[TT_IP_TEXT_MAX];

	(void)k;
	if (!v->append || !cfg->dns.count)
		cfg->dns = (struct node_config_range){(uint32_t)(d->ips.len / sizeof(struct tt_ip)),
						      0};
	for (uint32_t i = 0; i < item_count(d); i++) {
		const struct node_item *item = item_at(d, i);
		const char *s = item_text(item, buf, sizeof(buf));
		struct tt_ip ip;
		if (!s || tt_ip_parse(s, &ip))
			return fail_item(d, v, item, "an address as \"10.77.0.1\"");
		struct tt_ip *out = node_pool_add(&d->ips, sizeof(*out));
		if (!out)
			return node_draft_no_memory(d);
		*out = ip;
		cfg->dns.count++;
	}
	return 0;
}

/* Adds a text to a range of d->lines; as open_cidrs, a range not at the end moves there. */
static int add_line(struct node_draft *d, struct node_config_range *r, const char *text, size_t len)
{
	const size_t size = sizeof(struct node_config_text);
	uint32_t end = (uint32_t)(d->lines.len / size);
	struct node_config_text t = {0};
	int rc = node_draft_text(d, text, len, &t);

	if (rc)
		return rc;
	for (uint32_t i = 0; r->count && r->off + r->count != end && i < r->count; i++) {
		struct node_config_text *copy = node_pool_add(&d->lines, size);
		if (!copy)
			return node_draft_no_memory(d);
		*copy = ((struct node_config_text *)d->lines.base)[r->off + i];
	}
	if (!r->count || r->off + r->count != end)
		r->off = end;
	struct node_config_text *out = node_pool_add(&d->lines, size);
	if (!out)
		return node_draft_no_memory(d);
	*out = t;
	r->count++;
	return 0;
}

static bool is_domain(const struct node_item *item)
{
	return !item->what && host_is_sane(item->text, item->len, false);
}

int node_parse_dns_search(struct node_draft *d, const struct node_schema_key *k,
			  const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	int rc = 0;

	(void)k;
	if (!v->append)
		cfg->dns_search = (struct node_config_range){0};
	for (uint32_t i = 0; !rc && i < item_count(d); i++) {
		const struct node_item *item = item_at(d, i);
		if (!is_domain(item))
			return fail_item(d, v, item, "a domain as \"example.com\"");
		rc = add_line(d, &cfg->dns_search, item->text, item->len);
	}
	return rc;
}

static bool has_line(const struct node_draft *d, const struct node_config_range *r,
		     const struct node_item *item)
{
	const struct node_config_text *t = (struct node_config_text *)d->lines.base;

	for (uint32_t i = 0; i < r->count; i++)
		if (t[r->off + i].len == item->len &&
		    memcmp(d->text.base + t[r->off + i].off, item->text, item->len) == 0)
			return true;
	return false;
}

static int add_interface(struct node_draft *d, const struct node_value *v,
			 struct node_config_range *r, const struct node_item *item, uint32_t max)
{
	if (item->what || node_ifname_complaint(item->text, item->len))
		return fail_item(d, v, item, "an interface name as \"eth0\"");
	if (has_line(d, r, item))
		return 0;
	if (r->count == max)
		return node_draft_fail(d, v->at, "%s holds more than %u interfaces", v->label, max);
	return add_line(d, r, item->text, item->len);
}

int node_parse_ifnames(struct node_draft *d, const struct node_value *v,
		       struct node_config_range *r, uint32_t max)
{
	int rc = 0;

	*r = (struct node_config_range){0};
	for (uint32_t i = 0; !rc && i < item_count(d); i++)
		rc = add_interface(d, v, r, item_at(d, i), max);
	return rc;
}

int node_parse_interfaces(struct node_draft *d, const struct node_schema_key *k,
			  const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;

	(void)k;
	return node_parse_ifnames(d, v, &cfg->interfaces, NODE_CONFIG_XDP_INTERFACES);
}

static bool is_one_line(const struct node_item *item)
{
	if (item->what || item->len == 0)
		return false;
	for (size_t i = 0; i < item->len; i++) {
		unsigned char c = (unsigned char)item->text[i];
		if ((c < 32 && c != '\t') || c == 127)
			return false;
	}
	return true;
}

int node_parse_hook(struct node_draft *d, const struct node_schema_key *k,
		    const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	struct node_config_range *r = &cfg->hooks[k->min];
	int rc = 0;

	if (!v->append)
		*r = (struct node_config_range){0};
	for (uint32_t i = 0; !rc && i < item_count(d); i++) {
		const struct node_item *item = item_at(d, i);
		if (!is_one_line(item))
			return fail_item(d, v, item, "a shell command on one line");
		rc = add_line(d, r, item->text, item->len);
	}
	return rc;
}
