/* SPDX-License-Identifier: MIT */
#include "hub/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/suggest.h"
#include "hub/file.h"
#include "hub/signer.h"
#include "toml/toml.h"

static bool join(char out[HUB_PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, HUB_PATH_MAX, "%s/%s", dir, name) < HUB_PATH_MAX;
}

bool hub_paths_make(const char *dir, struct hub_paths *out)
{
	const char *config = dir ? dir : "/etc/taltun";
	const char *state = dir ? dir : "/var/lib/taltun-hub";

	return snprintf(out->config_dir, HUB_PATH_MAX, "%s", config) < HUB_PATH_MAX &&
	       snprintf(out->state_dir, HUB_PATH_MAX, "%s", state) < HUB_PATH_MAX &&
	       join(out->config, config, "hub.toml") && join(out->db, state, "hub.db") &&
	       join(out->ca_cert, state, "ca.crt") && join(out->ca_key, state, "ca.key") &&
	       join(out->cert, state, "server.crt") && join(out->key, state, "server.key") &&
	       join(out->control, state, "control.sock");
}

void hub_config_defaults(struct hub_config *c)
{
	memset(c, 0, sizeof(*c));
	c->limits = hub_conn_limits_default;
	c->node_cert_days = HUB_NODE_CERT_DAYS;
	c->stun_udp_port = 3478;
	c->relay_udp_port = 3479;
	c->relay_tcp_bytes_per_s = 16 * 1024 * 1024;
	c->relay_udp_pairs = HUB_RELAY_PAIRS_PER_NODE;
	c->log_level = TT_LOG_INFO;
	c->log_format = TT_LOG_LOGFMT;
	memcpy(c->user, "taltun-hub", 11);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct reading {
	struct hub_config *c;
	const char *path;
	const char *section;
	char *error;
};

static int fail(struct reading *r, uint32_t line, uint32_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct reading *r, uint32_t line, uint32_t column, const char *format, ...)
{
	int n = snprintf(r->error, HUB_CONFIG_ERROR_MAX, "%.200s:%u:%u: ", r->path, line, column);
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->error + n, HUB_CONFIG_ERROR_MAX - (size_t)n, format, ap);
	va_end(ap);
	return -EINVAL;
}

static const char *text_of(const struct toml_value *v)
{
	return v->kind == TOML_STRING && strlen(v->v.str.text) == v->v.str.len ? v->v.str.text
									       : NULL;
}

static int one_endpoint(struct reading *r, const struct toml_value *v, struct tt_endpoint *out)
{
	const char *text = text_of(v);

	if (!text || tt_endpoint_parse(text, out) != 0)
		return fail(r, v->line, v->column,
			    "expected \"ADDRESS:PORT\", IPv6 in brackets: \"0.0.0.0:443\", "
			    "\"[::]:443\"");
	return 0;
}

static int endpoints(struct reading *r, const struct toml_value *v, struct tt_endpoint *list,
		     unsigned max, unsigned *count)
{
	*count = 0;
	if (v->kind != TOML_ARRAY)
		return fail(r, v->line, v->column, "expected a list of \"ADDRESS:PORT\"");
	for (size_t i = 0; i < v->v.count; i++) {
		struct toml_value item = toml_item(v, i);
		if (*count == max)
			return fail(r, item.line, item.column, "more than %u addresses", max);
		int err = one_endpoint(r, &item, &list[*count]);
		if (err)
			return err;
		(*count)++;
	}
	return 0;
}

/* The numbers of the file: where they go, and what they may be. */
struct number_key {
	const char *section, *name;
	size_t at;
	uint8_t size; /* of the field, in bytes */
	int64_t min, max;
	int64_t unit; /* what one of them is in the field */
};
#define FIELD(f)     offsetof(struct hub_config, f), sizeof(((struct hub_config *)0)->f)
#define LIMIT(f)     FIELD(limits.f)
#define BYTES_PER_MB (1000 * 1000 / 8)

