/* SPDX-License-Identifier: MIT */
#include "node/config_schema.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/suggest.h"

static const char *const section_names[] = {"interface", "datapath", "log", "metrics",
					    "hub",	 "gateway",  "peer"};
static const char *const section_titles[] = {"[interface]", "[datapath]", "[log]",   "[metrics]",
					     "[hub]",	    "[gateway]",  "[[peer]]"};

const char *node_section_name(enum node_section s)
{
	return section_names[s];
}

const char *node_section_title(enum node_section s)
{
	return section_titles[s];
}

/* --- words ----------------------------------------------------------------------------------- */

static const struct node_word auto_word[] = {{"auto", 0}, {NULL, 0}};
static const struct node_word poll_words[] = {{"adaptive", NODE_POLL_ADAPTIVE},
					      {"busy", NODE_POLL_BUSY},
					      {"interrupt", NODE_POLL_INTERRUPT},
					      {NULL, 0}};
static const struct node_word mode_words[] = {{"auto", NODE_DATAPATH_AUTO},
					      {"xdp", NODE_DATAPATH_XDP},
					      {"socket", NODE_DATAPATH_SOCKET},
					      {NULL, 0}};
static const struct node_word unknown_index_words[] = {
	{"drop", NODE_UNKNOWN_INDEX_DROP}, {"pass", NODE_UNKNOWN_INDEX_PASS}, {NULL, 0}};
static const struct node_word aead_words[] = {{"auto", NODE_AEAD_AUTO},
					      {"avx512", NODE_AEAD_AVX512},
					      {"ipsec-mb", NODE_AEAD_IPSEC_MB},
					      {"libsodium", NODE_AEAD_LIBSODIUM},
					      {NULL, 0}};
static const struct node_word routes_words[] = {
	{"allowed-ips", NODE_ROUTES_ALLOWED_IPS}, {"none", NODE_ROUTES_NONE}, {NULL, 0}};
static const struct node_word level_words[] = {{"error", TT_LOG_ERROR},
					       {"warn", TT_LOG_WARN},
					       {"info", TT_LOG_INFO},
					       {"debug", TT_LOG_DEBUG},
					       {NULL, 0}};
static const struct node_word format_words[] = {
	{"logfmt", TT_LOG_LOGFMT}, {"json", TT_LOG_JSON}, {NULL, 0}};

static const char *word_of(const struct node_word *words, uint32_t number)
{
	for (; words->word; words++) {
		if (words->number == number)
			return words->word;
	}
	return "?";
}

const char *node_poll_name(enum node_poll poll)
{
	return word_of(poll_words, poll);
}

const char *node_datapath_mode_name(enum node_datapath_mode mode)
{
	return word_of(mode_words, mode);
}

const char *node_unknown_index_name(enum node_unknown_index policy)
{
	return word_of(unknown_index_words, policy);
}

const char *node_aead_name(enum node_aead aead)
{
	return word_of(aead_words, aead);
}

const char *node_firewall_mode_name(enum node_firewall_mode mode)
{
	static const char *const names[] = {"auto", "true", "false"};

	return mode <= NODE_FIREWALL_OFF ? names[mode] : "?";
}

const char *node_routes_name(enum node_routes mode)
{
	return mode == NODE_ROUTES_LIST ? "list" : word_of(routes_words, mode);
}

static const struct node_word *find_word(const struct node_word *words, const char *text,
					 size_t len)
{
	for (; words && words->word; words++) {
		if (strlen(words->word) == len && memcmp(words->word, text, len) == 0)
			return words;
	}
	return NULL;
}

/* --- messages -------------------------------------------------------------------------------- */

const char *node_quote(char buf[NODE_QUOTE_MAX], const char *text, size_t len)
{
	size_t n = 0;

	buf[n++] = '"';
	for (size_t i = 0; i < len && i < 40; i++)
		buf[n++] = (unsigned char)text[i] < 32 || text[i] == 127 ? '?' : text[i];
	memcpy(buf + n, len > 40 ? "...\"" : "\"", len > 40 ? 5 : 2);
	return buf;
}

