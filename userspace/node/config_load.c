/* SPDX-License-Identifier: MIT */
#include "node/config_load.h"

#include <ctype.h>
#include <errno.h>

#include "base/suggest.h"
#include "base/text.h"
#include "node/config_file.h"
#include "node/config_schema.h"
#include "toml/toml.h"
#include "node/config_wgquick.h"

/* --- TOML ------------------------------------------------------------------------------------ */

struct walk {
	struct node_draft *d;
	enum node_section section;
	void *obj;
};

static const char *kind_name(enum toml_kind kind)
{
	static const char *const names[] = {"a table", "a list",    "a string",	     "an integer",
					    "a float", "a boolean", "a date or time"};
	return names[kind];
}

static int collect_items(struct node_draft *d, const struct toml_value *array)
{
	for (size_t i = 0; i < array->v.count; i++) {
		struct toml_value v = toml_item(array, i);
		struct node_item *item = node_pool_add(&d->items, sizeof(*item));
		if (!item)
			return node_draft_no_memory(d);
		*item = (struct node_item){.line = v.line, .column = v.column};
		if (v.kind == TOML_STRING) {
			item->text = v.v.str.text;
			item->len = v.v.str.len;
		} else {
			item->what = kind_name(v.kind);
		}
	}
	return 0;
}

static int apply_toml(struct walk *w, const struct node_schema_key *k, const struct toml_value *tv)
{
	struct node_value v = {.label = k->name,
			       .at = {w->d->path, tv->line, tv->column, NODE_LEVEL_FILE}};
	int rc = 0;

	w->d->items.len = 0;
	switch (tv->kind) {
	case TOML_STRING:
		v.kind = NODE_VALUE_TEXT;
		v.text = tv->v.str.text;
		v.len = tv->v.str.len;
		break;
	case TOML_INTEGER:
		v.kind = NODE_VALUE_INTEGER;
		v.integer = tv->v.integer;
		break;
	case TOML_BOOLEAN:
		v.kind = NODE_VALUE_BOOLEAN;
		v.boolean = tv->v.boolean;
		break;
	case TOML_ARRAY:
		v.kind = NODE_VALUE_LIST;
		rc = collect_items(w->d, tv);
		break;
	default:
		v.kind = NODE_VALUE_OTHER;
		v.what = kind_name(tv->kind);
	}
	return rc ? rc : node_schema_apply(w->d, k, &v, w->obj);
}

static struct node_where key_place(const struct node_draft *d, const struct toml_key *key)
{
	return (struct node_where){d->path, key->line, key->column, NODE_LEVEL_FILE};
}

static int visit_key(void *ctx, const struct toml_key *key, const struct toml_value *v)
{
	struct walk *w = ctx;
	const struct node_schema_key *k = node_schema_find(w->section, key->text);
	char quote[NODE_QUOTE_MAX];

	if (strlen(key->text) != key->len)
		return node_draft_fail(w->d, key_place(w->d, key), "key %s holds a NUL character",
				       node_quote(quote, key->text, key->len));
	if (!k)
		return node_schema_unknown_key(w->d, key_place(w->d, key), w->section, key->text);
	return apply_toml(w, k, v);
}

static int visit_peers(struct node_draft *d, const struct toml_key *key, const struct toml_value *v)
{
	if (v->kind != TOML_ARRAY)
		return node_draft_fail(d, key_place(d, key),
				       "peer is %s; write [[peer]] with two brackets",
				       kind_name(v->kind));
	for (size_t i = 0; i < v->v.count; i++) {
		struct toml_value table = toml_item(v, i);
		struct node_where at = {d->path, table.line, table.column, NODE_LEVEL_FILE};
		if (table.kind != TOML_TABLE)
			return node_draft_fail(d, at, "peer holds %s; expected [[peer]] tables",
					       kind_name(table.kind));
		struct node_config_peer *peer = node_draft_add_peer(d, at);
		if (!peer)
			return node_draft_peer_count(d) < NODE_CONFIG_PEERS_MAX ? -ENOMEM : -EINVAL;
		struct walk w = {d, NODE_SECTION_PEER, peer};
		int rc = toml_each_key(&table, visit_key, &w);
		if (rc)
			return rc;
	}
	return 0;
}