static const struct number_key numbers[] = {
	{"hub", "certificate_days", FIELD(node_cert_days), 1, HUB_SIGNER_DAYS_MAX, 1},
	{"stun", "udp_port", FIELD(stun_udp_port), 0, 65535, 1},
	{"relay", "udp_port", FIELD(relay_udp_port), 0, 65535, 1},
	{"relay", "udp_mbit_per_node", FIELD(relay_udp_bytes_per_s), 0, 1000000, BYTES_PER_MB},
	{"relay", "udp_pairs_per_node", FIELD(relay_udp_pairs), 0, HUB_RELAY_ALLOCATIONS_MAX, 1},
	{"relay", "tcp_mbit_per_node", FIELD(relay_tcp_bytes_per_s), 0, 1000000, BYTES_PER_MB},
	{"limits", "connections", LIMIT(connections), 1, 100000, 1},
	{"limits", "strangers_per_source", LIMIT(per_source), 1, 100000, 1},
	{"limits", "accepts_per_second", LIMIT(accepts_per_s), 0, 1000000, 1},
	{"limits", "handshake_ms", LIMIT(handshake_ms), 100, 600000, 1},
	{"limits", "stage_ms", LIMIT(stage_ms), 100, 600000, 1},
	{"limits", "silent_ms", LIMIT(silent_ms), 1000, 3600000, 1},
	{"limits", "control_kib", LIMIT(control_bytes), 512, 65536, 1024},
	{"limits", "relay_packets", LIMIT(data_packets), 1, 65536, 1},
	{"limits", "relay_mib", LIMIT(packet_bytes), 1, 4095, 1024 * 1024},
};

static const char *const sections[] = {"hub", "stun", "relay", "limits", "metrics", "log", NULL};

static int set_number(struct reading *r, const struct number_key *k, const struct toml_value *v)
{
	uint8_t *field = (uint8_t *)r->c + k->at;

	if (v->kind != TOML_INTEGER || v->v.integer < k->min || v->v.integer > k->max)
		return fail(r, v->line, v->column, "%s must be a number from %lld to %lld", k->name,
			    (long long)k->min, (long long)k->max);
	uint64_t n = (uint64_t)(v->v.integer * k->unit);
	/* little-endian: the low bytes are the number */
	memcpy(field, &n, k->size);
	return 0;
}

static int set_user(struct reading *r, const struct toml_value *v)
{
	const char *text = text_of(v);

	if (!text || !*text || strlen(text) >= sizeof(r->c->user))
		return fail(r, v->line, v->column, "user must be the name of a user");
	memcpy(r->c->user, text, strlen(text) + 1);
	return 0;
}

static int set_choice(struct reading *r, const struct toml_value *v, const char *name, int *out,
		      const char *const *choices, size_t n)
{
	const char *text = text_of(v);
	char list[64] = "";

	for (size_t i = 0; i < n; i++) {
		if (text && strcmp(text, choices[i]) == 0) {
			*out = (int)i;
			return 0;
		}
		size_t used = strlen(list);
		snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i ? ", " : "", choices[i]);
	}
	return fail(r, v->line, v->column, "%s must be one of %s", name, list);
}

/* "off", "unix:/run/x.sock", "127.0.0.1:9587" */
static int set_metrics(struct reading *r, const struct toml_value *v)
{
	static const char prefix[] = "unix:/";
	const char *text = text_of(v), *path;

	memset(&r->c->metrics_at, 0, sizeof(r->c->metrics_at));
	r->c->metrics_path[0] = 0;
	if (text && strcmp(text, "off") == 0)
		return 0;
	if (text && strncmp(text, prefix, strlen(prefix)) == 0) {
		path = text + strlen(prefix) - 1;
		if (strlen(path) >= sizeof(r->c->metrics_path))
			return fail(r, v->line, v->column, "the path is longer than %zu bytes",
				    sizeof(r->c->metrics_path) - 1);
		memcpy(r->c->metrics_path, path, strlen(path) + 1);
		return 0;
	}
	if (!text || tt_endpoint_parse(text, &r->c->metrics_at) != 0 || !r->c->metrics_at.udp_port)
		return fail(r, v->line, v->column,
			    "listen must be \"ADDRESS:PORT\", \"unix:/PATH\" or \"off\"");
	return 0;
}

static int set_listen(struct reading *r, const struct toml_value *v)
{
	return endpoints(r, v, r->c->listen, HUB_LISTEN_MAX, &r->c->listen_count);
}

static int set_public(struct reading *r, const struct toml_value *v)
{
	return endpoints(r, v, r->c->relay_at, MESH_HUB_ENDPOINTS_MAX, &r->c->relay_at_count);
}

static int set_level(struct reading *r, const struct toml_value *v)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};

	return set_choice(r, v, "level", &r->c->log_level, levels, TT_ARRAY_LEN(levels));
}

static int set_format(struct reading *r, const struct toml_value *v)
{
	static const char *const formats[] = {"logfmt", "json"};

	return set_choice(r, v, "format", &r->c->log_format, formats, TT_ARRAY_LEN(formats));
}

static const struct other_key {
	const char *section, *name;
	int (*set)(struct reading *r, const struct toml_value *v);
} others[] = {
	{"hub", "listen", set_listen},	 {"hub", "user", set_user},
	{"relay", "public", set_public}, {"metrics", "listen", set_metrics},
	{"log", "level", set_level},	 {"log", "format", set_format},
};

