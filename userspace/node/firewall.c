/* SPDX-License-Identifier: MIT */
#include "node/firewall.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- lists of prefixes ----------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct tt_cidr *x = a, *y = b;
	int c = memcmp(&x->ip, &y->ip, sizeof(x->ip));

	return c ? c : (int)x->bits - (int)y->bits;
}

static int by_length(const void *a, const void *b)
{
	const struct tt_cidr *x = a, *y = b;

	return x->bits != y->bits ? (int)x->bits - (int)y->bits : by_address(a, b);
}

/* A prefix comes right before those that it covers. */
static void cidrs_merge(struct node_firewall_cidrs *l)
{
	uint32_t kept = 0;

	if (l->count)
		qsort(l->c, l->count, sizeof(*l->c), by_address);
	for (uint32_t i = 0; i < l->count; i++)
		if (!kept || l->c[kept - 1].ip.family != l->c[i].ip.family ||
		    !tt_cidr_contains(&l->c[kept - 1], &l->c[i].ip))
			l->c[kept++] = l->c[i];
	l->count = kept;
}

static void cidrs_add(struct node_firewall_cidrs *l, const struct node_config *cfg,
		      struct node_config_range r)
{
	for (uint32_t i = 0; i < r.count; i++) {
		struct tt_cidr c = *node_config_cidr(cfg, r, i);

		(void)tt_cidr_mask(&c);
		/* a default route, or the half that it is often written as, is everybody's */
		if (c.bits > 1)
			l->c[l->count++] = c;
	}
}

static int cidrs_room(struct node_firewall_cidrs *l, size_t n)
{
	l->c = n ? calloc(n, sizeof(*l->c)) : NULL;
	return n && !l->c ? -ENOMEM : 0;
}

static bool cidrs_have(const struct node_firewall_cidrs *l, enum tt_family family)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->c[i].ip.family == family)
			return true;
	return false;
}

/* --- what the configuration wants ---------------------------------------------------------------
 */

static void take_subnets(const struct node_config *cfg, struct node_firewall *f)
{
	for (uint32_t i = 0; i < cfg->gateway.subnets.count; i++) {
		const struct tt_cidr *c = node_config_cidr(cfg, cfg->gateway.subnets, i);

		f->any4 |= c->bits == 0 && c->ip.family == TT_FAMILY_V4;
		f->any6 |= c->bits == 0 && c->ip.family == TT_FAMILY_V6;
		if (c->bits)
			f->subnets.c[f->subnets.count++] = *c;
	}
	cidrs_merge(&f->subnets);
}

static void take_own(const struct node_config *cfg, struct node_firewall *f)
{
	for (uint32_t i = 0; i < cfg->addresses.count; i++) {
		struct tt_cidr c = *node_config_cidr(cfg, cfg->addresses, i);

		c.bits = c.ip.family == TT_FAMILY_V4 ? 32 : 128;
		f->own.c[f->own.count++] = c;
	}
	cidrs_merge(&f->own);
}

static void take_tunnel(const struct node_config *cfg, struct node_firewall *f)
{
	cidrs_add(&f->tunnel, cfg, cfg->addresses);
	cidrs_add(&f->tunnel, cfg, cfg->hub.networks);
	cidrs_add(&f->tunnel, cfg, cfg->hub.accept);
	for (uint32_t i = 0; i < cfg->peers.count; i++)
		cidrs_add(&f->tunnel, cfg, node_config_peer(cfg, i)->allowed_ips);
	cidrs_merge(&f->tunnel);
	f->cut = f->tunnel.count > NODE_FIREWALL_TUNNEL_MAX;
	if (!f->cut)
		return;
	qsort(f->tunnel.c, f->tunnel.count, sizeof(*f->tunnel.c), by_length);
	f->tunnel.count = NODE_FIREWALL_TUNNEL_MAX;
}

