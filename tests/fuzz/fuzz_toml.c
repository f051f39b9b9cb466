/* SPDX-License-Identifier: MIT
 *
 * Configuration text. The first byte chooses: 'w' a wg-quick file, 's' lines of "--set" and
 * environment settings, anything else TOML. What loads must be a valid blob, and its TOML and
 * wg-quick forms must load again. What it makes of a firewall has no text of the file outside of
 * quotation marks.
 */
#include <stdlib.h>
#include <string.h>
#include "node/config_load.h"
#include "node/config_wgquick.h"
#include "node/firewall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char base[] = "[interface]\nname = \"tt0\"\n"
			   "private_key = \"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\"\n";

static void load_again(const struct node_config *cfg, const char *path,
		       int (*write)(const struct node_config *, FILE *))
{
	struct node_config_error err;
	struct node_config *again = NULL;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f || write(cfg, f))
		abort();
	fclose(f);
	struct node_config_source src = {.path = path, .text = text, .text_len = len};
	if (node_config_load(&src, &err, &again)) {
		fprintf(stderr, "%s\n%s", err.text, text);
		abort();
	}
	free(text);
	node_config_free(again);
}

static bool has_hash(const struct node_config *cfg)
{
	for (int h = 0; h < NODE_HOOK_COUNT; h++) {
		for (uint32_t i = 0; i < cfg->hooks[h].count; i++) {
			const char *s = node_config_line(cfg, cfg->hooks[h], i);
			size_t n = strlen(s);
			/* wg-quick can write neither of these */
			if (strchr(s, '#') || strspn(s, " \t") || s[n - 1] == ' ' ||
			    s[n - 1] == '\t')
				return true;
		}
	}
	return false;
}

static void make_firewall(const struct node_config *cfg)
{
	struct node_firewall_facts facts = {cfg->name, 7, cfg->listen_port};
	struct node_firewall f;
	char *script;
	unsigned quotes = 0;

	if (node_firewall_make(cfg, &f))
		abort();
	script = node_firewall_script(&f, &facts);
	if (!script)
		abort();
	for (const char *p = script; *p; p++) {
		quotes += *p == '"';
		if (*p == '\n' && quotes % 2)
			abort();
	}
	free(script);
	node_firewall_free(&f);
}

static void check(struct node_config *cfg)
{
	static FILE *null;

	if (!null)
		null = fopen("/dev/null", "w");
	if (!node_config_valid(cfg, cfg->size))
		abort();
	node_config_dump(cfg, null);
	make_firewall(cfg);
	load_again(cfg, "again.toml", node_config_to_toml);
	if (!has_hash(cfg))
		load_again(cfg, "again.conf", node_config_to_wgquick);
	node_config_free(cfg);
}

/* Each line is a setting; "TALTUN_..." lines are environment, the others flags. */
static void run_settings(const uint8_t *data, size_t size)
{
	struct node_config_source src = {
		.path = "tt0.toml", .text = base, .text_len = sizeof(base) - 1};
	const char *env[17] = {NULL}, *set[16];
	struct node_config_error err;
	struct node_config *cfg = NULL;
	char *copy = calloc(1, size + 1), *save = NULL;
	size_t envs = 0;

	memcpy(copy, data, size);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "TALTUN_", 7) == 0 && envs < 16)
			env[envs++] = line;
		else if (src.set_count < 16)
			set[src.set_count++] = line;
	}
	src.env = env;
	src.set = set;
	/* no files: the fuzzer must not read what it names */
	if (!memmem(data, size, "_file", 5) && !memmem(data, size, "_FILE", 5) &&
	    !node_config_load(&src, &err, &cfg))
		check(cfg);
	free(copy);
}

static void run_text(const uint8_t *data, size_t size, enum node_config_syntax syntax)
{
	struct node_config_source src = {
		.path = "tt0.toml", .text = (const char *)data, .text_len = size, .syntax = syntax};
	struct node_config_error err;
	struct node_config *cfg = NULL;

	if (memmem(data, size, "_file", 5))
		return;
	if (!node_config_load(&src, &err, &cfg))
		check(cfg);
	else if (!err.text[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 'w')
		run_text(data + 1, size - 1, NODE_CONFIG_WGQUICK);
	else if (size && data[0] == 's')
		run_settings(data + 1, size - 1);
	else
		run_text(data, size, NODE_CONFIG_TOML);
	return 0;
}