static int key_outside(struct node_draft *d, const struct toml_key *key)
{
	char quote[NODE_QUOTE_MAX];

	node_quote(quote, key->text, key->len);
	for (size_t i = 0; node_schema_at(i); i++) {
		const struct node_schema_key *k = node_schema_at(i);
		if (strcmp(k->name, key->text) == 0)
			return node_draft_fail(
				d, key_place(d, key),
				"key %s stands outside of a section; it belongs in %s", quote,
				node_section_title(k->section));
	}
	return node_draft_fail(d, key_place(d, key), "unknown key %s outside of a section", quote);
}

static int unknown_section(struct node_draft *d, const struct toml_key *key)
{
	const char *names[NODE_SECTION_COUNT + 1] = {NULL};
	char quote[NODE_QUOTE_MAX];

	for (int s = 0; s < NODE_SECTION_COUNT; s++)
		names[s] = node_section_name((enum node_section)s);
	const char *near = tt_suggest(key->text, names);
	node_quote(quote, key->text, key->len);
	for (int s = 0; s < NODE_SECTION_COUNT; s++) {
		if (near == names[s])
			return node_draft_fail(d, key_place(d, key),
					       "unknown section %s; did you mean %s?", quote,
					       node_section_title((enum node_section)s));
	}
	return node_draft_fail(d, key_place(d, key),
			       "unknown section %s; expected [interface], [datapath], [log], "
			       "[metrics], [hub], [gateway] or [[peer]]",
			       quote);
}

static int visit_section(void *ctx, const struct toml_key *key, const struct toml_value *v)
{
	struct node_draft *d = ctx;
	int s = 0;

	while (s < NODE_SECTION_COUNT &&
	       (strcmp(node_section_name((enum node_section)s), key->text) != 0 ||
		strlen(key->text) != key->len))
		s++;
	if (s == NODE_SECTION_PEER)
		return visit_peers(d, key, v);
	if (s == NODE_SECTION_COUNT) {
		bool is_section = v->kind == TOML_TABLE || v->kind == TOML_ARRAY;
		return is_section ? unknown_section(d, key) : key_outside(d, key);
	}
	if (v->kind != TOML_TABLE) {
		bool tables = v->kind == TOML_ARRAY;
		return node_draft_fail(d, key_place(d, key), "%s is %s; write [%s] %s", key->text,
				       kind_name(v->kind), key->text,
				       tables ? "with one bracket" : "as a section");
	}
	if (s == NODE_SECTION_INTERFACE)
		d->interface = (struct node_where){d->path, v->line, v->column, NODE_LEVEL_FILE};
	if (s == NODE_SECTION_HUB) {
		d->hub.seen = true;
		d->hub.header = (struct node_where){d->path, v->line, v->column, NODE_LEVEL_FILE};
	}
	if (s == NODE_SECTION_GATEWAY) {
		d->cfg.gateway.given = 1;
		d->gateway.header =
			(struct node_where){d->path, v->line, v->column, NODE_LEVEL_FILE};
	}
	struct walk w = {d, (enum node_section)s, &d->cfg};
	return toml_each_key(v, visit_key, &w);
}

static int parse_toml(struct node_draft *d, const char *text, size_t len)
{
	struct toml_error e = {0};
	struct toml_doc *doc = NULL;
	int rc = toml_parse(text, len, &doc, &e);

	if (rc == -EINVAL)
		return node_draft_fail(
			d, (struct node_where){d->path, e.line, e.column, NODE_LEVEL_FILE}, "%s",
			e.what);
	if (!rc) {
		struct toml_value root = toml_root(doc);
		rc = toml_each_key(&root, visit_section, d);
	}
	toml_free(doc);
	return rc == -ENOMEM ? node_draft_no_memory(d) : rc;
}

/* --- environment: TALTUN_<SECTION>_<KEY> ------------------------------------------------------ */

static bool env_name_is(const char *name, size_t len, const struct node_schema_key *k)
{
	char want[64];
	size_t n = (size_t)snprintf(want, sizeof(want), "TALTUN_%s_%s",
				    node_section_name(k->section), k->name);

	for (size_t i = 0; i < n; i++)
		want[i] = (char)toupper((unsigned char)want[i]);
	return n == len && memcmp(want, name, n) == 0;
}

/* The name that tests and crypto tools use too. */
static bool is_alias(const char *name, size_t len)
{
	return len == strlen("TALTUN_AEAD") && memcmp(name, "TALTUN_AEAD", len) == 0;
}

static const struct node_schema_key *find_env(const char *name, size_t len)
{
	const struct node_schema_key *k;

	if (is_alias(name, len))
		return node_schema_find(NODE_SECTION_DATAPATH, "aead");
	for (size_t i = 0; (k = node_schema_at(i)); i++) {
		if (k->section != NODE_SECTION_PEER && env_name_is(name, len, k))
			return k;
	}
	return NULL;
}

