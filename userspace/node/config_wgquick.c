/* SPDX-License-Identifier: MIT
 *
 * wg-quick(8) files. Lines are cut at '#', keys know no case, lists may repeat; every value then
 * goes through the schema of the TOML file.
 */
#include "node/config_wgquick.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/suggest.h"
#include "base/text.h"
#include "node/config_schema.h"

struct reader;

struct wgquick_key {
	const char *name;
	enum node_section section;
	const char *schema; /* the key of the TOML file */
	const char *zero;   /* text that means the default */
	bool repeats;
	int (*read)(struct reader *r, const struct wgquick_key *key, struct node_value v);
};

struct reader {
	struct node_draft *d;
	enum node_section section; /* NODE_SECTION_COUNT before the first */
	struct node_config_peer *peer;
	uint32_t seen_interface, seen_peer; /* bit per key */
};

static void *object_of(const struct reader *r)
{
	return r->section == NODE_SECTION_PEER ? (void *)r->peer : &r->d->cfg;
}

static bool text_is(const struct node_value *v, const char *text)
{
	return strlen(text) == v->len && strncasecmp(text, v->text, v->len) == 0;
}

static int read_plain(struct reader *r, const struct wgquick_key *key, struct node_value v)
{
	if (key->zero && text_is(&v, key->zero))
		return 0;
	v.append = key->repeats;
	return node_schema_apply_text(r->d, node_schema_find(key->section, key->schema), v,
				      object_of(r));
}

static int read_table(struct reader *r, const struct wgquick_key *key, struct node_value v)
{
	if (!text_is(&v, "off"))
		return read_plain(r, key, v);
	v.text = "none";
	v.len = 4;
	return node_schema_apply_text(r->d, node_schema_find(NODE_SECTION_INTERFACE, "routes"), v,
				      &r->d->cfg);
}

/* Addresses and search domains in one list. */
static int read_dns(struct reader *r, const struct wgquick_key *key, struct node_value v)
{
	const char *p = v.text, *end = v.text + v.len;
	int rc = 0;

	v.append = true;
	while (!rc && p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma ? comma : end) - p);
		char text[TT_IP_TEXT_MAX];
		struct tt_ip ip;
		size_t skip = 0;
		while (skip < len && isspace((unsigned char)p[skip]))
			skip++;
		v.text = p + skip;
		v.len = len - skip;
		while (v.len && isspace((unsigned char)v.text[v.len - 1]))
			v.len--;
		snprintf(text, sizeof(text), "%.*s", (int)TT_MIN(v.len, sizeof(text) - 1), v.text);
		const char *schema = tt_ip_parse(text, &ip) ? "dns_search" : key->schema;
		rc = node_schema_apply_text(r->d, node_schema_find(key->section, schema), v,
					    &r->d->cfg);
		p += len + 1;
	}
	return rc;
}

static int read_save_config(struct reader *r, const struct wgquick_key *key, struct node_value v)
{
	(void)key;
	return node_schema_apply_text(r->d, &node_schema_save_config, v, &r->d->cfg);
}

#define IFACE NODE_SECTION_INTERFACE
#define PEER  NODE_SECTION_PEER

static const struct wgquick_key keys[] = {
	{"PrivateKey", IFACE, "private_key", NULL, false, read_plain},
	{"Address", IFACE, "address", NULL, true, read_plain},
	{"ListenPort", IFACE, "listen_port", "0", false, read_plain},
	{"FwMark", IFACE, "fwmark", "off", false, read_plain},
	{"MTU", IFACE, "mtu", NULL, false, read_plain},
	{"Table", IFACE, "table", NULL, false, read_table},
	{"DNS", IFACE, "dns", NULL, true, read_dns},
	{"PreUp", IFACE, "pre_up", NULL, true, read_plain},
	{"PostUp", IFACE, "post_up", NULL, true, read_plain},
	{"PreDown", IFACE, "pre_down", NULL, true, read_plain},
	{"PostDown", IFACE, "post_down", NULL, true, read_plain},
	{"SaveConfig", IFACE, "save_config", NULL, false, read_save_config},
	{"PublicKey", PEER, "public_key", NULL, false, read_plain},
	{"PresharedKey", PEER, "preshared_key", NULL, false, read_plain},
	{"AllowedIPs", PEER, "allowed_ips", NULL, true, read_plain},
	{"Endpoint", PEER, "endpoint", NULL, false, read_plain},
	{"PersistentKeepalive", PEER, "keepalive", "off", false, read_plain},
};

static const char *title_of(enum node_section s)
{
	return s == NODE_SECTION_PEER ? "[Peer]" : "[Interface]";
}

