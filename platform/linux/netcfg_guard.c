/* SPDX-License-Identifier: MIT
 *
 * The firewall table beside the default route of netcfg_default.c, `inet taltun_IFNAME_route`:
 *
 * - answers to our marked packets get the mark back from their connection before the kernel looks
 *   up the way to where they come from. Without it strict reverse-path filtering (rp_filter=1)
 *   finds the tunnel instead of the link they came by, and drops them;
 * - what comes by any other link for an address of the tunnel is dropped: a neighbour could else
 *   find out the inner addresses, and speak into the inner connections.
 */
#include "netcfg_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nft.h"
#include "plat/firewall.h"

/* By index: the interface may be renamed. */
static void guard_write_addresses(FILE *f, const struct plat_netcfg *c, enum tt_family family)
{
	char text[TT_IP_TEXT_MAX];

	for (uint32_t i = 0; i < c->journal.count; i++) {
		const struct netcfg_entry *e = &c->journal.entries[i];

		if (e->kind == NETCFG_ADDR && e->prefix.ip.family == family)
			fprintf(f, "iif != %u %s daddr %s fib saddr type != local drop\n",
				c->ifindex, family == TT_FAMILY_V4 ? "ip" : "ip6",
				tt_ip_format(&e->prefix.ip, text));
	}
}

static void guard_write_marks(FILE *f, const struct plat_netcfg *c, bool restore)
{
	for (uint32_t i = 0; i < c->journal.count; i++) {
		const struct netcfg_entry *e = &c->journal.entries[i];

		if (e->kind == NETCFG_RULE_MARK)
			fprintf(f, "meta nfproto %s meta l4proto udp %s mark %u %s\n",
				e->prefix.ip.family == TT_FAMILY_V4 ? "ipv4" : "ipv6",
				restore ? "ct" : "meta", e->fwmark,
				restore ? "meta mark set ct mark" : "ct mark set meta mark");
	}
}

static void guard_write(FILE *f, const struct plat_netcfg *c, bool wanted)
{
	char name[PLAT_FIREWALL_TABLE_MAX];

	plat_firewall_table(c->name, "_route", name);
	/* Named first, so that deleting one that is not there is no error. */
	fprintf(f, "table inet %s\ndelete table inet %s\n", name, name);
	if (!wanted)
		return;
	fprintf(f, "table inet %s {\n", name);
	fputs("chain preraw {\ntype filter hook prerouting priority -300\n", f);
	guard_write_addresses(f, c, TT_FAMILY_V4);
	guard_write_addresses(f, c, TT_FAMILY_V6);
	fputs("}\nchain premangle {\ntype filter hook prerouting priority -150\n", f);
	guard_write_marks(f, c, true);
	fputs("}\nchain postmangle {\ntype filter hook postrouting priority -150\n", f);
	guard_write_marks(f, c, false);
	fputs("}\n}\n", f);
}

static int guard_run(struct plat_netcfg *c, bool wanted)
{
	char *script = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&script, &size);
	int err = f ? 0 : -ENOMEM;

	if (f) {
		guard_write(f, c, wanted);
		err = ferror(f) ? -ENOMEM : 0;
		err = fclose(f) != 0 ? -ENOMEM : err;
	}
	if (!err)
		err = nft_run(script, c->guard_reason, sizeof(c->guard_reason));
	free(script);
	return err;
}

int netcfg_guard_remove(struct plat_netcfg *c)
{
	c->guard_error = 0;
	return guard_run(c, false);
}

/* The file is written first: a table that no file knows would stay for ever. */
void netcfg_guard_update(struct plat_netcfg *c)
{
	struct netcfg_entry e = {.kind = NETCFG_GUARD};
	bool wanted = netcfg_journal_find(&c->journal, NETCFG_RULE_MARK, TT_FAMILY_NONE) != NULL;

	e.prefix.ip.family = TT_FAMILY_V4;
	if (!wanted) {
		if (netcfg_journal_has(&c->journal, &e))
			(void)netcfg_guard_remove(c);
		netcfg_journal_remove(&c->journal, &e);
		(void)netcfg_journal_save(&c->journal, c->path);
		return;
	}
	c->guard_error = netcfg_journal_add(&c->journal, &e);
	if (!c->guard_error)
		c->guard_error = netcfg_journal_save(&c->journal, c->path);
	if (!c->guard_error)
		c->guard_error = guard_run(c, true);
}

int plat_netcfg_guard_state(const struct plat_netcfg *c, char *reason, size_t cap)
{
	snprintf(reason, cap, "%s",
		 c->guard_error == -ENOENT ? "nft is not installed"
		 : c->guard_reason[0]	   ? c->guard_reason
		 : c->guard_error	   ? strerror(-c->guard_error)
					   : "");
	return c->guard_error;
}