static void add(char *buf, size_t size, const char *text)
{
	size_t n = strlen(buf);
	snprintf(buf + n, size - n, "%s", text);
}

/* `an integer from 1 to 64 or "auto"`, `"info" or "debug"`. */
static const char *expected_text(const struct node_schema_key *k, char *buf, size_t size)
{
	bool number = k->kinds & NODE_VALUE_INTEGER;

	if (k->expected)
		return k->expected;
	buf[0] = '\0';
	if (number)
		snprintf(buf, size, "an integer from %lld to %lld", (long long)k->min,
			 (long long)k->max);
	for (const struct node_word *w = k->words; w && w->word; w++) {
		if (w != k->words || number)
			add(buf, size, w[1].word ? ", " : " or ");
		add(buf, size, "\"");
		add(buf, size, w->word);
		add(buf, size, "\"");
	}
	return buf;
}

static int fail_type(struct node_draft *d, const struct node_schema_key *k,
		     const struct node_value *v)
{
	static const struct {
		unsigned kind;
		const char *what;
	} kinds[] = {{NODE_VALUE_TEXT, "a string"},
		     {NODE_VALUE_INTEGER, "an integer"},
		     {NODE_VALUE_BOOLEAN, "a boolean"},
		     {NODE_VALUE_LIST, "a list"}};
	char buf[160];
	const char *what = v->what;

	for (size_t i = 0; i < TT_ARRAY_LEN(kinds); i++) {
		if (v->kind == kinds[i].kind)
			what = kinds[i].what;
	}
	return node_draft_fail(d, v->at, "%s is %s; expected %s", v->label, what,
			       expected_text(k, buf, sizeof(buf)));
}

/* --- the plain parsers ----------------------------------------------------------------------- */

static void store(const struct node_schema_key *k, void *obj, uint32_t number)
{
	memcpy((char *)obj + k->offset, &number, k->width); /* little-endian: see base/types.h */
}

static int parse_word(struct node_draft *d, const struct node_schema_key *k,
		      const struct node_value *v, void *obj)
{
	const struct node_word *w = find_word(k->words, v->text, v->len);
	char quote[NODE_QUOTE_MAX], buf[160];

	if (!w)
		return node_draft_fail(d, v->at, "%s is %s; expected %s", v->label,
				       node_quote(quote, v->text, v->len),
				       expected_text(k, buf, sizeof(buf)));
	store(k, obj, w->number);
	return 0;
}

static int parse_number(struct node_draft *d, const struct node_schema_key *k,
			const struct node_value *v, void *obj)
{
	char buf[160];

	if (v->kind == NODE_VALUE_TEXT)
		return parse_word(d, k, v, obj);
	if (v->integer < k->min || v->integer > k->max)
		return node_draft_fail(d, v->at, "%s is %lld; expected %s", v->label,
				       (long long)v->integer, expected_text(k, buf, sizeof(buf)));
	store(k, obj, (uint32_t)v->integer);
	return 0;
}

static int parse_mtu(struct node_draft *d, const struct node_schema_key *k,
		     const struct node_value *v, void *obj)
{
	d->mtu = v->at;
	return parse_number(d, k, v, obj);
}

static int parse_boolean(struct node_draft *d, const struct node_schema_key *k,
			 const struct node_value *v, void *obj)
{
	(void)d;
	store(k, obj, v->boolean);
	return 0;
}

/* --- the table ------------------------------------------------------------------------------- */

#define TEXT   NODE_VALUE_TEXT
#define NUMBER NODE_VALUE_INTEGER
#define BOOL   NODE_VALUE_BOOLEAN
#define LIST   NODE_VALUE_LIST

#define FIELD(type, field) \
	.offset = offsetof(struct type, field), .width = sizeof(((struct type *)0)->field)