static size_t tunnel_capacity(const struct node_config *cfg)
{
	size_t n = (size_t)cfg->addresses.count + cfg->hub.networks.count + cfg->hub.accept.count;

	for (uint32_t i = 0; i < cfg->peers.count; i++)
		n += node_config_peer(cfg, i)->allowed_ips.count;
	return n;
}

int node_firewall_make(const struct node_config *cfg, struct node_firewall *out)
{
	const struct node_config_gateway *g = &cfg->gateway;
	struct node_firewall *f = out;

	*f = (struct node_firewall){
		.wanted = g->given && g->firewall != NODE_FIREWALL_OFF,
		.required = g->given && g->firewall == NODE_FIREWALL_ON,
		.ip_forward = g->given && g->ip_forward,
		.between = cfg->forward_between_peers,
		.has_subnets = g->has_subnets,
	};
	if (!g->given)
		return 0;
	if (cidrs_room(&f->subnets, g->subnets.count) ||
	    cidrs_room(&f->own, cfg->addresses.count) ||
	    cidrs_room(&f->tunnel, tunnel_capacity(cfg))) {
		node_firewall_free(f);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < TT_MIN(g->masquerade.count, NODE_CONFIG_MASQUERADE_MAX); i++)
		snprintf(f->masquerade[f->masquerades++], sizeof(f->masquerade[0]), "%s",
			 node_config_line(cfg, g->masquerade, i));
	take_subnets(cfg, f);
	take_own(cfg, f);
	take_tunnel(cfg, f);
	f->v6 = f->any6 || cidrs_have(&f->subnets, TT_FAMILY_V6) ||
		cidrs_have(&f->tunnel, TT_FAMILY_V6);
	return 0;
}

void node_firewall_free(struct node_firewall *f)
{
	free(f->subnets.c);
	free(f->own.c);
	free(f->tunnel.c);
	*f = (struct node_firewall){0};
}

/* --- text ---------------------------------------------------------------------------------------
 */

struct text {
	FILE *out;
	const struct node_firewall *f;
	const struct node_firewall_facts *facts;
};

static void put_rule(const struct text *t, const char *comment, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void put_rule(const struct text *t, const char *comment, const char *fmt, ...)
{
	va_list ap;

	fputs("\t\t", t->out);
	va_start(ap, fmt);
	vfprintf(t->out, fmt, ap);
	va_end(ap);
	fprintf(t->out, " comment \"%s\"\n", comment);
}

static void put_chain(const struct text *t, const char *name, const char *comment, const char *hook)
{
	fprintf(t->out, "\n\tchain %s {\n\t\tcomment \"%s\"\n", name, comment);
	if (hook)
		fprintf(t->out, "\t\ttype %s; policy accept;\n", hook);
}

static void put_end(const struct text *t)
{
	fputs("\t}\n", t->out);
}

static void put_set(const struct text *t, const char *name, const char *comment,
		    const struct node_firewall_cidrs *l, enum tt_family family)
{
	char text[TT_CIDR_TEXT_MAX];
	bool first = true;

	if (!cidrs_have(l, family))
		return;
	fprintf(t->out,
		"\n\tset %s%c {\n\t\tcomment \"%s\"\n\t\ttype %s\n\t\tflags interval\n"
		"\t\telements = {",
		name, family == TT_FAMILY_V4 ? '4' : '6', comment,
		family == TT_FAMILY_V4 ? "ipv4_addr" : "ipv6_addr");
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->c[i].ip.family != family)
			continue;
		fprintf(t->out, "%s %s", first ? "" : ",", tt_cidr_format(&l->c[i], text));
		first = false;
	}
	fputs(" }\n", t->out);
	put_end(t);
}

static void put_sets(const struct text *t)
{
	static const enum tt_family families[] = {TT_FAMILY_V4, TT_FAMILY_V6};

	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++) {
		put_set(t, "own", "the tunnel's own addresses", &t->f->own, families[i]);
		put_set(t, "tunnel", "addresses behind the tunnel", &t->f->tunnel, families[i]);
		put_set(t, "subnets", "what peers may reach, and what may reach them",
			&t->f->subnets, families[i]);
	}
}