static int unknown_env(struct node_draft *d, const char *setting, size_t len)
{
	static const char *const ours[] = {"TALTUN_INTERFACE_", "TALTUN_DATAPATH_",
					   "TALTUN_LOG_",	"TALTUN_METRICS_",
					   "TALTUN_HUB_",	"TALTUN_GATEWAY_"};
	struct node_where at = {.source = setting, .level = NODE_LEVEL_ENV};
	char key[64];

	for (size_t i = 0; i < TT_ARRAY_LEN(ours); i++) {
		size_t prefix = strlen(ours[i]), n = 0;
		if (len < prefix || memcmp(setting, ours[i], prefix) != 0)
			continue;
		while (prefix + n < len && n < sizeof(key) - 1) {
			key[n] = (char)tolower((unsigned char)setting[prefix + n]);
			n++;
		}
		key[n] = '\0';
		return node_schema_unknown_key(d, at, (enum node_section)i, key);
	}
	return 0; /* TALTUN_VECTORS and the like: not ours */
}

/* `setting` is "name=value" with the value after `eq`. */
static int apply_setting(struct node_draft *d, const struct node_schema_key *k, const char *setting,
			 const char *eq)
{
	struct node_value v = {.label = k->name,
			       .at = {.source = setting, .level = d->level},
			       .text = eq + 1,
			       .len = strlen(eq + 1)};

	for (size_t i = 0, n; i < v.len; i += n) {
		n = tt_utf8_len((const uint8_t *)v.text + i, v.len - i);
		if (n == 0)
			return node_draft_fail(d, v.at, "%s is not valid UTF-8", v.label);
	}
	return node_schema_apply_text(d, k, v, &d->cfg);
}

static int apply_env_one(struct node_draft *d, const char *setting, bool alias)
{
	const char *eq = strchr(setting, '=');
	size_t len = eq ? (size_t)(eq - setting) : 0;

	if (len < 7 || memcmp(setting, "TALTUN_", 7) != 0 || is_alias(setting, len) != alias)
		return 0;
	const struct node_schema_key *k = find_env(setting, len);
	return k ? apply_setting(d, k, setting, eq) : unknown_env(d, setting, len);
}

static int apply_env(struct node_draft *d, const char *const *env)
{
	int rc = 0;

	d->level = NODE_LEVEL_ENV;
	/* the short name first, so that the full one wins */
	for (int pass = 0; pass < 2; pass++) {
		for (const char *const *e = env; !rc && e && *e; e++)
			rc = apply_env_one(d, *e, pass == 0);
	}
	return rc;
}

/* --- flags: --set section.key=value ----------------------------------------------------------- */

static int apply_flag(struct node_draft *d, const char *flag)
{
	struct node_where at = {.source = flag, .level = NODE_LEVEL_FLAG};
	const char *eq = strchr(flag, '=');
	const char *dot = strchr(flag, '.');
	char key[64];

	if (!eq || !dot || dot > eq)
		return node_draft_fail(d, at, "expected section.key=value, as log.level=debug");
	for (int s = 0; s < NODE_SECTION_COUNT; s++) {
		const char *section = node_section_name((enum node_section)s);
		if (strlen(section) != (size_t)(dot - flag) ||
		    memcmp(section, flag, strlen(section)) != 0)
			continue;
		if (s == NODE_SECTION_PEER)
			return node_draft_fail(d, at, "peers are set in the file only");
		snprintf(key, sizeof(key), "%.*s", (int)TT_MIN(eq - dot - 1, 63), dot + 1);
		const struct node_schema_key *k = node_schema_find((enum node_section)s, key);
		return k ? apply_setting(d, k, flag, eq)
			 : node_schema_unknown_key(d, at, (enum node_section)s, key);
	}
	return node_draft_fail(
		d, at,
		"unknown section; expected interface, datapath, log, metrics, hub or gateway");
}

static int apply_flags(struct node_draft *d, const char *const *set, size_t count)
{
	int rc = 0;

	d->level = NODE_LEVEL_FLAG;
	for (size_t i = 0; !rc && i < count; i++)
		rc = apply_flag(d, set[i]);
	return rc;
}

/* --- the file and the whole ------------------------------------------------------------------- */

