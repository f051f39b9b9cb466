/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "node/xdp_mode.h"
#include "plat/netcfg.h"
#include "taltun/doctor.h"

static void driver(json_t *r, const struct plat_xdp_facts *f)
{
	if (f->zero_copy_listed)
		doctor_add(r, DOCTOR_OK, "driver", f->name, "",
			   "%s: its zero-copy mode is known to be good", f->driver);
	else
		doctor_add(
			r, DOCTOR_NOTE, "driver", f->name,
			"mode = \"xdp\" tries zero-copy all the same; measure before you keep it",
			"%s: not among the drivers whose zero-copy mode is known to be good",
			f->driver[0] ? f->driver : "unknown driver");
}

static void link_state(json_t *r, const struct plat_xdp_facts *f)
{
	uint32_t max = plat_xdp_mtu_max(false);

	if (!f->up || !f->running)
		doctor_add(r, DOCTOR_NOTE, "link", f->name, "ip link set it up; check the cable",
			   "%s", f->up ? "no carrier" : "down");
	if (f->mtu > max)
		doctor_add(r, DOCTOR_NOTE, "mtu", f->name,
			   "packets go by the UDP sockets; a smaller MTU makes AF_XDP possible",
			   "MTU %u, AF_XDP carries up to %u", f->mtu, max);
	else
		doctor_add(r, DOCTOR_OK, "mtu", f->name, "", "MTU %u", f->mtu);
}

static void queues(json_t *r, const struct plat_xdp_facts *f)
{
	if (f->queues_max)
		doctor_add(r, DOCTOR_OK, "queues", f->name, "", "%u queue%s in use of %u",
			   f->queues, f->queues == 1 ? "" : "s", f->queues_max);
	else
		doctor_add(r, DOCTOR_OK, "queues", f->name, "", "%u queue%s", f->queues,
			   f->queues == 1 ? "" : "s");
}

static void offloads(json_t *r, const struct plat_xdp_facts *f)
{
	static const struct {
		uint32_t bit;
		const char *name, *what, *option;
	} bad[] = {
		{PLAT_XDP_OFFLOAD_LRO, "LRO", "joins packets before steering sees them", "lro"},
		{PLAT_XDP_OFFLOAD_GRO_HW, "hardware GRO", "joins packets before steering sees them",
		 "rx-gro-hw"},
		{PLAT_XDP_OFFLOAD_UDP_GRO_FORWARD, "UDP GRO forwarding",
		 "joins datagrams in generic mode", "rx-udp-gro-forwarding"},
		{PLAT_XDP_OFFLOAD_GRO_LIST, "GRO lists", "joins datagrams in generic mode",
		 "rx-gro-list"},
	};
	char hint[96];
	bool any = false;

	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++) {
		if (!(f->offloads & bad[i].bit))
			continue;
		any = true;
		snprintf(hint, sizeof(hint), "ethtool -K %s %s off", f->name, bad[i].option);
		doctor_add(r, DOCTOR_NOTE, "offload", f->name, hint, "%s %s", bad[i].name,
			   bad[i].what);
	}
	if (!any)
		doctor_add(r, DOCTOR_OK, "offload", f->name, "",
			   "no offload that joins packets before steering");
	doctor_add(r, DOCTOR_OK, "udp_gso", f->name, "", "UDP segmentation offload is %s",
		   f->offloads & PLAT_XDP_OFFLOAD_TX_UDP_GSO ? "on: the sockets are fast"
							     : "off: copy mode is faster");
}

static void program(json_t *r, const struct plat_xdp_facts *f)
{
	struct plat_xdp_held held;
	char text[PLAT_XDP_WHY_MAX];

	if (plat_xdp_held_get(f->ifindex, &held) != 0 || held.mode == PLAT_XDP_MODE_NONE)
		doctor_add(r, DOCTOR_OK, "xdp", f->name, "", "no XDP program");
	else if (held.owner[0])
		doctor_add(r, DOCTOR_OK, "xdp", f->name, "", "%s (%s)",
			   plat_xdp_held_format(&held, text, sizeof(text)),
			   plat_xdp_mode_name(held.mode));
	else
		doctor_add(r, DOCTOR_NOTE, "xdp", f->name,
			   "Taltun never replaces it: packets go by the UDP sockets as long as it "
			   "is there",
			   "%s", plat_xdp_held_format(&held, text, sizeof(text)));
}

/* What mode = "auto" makes of all this. */
static void outlook(json_t *r, const struct plat_xdp_facts *f)
{
	struct node_xdp_plan plan;

	node_xdp_plan(NODE_DATAPATH_AUTO, f, 0, NULL, &plan);
	doctor_add(r, DOCTOR_OK, "auto", f->name, "", "mode = \"auto\" takes the way %s%s%s%s",
		   plan.count ? node_xdp_kind_name(plan.order[0]) : "socket",
		   plan.count ? "" : " (", plan.count ? "" : plan.refusal[NODE_XDP_SOCKET],
		   plan.count ? "" : ")");
}

void doctor_nic(json_t *report, const char *name)
{
	struct plat_netcfg_link link;
	struct plat_xdp_facts f;

	if (plat_netcfg_link_get(0, name, &link) != 0 ||
	    plat_xdp_facts_get(link.ifindex, &f) != 0) {
		doctor_add(report, DOCTOR_PROBLEM, "link", name, "ip link shows the names",
			   "no such interface");
		return;
	}
	if (!f.ethernet) {
		doctor_add(report, DOCTOR_NOTE, "driver", name, "packets go by the UDP sockets",
			   "no Ethernet interface");
		return;
	}
	driver(report, &f);
	link_state(report, &f);
	queues(report, &f);
	offloads(report, &f);
	program(report, &f);
	outlook(report, &f);
}
