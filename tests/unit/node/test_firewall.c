/* SPDX-License-Identifier: MIT
 *
 * [gateway] as text for nft: the folder tests/config/firewall, a .nft beside each .toml.
 */
#include "node/firewall.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/config_load.h"
#include "tt_netns.h"
#include "tt_test.h"

#define FOLDER "tests/config/firewall"

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = f ? calloc(1, 1 << 20) : NULL;

	if (text && fread(text, 1, (1 << 20) - 1, f) == 0)
		text[0] = 0;
	if (f)
		fclose(f);
	return text;
}

static struct node_config *load(const char *path, const char *text)
{
	struct node_config_source src = {
		.path = path, .text = text, .text_len = strlen(text), .syntax = NODE_CONFIG_TOML};
	struct node_config_error err;
	struct node_config *cfg = NULL;

	if (node_config_load(&src, &err, &cfg))
		printf("  %s\n", err.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	return cfg;
}

static char *script_of(const struct node_config *cfg)
{
	struct node_firewall_facts facts = {cfg->name, 7, cfg->listen_port};
	struct node_firewall f;

	CU_ASSERT_EQUAL_FATAL(node_firewall_make(cfg, &f), 0);
	char *script = node_firewall_script(&f, &facts);
	CU_ASSERT_PTR_NOT_NULL_FATAL(script);
	node_firewall_free(&f);
	return script;
}

/* What the file says, and whether nft takes it; what it prints is what we wrote. */
static bool check_file(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	char *text = read_whole(path);
	struct node_config *cfg = load(path, text);
	char *got = script_of(cfg);
	snprintf(path, sizeof(path), FOLDER "/%.*s.nft", (int)strlen(name) - 5, name);
	char *want = read_whole(path);
	bool same = want && strcmp(want, got) == 0;

	if (!same)
		printf("  %s: got\n%s", path, got);
	node_config_free(cfg);
	free(text);
	free(want);
	free(got);
	return same;
}

static unsigned each_file(bool (*fn)(const char *name), unsigned *wrong)
{
	struct dirent **list;
	int n = scandir(FOLDER, &list, NULL, alphasort);
	unsigned files = 0;

	CU_ASSERT_FATAL(n >= 0);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(list[i]->d_name);

		if (len > 5 && strcmp(list[i]->d_name + len - 5, ".toml") == 0) {
			files++;
			*wrong += !fn(list[i]->d_name);
		}
		free(list[i]);
	}
	free(list);
	return files;
}

static void golden_files(void)
{
	unsigned wrong = 0;

	CU_ASSERT(each_file(check_file, &wrong) >= 9);
	CU_ASSERT_EQUAL(wrong, 0);
}

static bool nft_takes(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), FOLDER "/%.*s.nft", (int)strlen(name) - 5, name);
	bool ok = tt_sh("nft -f %s && nft -f %s", path, path) == 0;
	if (!ok)
		printf("  nft refuses %s\n", path);
	return ok;
}

static void nft_takes_them(void)
{
	unsigned wrong = 0;

	if (!tt_netns_enter(1))
		return;
	if (tt_sh("nft list ruleset") != 0) {
		tt_test_skip(1, "no nft here");
	} else {
		each_file(nft_takes, &wrong);
		CU_ASSERT_EQUAL(wrong, 0);
		/* the table of each is one of its own, and there is no other */
		CU_ASSERT_EQUAL(tt_sh("test \"$(nft list tables | sort)\" = \"$(printf "
				      "'table inet taltun_a/2bb/5froute\\ntable inet "
				      "taltun_tt0')\""),
				0);
	}
	tt_netns_leave();
}

/* Every rule and every chain says what it is for. */
static bool is_commented(const char *name)
{
	char path[512], line[1 << 16];
	unsigned bare = 0;
	bool chain = false;
	FILE *f;

	snprintf(path, sizeof(path), FOLDER "/%.*s.nft", (int)strlen(name) - 5, name);
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f)) {
		bool header = strstr(line, "\t\ttype ") || strstr(line, "\t\tflags ") ||
			      strstr(line, "\t\telements ");

		if (chain || (line[0] == '\t' && line[1] == '\t' && !header))
			bare += strstr(line, "comment \"") == NULL;
		chain = strstr(line, "\tchain ") || strstr(line, "\tset ");
	}
	fclose(f);
	return bare == 0;
}

static void all_is_commented(void)
{
	unsigned wrong = 0;

	each_file(is_commented, &wrong);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void removal(void)
{
	struct node_firewall_facts facts = {"tt0", 7, 51820};
	char *script = node_firewall_script(NULL, &facts);

	CU_ASSERT_STRING_EQUAL(script, "table inet taltun_tt0\ndelete table inet taltun_tt0\n");
	free(script);
}

/* More prefixes than anybody wants in a firewall: the widest are kept, and it is told. */
static void many_prefixes(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct node_firewall fw;

	fputs("[interface]\nname = \"tt0\"\naddress = [\"10.77.0.1/16\"]\n"
	      "private_key = \"S8f8RwBsdpAd/JUmxSoreWg8soSl6cG0j6/1ljFDnDA=\"\n"
	      "[gateway]\nsubnets = []\n"
	      "[[peer]]\npublic_key = \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"\n"
	      "allowed_ips = [",
	      f);
	for (unsigned i = 0; i < 8192; i++)
		fprintf(f, "%s\"10.%u.%u.%u/32\"", i ? ", " : "", 80 + (i >> 12), (i >> 4) & 255,
			(i & 15) * 2);
	fputs("]\n", f);
	fclose(f);
	struct node_config *cfg = load("t.toml", text);
	CU_ASSERT_EQUAL_FATAL(node_firewall_make(cfg, &fw), 0);
	CU_ASSERT_TRUE(fw.cut);
	CU_ASSERT_EQUAL(fw.tunnel.count, NODE_FIREWALL_TUNNEL_MAX);
	CU_ASSERT_EQUAL(fw.tunnel.c[0].bits, 16);
	node_firewall_free(&fw);
	node_config_free(cfg);
	free(text);
}

static void no_gateway(void)
{
	struct node_config *cfg =
		load("t.toml", "[interface]\nname = \"tt0\"\n"
			       "private_key = \"S8f8RwBsdpAd/JUmxSoreWg8soSl6cG0j6/1ljFDnDA=\"\n");
	struct node_firewall f;

	CU_ASSERT_EQUAL_FATAL(node_firewall_make(cfg, &f), 0);
	CU_ASSERT_FALSE(f.wanted || f.required || f.ip_forward);
	node_firewall_free(&f);
	node_config_free(cfg);
}

TT_TESTS("firewall", {"golden files", golden_files},
	 {"every chain and rule says what it is for", all_is_commented},
	 {"nft takes them", nft_takes_them}, {"removal", removal}, {"many prefixes", many_prefixes},
	 {"no gateway", no_gateway})
