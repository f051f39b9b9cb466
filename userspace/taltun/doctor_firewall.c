/* SPDX-License-Identifier: MIT
 *
 * Packets that go past the kernel go past its firewall. nft(8) says what there is.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/types.h"
#include "taltun/doctor.h"

#define CHAINS_MAX 64

struct chain {
	const char *family, *table, *name, *hook;
	unsigned rules;
};

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Hooks that incoming packets meet before a socket. */
static bool is_incoming(const char *hook)
{
	return strcmp(hook, "input") == 0 || strcmp(hook, "prerouting") == 0 ||
	       strcmp(hook, "ingress") == 0;
}

static unsigned collect_chains(const json_t *all, struct chain *chains)
{
	unsigned n = 0;
	size_t i;
	json_t *entry;

	json_array_foreach(all, i, entry)
	{
		const json_t *c = json_object_get(entry, "chain");
		/* our own tables are about inner packets */
		if (!c || !is_incoming(str(c, "hook")) || n == CHAINS_MAX ||
		    strncmp(str(c, "table"), "taltun_", 7) == 0)
			continue;
		chains[n++] = (struct chain){str(c, "family"), str(c, "table"), str(c, "name"),
					     str(c, "hook"), 0};
	}
	return n;
}

static void count_rules(const json_t *all, struct chain *chains, unsigned n)
{
	size_t i;
	json_t *entry;

	json_array_foreach(all, i, entry)
	{
		const json_t *r = json_object_get(entry, "rule");
		for (unsigned k = 0; r && k < n; k++)
			if (strcmp(str(r, "family"), chains[k].family) == 0 &&
			    strcmp(str(r, "table"), chains[k].table) == 0 &&
			    strcmp(str(r, "chain"), chains[k].name) == 0)
				chains[k].rules++;
	}
}

static json_t *ruleset(void)
{
	FILE *p = popen("nft -j list ruleset 2>/dev/null", "r");
	json_error_t error;
	json_t *root = p ? json_loadf(p, 0, &error) : NULL;

	if (p)
		pclose(p);
	return root;
}

static void legacy_tables(json_t *report)
{
	FILE *f = fopen("/proc/net/ip_tables_names", "r");
	char name[64] = "";

	if (f && fgets(name, sizeof(name), f) && name[0] != '\n')
		doctor_add(report, DOCTOR_NOTE, "firewall", "",
			   "their INPUT rules do not meet tunnel packets in xdp mode",
			   "legacy iptables tables are loaded");
	if (f)
		fclose(f);
}

void doctor_firewall(json_t *report)
{
	struct chain chains[CHAINS_MAX];
	json_t *root = ruleset();
	const json_t *all = json_object_get(root, "nftables");
	unsigned n = collect_chains(all, chains), with_rules = 0;

	count_rules(all, chains, n);
	for (unsigned i = 0; i < n; i++) {
		if (!chains[i].rules)
			continue;
		with_rules++;
		doctor_add(report, DOCTOR_NOTE, "firewall", "",
			   "tunnel packets that AF_XDP takes do not meet them: filter the inner "
			   "packets at the tunnel interface, or set mode = \"socket\"",
			   "%u rule%s in %s %s %s (%s)", chains[i].rules,
			   chains[i].rules == 1 ? "" : "s", chains[i].family, chains[i].table,
			   chains[i].name, chains[i].hook);
	}
	if (!root)
		doctor_add(
			report, DOCTOR_NOTE, "firewall", "",
			"a gateway makes its firewall with it: install nftables; as root it can be "
			"asked",
			"nft is not installed, or may not be asked");
	else if (!with_rules)
		doctor_add(report, DOCTOR_OK, "firewall", "", "",
			   "no nftables rule that incoming packets would meet");
	json_decref(root);
	legacy_tables(report);
}
