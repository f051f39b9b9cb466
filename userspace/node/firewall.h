/* SPDX-License-Identifier: MIT
 *
 * [gateway] as a table of nftables, in text: what it keeps apart and why stands in the comments of
 * its chains and rules. Pure but for the memory: no host is asked, nothing is done.
 *
 * It is a second line: who may reach whom inside the tunnel, and which inner source is whose, is
 * decided where packets are decrypted, table or none.
 */
#ifndef TT_NODE_FIREWALL_H
#define TT_NODE_FIREWALL_H

#include "node/config.h"
#include "plat/firewall.h"

/* Prefixes of the tunnel that are guarded against spoofing. */
#define NODE_FIREWALL_TUNNEL_MAX 4096

/* Sorted, none within another. */
struct node_firewall_cidrs {
	struct tt_cidr *c;
	uint32_t count;
};

/* What a configuration wants of the host. */
struct node_firewall {
	bool wanted;	 /* a table */
	bool required;	 /* without it the node does not start */
	bool ip_forward; /* the sysctl of IPv4; of IPv6 where v6 */
	bool v6;	 /* the tunnel, or what is behind it, has IPv6 */
	bool between;	 /* peers may reach each other */
	bool any4, any6; /* peers may reach everything: a subnet of length 0 */
	bool cut;	 /* there were more than NODE_FIREWALL_TUNNEL_MAX prefixes */
	bool has_subnets;
	char masquerade[NODE_CONFIG_MASQUERADE_MAX][NODE_CONFIG_IFNAME_MAX];
	uint32_t masquerades;
	struct node_firewall_cidrs subnets; /* but those of length 0 */
	struct node_firewall_cidrs own;	    /* addresses of the interface, with full length */
	struct node_firewall_cidrs tunnel;  /* all that is behind the tunnel, but default routes */
};

/* What no file says. */
struct node_firewall_facts {
	const char *ifname;
	unsigned ifindex;
	uint16_t udp_port; /* of the tunnel; 0: not open yet */
};

/* From a valid configuration. 0 or -ENOMEM. */
int node_firewall_make(const struct node_config *cfg, struct node_firewall *out);
void node_firewall_free(struct node_firewall *f);

/*
 * The script that makes the table, whatever there was before, in one transaction; f NULL or not
 * wanted: that removes it, and is no error where there is none. malloc'd; NULL: no memory.
 */
char *node_firewall_script(const struct node_firewall *f, const struct node_firewall_facts *facts);

#endif