static bool is_wgquick(const struct node_config_source *src)
{
	size_t len = src->path ? strlen(src->path) : 0;

	if (src->syntax != NODE_CONFIG_BY_NAME)
		return src->syntax == NODE_CONFIG_WGQUICK;
	return len >= 5 && strcmp(src->path + len - 5, ".conf") == 0;
}

/* "/etc/taltun/tt0.toml" names tt0; a name that no interface can have leaves it empty. */
static void name_from_path(struct node_draft *d)
{
	const char *slash = strrchr(d->path, '/');
	const char *base = slash ? slash + 1 : d->path;
	const char *dot = strrchr(base, '.');
	size_t len = dot ? (size_t)(dot - base) : strlen(base);

	if (!node_ifname_complaint(base, len))
		memcpy(d->cfg.name, base, len);
}

static int fail_file(struct node_draft *d, int rc)
{
	struct node_where at = {.source = d->path};

	if (rc == -ENOMEM)
		return node_draft_no_memory(d);
	if (rc == -EISDIR || rc == -EINVAL)
		node_draft_fail(d, at, "not a regular file");
	else if (rc == -EFBIG)
		node_draft_fail(d, at, "bigger than %u MiB", NODE_CONFIG_FILE_MAX >> 20);
	else if (rc == -EAGAIN)
		node_draft_fail(d, at, "changed while it was read; try again");
	else
		node_draft_fail(d, at, "%s", strerror(-rc));
	return rc;
}

static int parse_text(struct node_draft *d, const char *text, size_t len)
{
	static const char bom[3] = {'\xef', '\xbb', '\xbf'};

	if (len > NODE_CONFIG_FILE_MAX)
		return fail_file(d, -EFBIG);
	if (len >= sizeof(bom) && memcmp(text, bom, sizeof(bom)) == 0) {
		text += sizeof(bom);
		len -= sizeof(bom);
	}
	d->level = NODE_LEVEL_FILE;
	return d->wgquick ? node_wgquick_parse(d, text, len) : parse_toml(d, text, len);
}

static int parse_file(struct node_draft *d)
{
	struct node_file f;
	int rc = node_file_read(d->path, NODE_CONFIG_FILE_MAX, &f);

	if (rc)
		return fail_file(d, rc);
	rc = parse_text(d, f.text, f.len);
	if (!rc && (f.mode & 07) && d->file_holds_keys)
		node_draft_warn(
			d, (struct node_where){.source = d->path},
			"holds keys and is open to everybody (mode %04o); run: chmod 600 %s",
			(unsigned)(f.mode & 07777), d->path);
	node_file_free(&f);
	return rc;
}

static int load(struct node_draft *d, const struct node_config_source *src)
{
	int rc;

	name_from_path(d);
	rc = src->text ? parse_text(d, src->text, src->text_len) : parse_file(d);
	if (!rc)
		rc = apply_env(d, src->env);
	if (!rc)
		rc = apply_flags(d, src->set, src->set_count);
	return rc ? rc : node_draft_check(d);
}

static int seal(struct node_draft *d, struct node_config **out)
{
	*out = node_draft_seal(d);
	return *out ? 0 : node_draft_no_memory(d);
}

int node_config_load_settings(const struct node_config_source *src, struct node_config_error *err,
			      struct node_config **out)
{
	struct node_draft d;
	int rc;

	node_draft_init(&d, "(settings)", err);
	rc = apply_env(&d, src->env);
	if (!rc)
		rc = apply_flags(&d, src->set, src->set_count);
	if (!rc)
		rc = seal(&d, out);
	node_draft_free(&d);
	return rc;
}

static const char *state_dir(const struct node_config_source *src)
{
	static const char variable[] = "TALTUN_STATE_DIR=";

	if (src->state_dir)
		return src->state_dir;
	for (const char *const *e = src->env; e && *e; e++)
		if (strncmp(*e, variable, sizeof(variable) - 1) == 0 && (*e)[sizeof(variable) - 1])
			return *e + sizeof(variable) - 1;
	return NODE_CONFIG_STATE_DIR;
}

int node_config_load(const struct node_config_source *src, struct node_config_error *err,
		     struct node_config **out)
{
	struct node_draft d;
	int rc;

	node_draft_init(&d, src->path ? src->path : "(text)", err);
	d.wgquick = is_wgquick(src);
	d.state_dir = state_dir(src);
	/* whoever brings a wg-quick file expects WireGuard, which never keeps peers apart */
	d.cfg.forward_between_peers = d.wgquick;
	rc = load(&d, src);
	if (!rc)
		rc = seal(&d, out);
	node_draft_free(&d);
	return rc;
}