/* The set of a family in a rule: there only where it has an element. */
static void put_match(const struct text *t, const struct node_firewall_cidrs *l, const char *side,
		      const char *set, const char *rest, const char *comment)
{
	if (cidrs_have(l, TT_FAMILY_V4))
		put_rule(t, comment, "ip %s @%s4 %s", side, set, rest);
	if (cidrs_have(l, TT_FAMILY_V6))
		put_rule(t, comment, "ip6 %s @%s6 %s", side, set, rest);
}

/*
 * By number: the interface may be renamed. What the host routes elsewhere (a more specific network
 * beside a peer's wide prefix) is no address of the tunnel.
 */
static void put_spoofed(const struct text *t)
{
	char rest[64];

	snprintf(rest, sizeof(rest), "fib saddr oif %u counter drop", t->facts->ifindex);
	put_chain(t, "spoofed", "tunnel addresses come from the tunnel only",
		  "filter hook prerouting priority raw");
	put_rule(t, "taltund has looked whether the source is the peer's", "iif %u accept",
		 t->facts->ifindex);
	put_rule(t, "this host to itself", "iif \"lo\" accept");
	put_match(t, &t->f->own, "saddr", "own", "counter drop",
		  "nobody else has an address of the tunnel's interface");
	put_match(t, &t->f->tunnel, "saddr", "tunnel", rest,
		  "a source behind the tunnel that did not come out of it");
	put_end(t);
}

/* { "eth0", "eth1" } */
static void put_names(const struct text *t, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, "{");

	for (uint32_t i = 0; i < t->f->masquerades && n < cap; i++)
		n += (size_t)snprintf(out + n, cap - n, "%s \"%s\"", i ? "," : "",
				      t->f->masquerade[i]);
	if (n < cap)
		snprintf(out + n, cap - n, " }");
}

#define NAMES_MAX (NODE_CONFIG_MASQUERADE_MAX * (NODE_CONFIG_IFNAME_MAX + 4) + 4)

static void put_forward(const struct text *t)
{
	unsigned tun = t->facts->ifindex;

	put_chain(t, "forward", "what this host forwards out of the tunnel and into it",
		  "filter hook forward priority filter - 10");
	if (t->f->between)
		put_rule(t, "peer to peer: forward_between_peers is true", "iif %u oif %u accept",
			 tun, tun);
	else
		put_rule(t, "peer to peer: forward_between_peers is false",
			 "iif %u oif %u counter drop", tun, tun);
	put_rule(t, "out of the tunnel", "iif %u goto from_tunnel", tun);
	put_rule(t, "into the tunnel", "oif %u goto to_tunnel", tun);
	put_end(t);
}

static void put_from_tunnel(const struct text *t)
{
	char names[NAMES_MAX];

	put_chain(t, "from_tunnel", "peers reach the approved subnets and nothing else", NULL);
	put_rule(t, "answers to who may begin",
		 "ct direction reply ct state established,related accept");
	put_match(t, &t->f->subnets, "daddr", "subnets", "accept", "subnets of [gateway]");
	if (t->f->any4)
		put_rule(t, "subnets of [gateway] has 0.0.0.0/0", "meta nfproto ipv4 accept");
	if (t->f->any6)
		put_rule(t, "subnets of [gateway] has ::/0", "meta nfproto ipv6 accept");
	if (!t->f->has_subnets && t->f->masquerades) {
		put_names(t, names, sizeof(names));
		put_rule(t, "no subnets in [gateway]: what masquerade leads to",
			 "oifname %s accept", names);
	}
	put_rule(t, "not approved", "counter drop");
	put_end(t);
}

static void put_to_tunnel(const struct text *t)
{
	put_chain(t, "to_tunnel", "approved subnets reach peers, others only answer them", NULL);
	put_rule(t, "answers to peers", "ct direction reply ct state established,related accept");
	put_match(t, &t->f->subnets, "saddr", "subnets", "accept", "subnets of [gateway]");
	put_rule(t, "not approved", "counter drop");
	put_end(t);
}