#define IFACE(n) .section = NODE_SECTION_INTERFACE, .name = n
#define DPATH(n) .section = NODE_SECTION_DATAPATH, .name = n
#define LOG(n)	 .section = NODE_SECTION_LOG, .name = n
#define METR(n)	 .section = NODE_SECTION_METRICS, .name = n
#define HUB(n)	 .section = NODE_SECTION_HUB, .name = n
#define GATE(n)	 .section = NODE_SECTION_GATEWAY, .name = n
#define PEER(n)	 .section = NODE_SECTION_PEER, .name = n

#define KEY_EXPECTED   "44 characters of base64"
#define PATH_EXPECTED  "the path of a file that holds a key"
#define CIDRS_EXPECTED "a list of prefixes as [\"10.77.0.1/24\"]"
#define NETS_EXPECTED  "a list of prefixes as [\"10.90.0.0/16\"]"
#define HOOK_EXPECTED  "a list of shell commands"

static const struct node_schema_key keys[] = {
	{IFACE("name"), TEXT, node_parse_ifname, .expected = "an interface name as \"tt0\""},
	{IFACE("private_key"), TEXT, node_parse_private_key, .expected = KEY_EXPECTED},
	{IFACE("private_key_file"), TEXT, node_parse_private_key_file, .expected = PATH_EXPECTED},
	{IFACE("address"), LIST, node_parse_address, .expected = CIDRS_EXPECTED},
	{IFACE("listen_port"), NUMBER, parse_number, FIELD(node_config, listen_port), 1, 65535},
	{IFACE("mtu"), NUMBER | TEXT, parse_mtu, FIELD(node_config, mtu), 576, 65535, auto_word},
	{IFACE("routes"), LIST | TEXT, node_parse_routes, .words = routes_words,
	 .expected = "\"allowed-ips\", \"none\" or a list of prefixes"},
	{IFACE("fwmark"), NUMBER, parse_number, FIELD(node_config, fwmark), 0, UINT32_MAX},
	{IFACE("table"), NUMBER | TEXT, parse_number, FIELD(node_config, table), 1, UINT32_MAX,
	 auto_word},
	{IFACE("dns"), LIST, node_parse_dns, .expected = "a list of addresses as [\"10.77.0.1\"]"},
	{IFACE("dns_search"), LIST, node_parse_dns_search,
	 .expected = "a list of domains as [\"example.com\"]"},
	{IFACE("pre_up"), LIST, node_parse_hook, .min = NODE_HOOK_PRE_UP,
	 .expected = HOOK_EXPECTED},
	{IFACE("post_up"), LIST, node_parse_hook, .min = NODE_HOOK_POST_UP,
	 .expected = HOOK_EXPECTED},
	{IFACE("pre_down"), LIST, node_parse_hook, .min = NODE_HOOK_PRE_DOWN,
	 .expected = HOOK_EXPECTED},
	{IFACE("post_down"), LIST, node_parse_hook, .min = NODE_HOOK_POST_DOWN,
	 .expected = HOOK_EXPECTED},

	{DPATH("mode"), TEXT, parse_word, FIELD(node_config, mode), .words = mode_words},
	{DPATH("interfaces"), LIST, node_parse_interfaces,
	 .expected = "a list of interface names as [\"eth0\"]"},
	{DPATH("queues"), NUMBER | TEXT, parse_number, FIELD(node_config, queues), 1, 64,
	 auto_word},
	{DPATH("umem_mb"), NUMBER, parse_number, FIELD(node_config, umem_mb), 16, 16384},
	{DPATH("unknown_index"), TEXT, parse_word, FIELD(node_config, unknown_index),
	 .words = unknown_index_words},
	{DPATH("workers"), NUMBER | TEXT, parse_number, FIELD(node_config, workers), 1, 64,
	 auto_word},
	{DPATH("poll"), TEXT, parse_word, FIELD(node_config, poll), .words = poll_words},
	{DPATH("aead"), TEXT, parse_word, FIELD(node_config, aead), .words = aead_words},
	{DPATH("forward_between_peers"), BOOL, parse_boolean,
	 FIELD(node_config, forward_between_peers), .expected = "true or false"},

	{LOG("level"), TEXT, parse_word, FIELD(node_config, log_level), .words = level_words},
	{LOG("format"), TEXT, parse_word, FIELD(node_config, log_format), .words = format_words},

	{METR("listen"), TEXT, node_parse_metrics_listen,
	 .expected = "\"address:port\" as \"127.0.0.1:9586\", \"unix:/path\" or \"off\""},
	{METR("per_peer"), BOOL, parse_boolean, FIELD(node_config, metrics.per_peer),
	 .expected = "true or false"},

	{HUB("server"), TEXT, node_parse_hub_server, .expected = "\"host\" or \"host:port\""},
	{HUB("name"), TEXT, node_parse_hub_name, .expected = "a host name"},
	{HUB("certificate_file"), TEXT, node_parse_hub_file, .min = NODE_HUB_CERTIFICATE,
	 .expected = "the path of a PEM file"},
	{HUB("key_file"), TEXT, node_parse_hub_file, .min = NODE_HUB_KEY,
	 .expected = "the path of a PEM file"},
	{HUB("ca_file"), TEXT, node_parse_hub_file, .min = NODE_HUB_CA,
	 .expected = "the path of a PEM file"},
	{HUB("accept"), LIST, node_parse_hub_accept, .expected = NETS_EXPECTED},
	{HUB("networks"), LIST, node_parse_hub_networks, .expected = NETS_EXPECTED},

	{GATE("firewall"), BOOL | TEXT, node_parse_gateway_firewall, .words = auto_word,
	 .expected = "true, false or \"auto\""},
	{GATE("ip_forward"), BOOL, node_parse_gateway_ip_forward, .expected = "true or false"},
	{GATE("masquerade"), LIST, node_parse_gateway_masquerade,
	 .expected = "a list of interface names as [\"eth0\"]"},
	{GATE("subnets"), LIST, node_parse_gateway_subnets, .expected = NETS_EXPECTED},

	{PEER("name"), TEXT, node_parse_peer_name, .expected = "a name as \"office\""},
	{PEER("public_key"), TEXT, node_parse_public_key, .expected = KEY_EXPECTED},
	{PEER("preshared_key"), TEXT, node_parse_psk, .expected = KEY_EXPECTED},
	{PEER("preshared_key_file"), TEXT, node_parse_psk_file, .expected = PATH_EXPECTED},
	{PEER("endpoint"), TEXT, node_parse_endpoint, .expected = "\"host:port\""},
	{PEER("allowed_ips"), LIST, node_parse_allowed_ips, .expected = CIDRS_EXPECTED},
	{PEER("roaming"), BOOL, parse_boolean, FIELD(node_config_peer, roaming),
	 .expected = "true or false"},
	{PEER("keepalive"), NUMBER, parse_number, FIELD(node_config_peer, keepalive), 0, 65535},
};