/* --- what is not known ------------------------------------------------------------------------ */

#define KEYS (TT_ARRAY_LEN(numbers) + TT_ARRAY_LEN(others))

static const char *key_section(size_t i)
{
	return i < TT_ARRAY_LEN(numbers) ? numbers[i].section
					 : others[i - TT_ARRAY_LEN(numbers)].section;
}

static const char *key_name(size_t i)
{
	return i < TT_ARRAY_LEN(numbers) ? numbers[i].name : others[i - TT_ARRAY_LEN(numbers)].name;
}

/* "; it belongs in [stun] or [relay]", or "" for what belongs nowhere. */
static const char *where_it_belongs(const char *name, char *buf, size_t cap)
{
	size_t n = 0;

	buf[0] = 0;
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(key_name(i), name) == 0 && n < cap)
			n += (size_t)snprintf(buf + n, cap - n, "%s [%s]",
					      n ? " or" : "; it belongs in", key_section(i));
	return buf;
}

static int unknown_key(struct reading *r, const struct toml_key *key)
{
	const char *names[KEYS + 1];
	char place[80];
	size_t n = 0;

	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(key_section(i), r->section) == 0)
			names[n++] = key_name(i);
	names[n] = NULL;
	const char *near = tt_suggest(key->text, names);
	if (near)
		return fail(r, key->line, key->column,
			    "unknown key \"%.40s\" in [%s]; did you mean \"%s\"?", key->text,
			    r->section, near);
	return fail(r, key->line, key->column, "unknown key \"%.40s\" in [%s]%s", key->text,
		    r->section, where_it_belongs(key->text, place, sizeof(place)));
}

static int unknown_section(struct reading *r, const struct toml_key *key)
{
	const char *near = tt_suggest(key->text, sections);

	if (near)
		return fail(r, key->line, key->column,
			    "unknown section [%.40s]; did you mean [%s]?", key->text, near);
	return fail(r, key->line, key->column,
		    "unknown section [%.40s]; expected [hub], [stun], [relay], [limits], "
		    "[metrics] or [log]",
		    key->text);
}

/* --- the file --------------------------------------------------------------------------------- */

static int on_key(void *ctx, const struct toml_key *key, const struct toml_value *v)
{
	struct reading *r = ctx;

	for (size_t i = 0; i < TT_ARRAY_LEN(numbers); i++)
		if (strcmp(numbers[i].section, r->section) == 0 &&
		    strcmp(numbers[i].name, key->text) == 0)
			return set_number(r, &numbers[i], v);
	for (size_t i = 0; i < TT_ARRAY_LEN(others); i++)
		if (strcmp(others[i].section, r->section) == 0 &&
		    strcmp(others[i].name, key->text) == 0)
			return others[i].set(r, v);
	return unknown_key(r, key);
}

static int on_section(void *ctx, const struct toml_key *key, const struct toml_value *v)
{
	struct reading *r = ctx;
	char place[80];

	for (size_t i = 0; sections[i]; i++) {
		if (strcmp(sections[i], key->text) != 0)
			continue;
		if (v->kind != TOML_TABLE)
			return fail(r, key->line, key->column, "write [%s] as a section",
				    sections[i]);
		r->section = sections[i];
		return toml_each_key(v, on_key, r);
	}
	if (v->kind == TOML_TABLE)
		return unknown_section(r, key);
	return fail(r, key->line, key->column, "key \"%.40s\" stands outside of a section%s",
		    key->text, where_it_belongs(key->text, place, sizeof(place)));
}

static int parse(struct reading *r, const char *text, size_t len)
{
	struct toml_error e = {0};
	struct toml_doc *doc = NULL;
	int err = toml_parse(text, len, &doc, &e);

	if (err == -EINVAL)
		return fail(r, e.line, e.column, "%s", e.what);
	if (!err) {
		struct toml_value root = toml_root(doc);
		err = toml_each_key(&root, on_section, r);
	}
	toml_free(doc);
	return err;
}

int hub_config_load(const char *path, struct hub_config *out, char error[HUB_CONFIG_ERROR_MAX])
{
	struct reading r = {.c = out, .path = path, .error = error};
	char *text;
	size_t len;

	error[0] = 0;
	hub_config_defaults(out);
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return 0;
	int err = hub_file_read(path, HUB_CONFIG_BYTES_MAX, &text, &len);
	if (err) {
		snprintf(error, HUB_CONFIG_ERROR_MAX, "%.200s: %s", path, strerror(-err));
		return err;
	}
	err = parse(&r, text, len);
	free(text);
	if (err && !error[0])
		snprintf(error, HUB_CONFIG_ERROR_MAX, "%.200s: %s", path, strerror(-err));
	return err;
}