static int unknown_key(struct reader *r, struct node_where at, const char *name)
{
	const char *names[TT_ARRAY_LEN(keys) + 1];
	char quote[NODE_QUOTE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		if (keys[i].section == r->section)
			names[n++] = keys[i].name;
	}
	names[n] = NULL;
	node_quote(quote, name, strlen(name));
	const char *near = tt_suggest(name, names);
	if (near)
		return node_draft_fail(r->d, at, "unknown key %s in %s; did you mean \"%s\"?",
				       quote, title_of(r->section), near);
	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		if (strcasecmp(keys[i].name, name) == 0)
			return node_draft_fail(r->d, at, "unknown key %s in %s; it belongs in %s",
					       quote, title_of(r->section),
					       title_of(keys[i].section));
	}
	return node_draft_fail(r->d, at, "unknown key %s in %s", quote, title_of(r->section));
}

static int read_pair(struct reader *r, struct node_where at, const char *name, struct node_value v)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		const struct wgquick_key *key = &keys[i];
		uint32_t *seen = r->section == PEER ? &r->seen_peer : &r->seen_interface;
		if (key->section != r->section || strcasecmp(key->name, name) != 0)
			continue;
		if (!key->repeats && (*seen & (1U << i)))
			return node_draft_fail(r->d, at, "%s is given twice", key->name);
		*seen |= 1U << i;
		v.label = key->name;
		v.at = at;
		return key->read(r, key, v);
	}
	return unknown_key(r, at, name);
}

static int open_section(struct reader *r, struct node_where at, const char *line, size_t len)
{
	char quote[NODE_QUOTE_MAX];

	if (len == 11 && strncasecmp(line, "[Interface]", len) == 0) {
		r->section = NODE_SECTION_INTERFACE;
		r->d->interface = at;
		return 0;
	}
	if (len != 6 || strncasecmp(line, "[Peer]", len) != 0)
		return node_draft_fail(r->d, at,
				       "unknown section %s; expected [Interface] or [Peer]",
				       node_quote(quote, line, len));
	r->section = NODE_SECTION_PEER;
	r->seen_peer = 0;
	r->peer = node_draft_add_peer(r->d, at);
	if (r->peer)
		return 0;
	return node_draft_peer_count(r->d) < NODE_CONFIG_PEERS_MAX ? -ENOMEM : -EINVAL;
}

static void trim(const char **text, size_t *len)
{
	while (*len && isspace((unsigned char)**text)) {
		(*text)++;
		(*len)--;
	}
	while (*len && isspace((unsigned char)(*text)[*len - 1]))
		(*len)--;
}

/* Only letters are shown in messages: a stray line may be (part of) a key. */
static bool is_key_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isalpha((unsigned char)name[i]))
			return false;
	}
	return len > 0 && len <= 24;
}

static int read_line(struct reader *r, uint32_t number, const char *line, size_t len)
{
	struct node_where at = {r->d->path, number, 0, NODE_LEVEL_FILE};
	const char *hash = memchr(line, '#', len);
	char name[32];

	if (hash)
		len = (size_t)(hash - line);
	trim(&line, &len);
	if (len == 0)
		return 0;
	if (line[0] == '[')
		return open_section(r, at, line, len);
	const char *eq = memchr(line, '=', len);
	size_t name_len = eq ? (size_t)(eq - line) : 0;
	struct node_value v = {.text = line + name_len + 1, .len = len - name_len - 1};
	trim(&line, &name_len);
	if (!is_key_name(line, name_len))
		return node_draft_fail(r->d, at,
				       "the line is no setting; expected \"Key = value\"");
	trim(&v.text, &v.len);
	snprintf(name, sizeof(name), "%.*s", (int)name_len, line);
	if (r->section == NODE_SECTION_COUNT)
		return node_draft_fail(r->d, at, "\"%s\" stands before [Interface] or [Peer]",
				       name);
	return read_pair(r, at, name, v);
}

static int check_bytes(struct node_draft *d, uint32_t number, const char *line, size_t len)
{
	struct node_where at = {d->path, number, 0, NODE_LEVEL_FILE};

	for (size_t i = 0, n; i < len; i += n) {
		n = tt_utf8_len((const uint8_t *)line + i, len - i);
		if (n == 0)
			return node_draft_fail(
				d, at, line[i] ? "not valid UTF-8" : "holds a NUL character");
	}
	return 0;
}

int node_wgquick_parse(struct node_draft *d, const char *text, size_t len)
{
	struct reader r = {.d = d, .section = NODE_SECTION_COUNT};
	const char *end = text + len;
	int rc = 0;

	for (uint32_t number = 1; !rc && text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ? newline : end) - text);
		rc = check_bytes(d, number, text, n);
		if (!rc)
			rc = read_line(&r, number, text, n);
		text += n + 1;
	}
	return rc;
}