const struct node_schema_key node_schema_save_config = {IFACE("save_config"), BOOL, parse_boolean,
							FIELD(node_config, save_config),
							.expected = "true or false"};

const struct node_schema_key *node_schema_at(size_t i)
{
	return i < TT_ARRAY_LEN(keys) ? &keys[i] : NULL;
}

const struct node_schema_key *node_schema_find(enum node_section s, const char *name)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		if (keys[i].section == s && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

const char *node_hook_name(enum node_hook hook)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		if (keys[i].parse == node_parse_hook && keys[i].min == (int64_t)hook)
			return keys[i].name;
	}
	return "?";
}

/* --- applying -------------------------------------------------------------------------------- */

int node_schema_apply(struct node_draft *d, const struct node_schema_key *k,
		      const struct node_value *v, void *obj)
{
	if (!(v->kind & k->kinds))
		return fail_type(d, k, v);
	if (v->kind == NODE_VALUE_TEXT && memchr(v->text, '\0', v->len))
		return node_draft_fail(d, v->at, "%s holds a NUL character", v->label);
	return k->parse(d, k, v, obj);
}

static bool read_integer(const char *text, size_t len, int64_t *out)
{
	char buf[32], *end;
	bool hex = len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	if (!len || len >= sizeof(buf) || !(isdigit((unsigned char)text[0]) || text[0] == '-'))
		return false;
	memcpy(buf, text, len);
	buf[len] = '\0';
	errno = 0;
	*out = strtoll(buf, &end, hex ? 16 : 10);
	return *end == '\0' && end != buf && errno == 0;
}