/* --- addresses and udp_ports ---------------------------------------------------------------- */

#define PORTS_FIRST 1024u
#define PORTS_LAST  65535u
#define PORTS_FEW   4096u /* a smaller range is no use */

/*
 * A peer that sends from the tunnel's own udp_port must not come out with it: the answers, and
 * packets of other peers that look like them, would go to that peer instead of the tunnel. Ports
 * stay what they are otherwise, and below 1024 the kernel keeps them below 1024.
 */
static void put_udp_ports(const struct text *t, const char *match)
{
	const char *why = "not as the tunnel's udp_port, or packets to it could be led to a peer";
	unsigned p = t->facts->udp_port;

	if (p < PORTS_FIRST) {
		put_rule(t, why, "%s udp sport < %u masquerade to :%u-%u", match, PORTS_FIRST,
			 PORTS_FIRST, PORTS_LAST);
		return;
	}
	put_rule(t, "ports below 1024 stay below 1024", "%s udp sport < %u masquerade", match,
		 PORTS_FIRST);
	if (p - PORTS_FIRST >= PORTS_FEW && PORTS_LAST - p >= PORTS_FEW)
		put_rule(t, why, "%s udp sport %u-%u masquerade to :%u-%u", match, PORTS_FIRST,
			 p - 1, PORTS_FIRST, p - 1);
	if (PORTS_LAST - p >= PORTS_FEW)
		put_rule(t, why, "%s meta l4proto udp masquerade to :%u-%u", match, p + 1,
			 PORTS_LAST);
	else
		put_rule(t, why, "%s meta l4proto udp masquerade to :%u-%u", match, PORTS_FIRST,
			 p - 1);
}

static void put_masquerade(const struct text *t)
{
	char names[NAMES_MAX], match[NAMES_MAX + 32];

	if (!t->f->masquerades)
		return;
	put_names(t, names, sizeof(names));
	snprintf(match, sizeof(match), "iif %u oifname %s", t->facts->ifindex, names);
	put_chain(t, "translate", "peers appear as this host behind these interfaces",
		  "nat hook postrouting priority srcnat - 10");
	if (t->facts->udp_port)
		put_udp_ports(t, match);
	put_rule(t, "masquerade of [gateway]", "%s masquerade", match);
	put_end(t);
}

static void put_port_shadow(const struct text *t)
{
	if (!t->facts->udp_port)
		return;
	put_chain(t, "port_shadow",
		  "whoever translates addresses: no peer gets the tunnel's udp_port",
		  "filter hook postrouting priority srcnat + 10");
	put_rule(t, "packets to the tunnel could be led to this peer",
		 "iif %u ct status snat udp sport %u fib saddr type local counter drop",
		 t->facts->ifindex, t->facts->udp_port);
	put_end(t);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void put_table(const struct text *t, const char *table)
{
	fprintf(t->out,
		"table inet %s {\n\tcomment \"[gateway] of %s. taltund makes it, puts back what is "
		"changed, removes it at its end\"\n",
		table, t->facts->ifname);
	put_sets(t);
	put_spoofed(t);
	put_forward(t);
	put_from_tunnel(t);
	put_to_tunnel(t);
	put_masquerade(t);
	put_port_shadow(t);
	fputs("}\n", t->out);
}

char *node_firewall_script(const struct node_firewall *f, const struct node_firewall_facts *facts)
{
	char table[PLAT_FIREWALL_TABLE_MAX], *script = NULL;
	size_t size = 0;
	struct text t = {open_memstream(&script, &size), f, facts};
	bool bad;

	if (!t.out)
		return NULL;
	plat_firewall_table(facts->ifname, "", table);
	/* named first, so that deleting one that is not there is no error */
	fprintf(t.out, "table inet %s\ndelete table inet %s\n", table, table);
	if (f && f->wanted)
		put_table(&t, table);
	bad = ferror(t.out) != 0;
	if (fclose(t.out) != 0 || bad) {
		free(script);
		return NULL;
	}
	return script;
}