static int split_items(struct node_draft *d, const struct node_value *v)
{
	const char *p = v->text, *end = v->text + v->len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;
		struct node_item *item = node_pool_add(&d->items, sizeof(*item));
		if (!item)
			return node_draft_no_memory(d);
		while (p < stop && isspace((unsigned char)*p))
			p++;
		const char *last = stop;
		while (last > p && isspace((unsigned char)last[-1]))
			last--;
		*item = (struct node_item){p, (size_t)(last - p), NULL, v->at.line, v->at.column};
		p = stop + 1;
	}
	return 0;
}

/* A shell command is one item: commas are its own. */
static int whole_item(struct node_draft *d, const struct node_value *v)
{
	struct node_item *item = node_pool_add(&d->items, sizeof(*item));

	if (!item)
		return node_draft_no_memory(d);
	*item = (struct node_item){v->text, v->len, NULL, v->at.line, v->at.column};
	return 0;
}

int node_schema_apply_text(struct node_draft *d, const struct node_schema_key *k,
			   struct node_value v, void *obj)
{
	int rc = 0;

	d->items.len = 0;
	v.kind = NODE_VALUE_TEXT;
	if (find_word(k->words, v.text, v.len)) {
		/* a word, whatever else the key takes */
	} else if (k->kinds & LIST) {
		v.kind = NODE_VALUE_LIST;
		rc = k->parse == node_parse_hook ? whole_item(d, &v) : split_items(d, &v);
	} else if ((k->kinds & NUMBER) && read_integer(v.text, v.len, &v.integer)) {
		v.kind = NODE_VALUE_INTEGER;
	} else if ((k->kinds & BOOL) && v.len == 4 && memcmp(v.text, "true", 4) == 0) {
		v.kind = NODE_VALUE_BOOLEAN;
		v.boolean = true;
	} else if ((k->kinds & BOOL) && v.len == 5 && memcmp(v.text, "false", 5) == 0) {
		v.kind = NODE_VALUE_BOOLEAN;
	} else if (!(k->kinds & TEXT)) {
		char quote[NODE_QUOTE_MAX], buf[160];
		return node_draft_fail(d, v.at, "%s is %s; expected %s", v.label,
				       node_quote(quote, v.text, v.len),
				       expected_text(k, buf, sizeof(buf)));
	}
	return rc ? rc : node_schema_apply(d, k, &v, obj);
}

/* --- did you mean ---------------------------------------------------------------------------- */

int node_schema_unknown_key(struct node_draft *d, struct node_where at, enum node_section s,
			    const char *name)
{
	const char *names[TT_ARRAY_LEN(keys) + 1];
	const char *title = node_section_title(s);
	char quote[NODE_QUOTE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		if (keys[i].section == s)
			names[n++] = keys[i].name;
	}
	names[n] = NULL;
	node_quote(quote, name, strlen(name));
	const char *near = tt_suggest(name, names);
	if (near)
		return node_draft_fail(d, at, "unknown key %s in %s; did you mean \"%s\"?", quote,
				       title, near);
	for (size_t i = 0; i < TT_ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) == 0)
			return node_draft_fail(d, at, "unknown key %s in %s; it belongs in %s",
					       quote, title, node_section_title(keys[i].section));
	}
	return node_draft_fail(d, at, "unknown key %s in %s", quote, title);
}
