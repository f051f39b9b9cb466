/* SPDX-License-Identifier: MIT
 *
 * The decision table: every row of it.
 */
#include "node/xdp_mode.h"

#include "plat/xsk.h"
#include "tt_test.h"

#define ZC   NODE_XDP_ZERO_COPY
#define COPY NODE_XDP_NATIVE_COPY
#define GEN  NODE_XDP_GENERIC

/* A sound NIC; rows say what is different. */
static struct plat_xdp_facts nic(void)
{
	return (struct plat_xdp_facts){.name = "eth0",
				       .driver = "mlx5_core",
				       .ifindex = 2,
				       .mtu = 1500,
				       .queues = 4,
				       .ethernet = true,
				       .up = true,
				       .running = true,
				       .zero_copy_listed = true};
}

struct row {
	const char *name;
	enum node_datapath_mode mode;
	bool listed, gso, gro_forward, no_ethernet, down, no_carrier;
	uint32_t mtu, failed;
	unsigned count;
	enum node_xdp_kind order[3];
	const char *socket_why; /* part of it */
	bool wait;
};

static const struct row rows[] = {
	{"auto, listed", NODE_DATAPATH_AUTO, .listed = true, .count = 2, .order = {ZC, COPY}},
	{"auto, listed, UDP segmentation", NODE_DATAPATH_AUTO, .listed = true, .gso = true,
	 .count = 1, .order = {ZC}},
	{"auto, not listed", NODE_DATAPATH_AUTO, .count = 1, .order = {COPY}},
	{"auto, not listed, UDP segmentation", NODE_DATAPATH_AUTO, .gso = true,
	 .socket_why = "segmentation"},
	{"auto, copy failed", NODE_DATAPATH_AUTO, .failed = 1u << COPY, .socket_why = "gave up"},
	{"auto, zero-copy failed", NODE_DATAPATH_AUTO, .listed = true, .failed = 1u << ZC,
	 .count = 1, .order = {COPY}},
	{"auto, jumbo", NODE_DATAPATH_AUTO, .listed = true, .mtu = 9000, .socket_why = "MTU 9000"},
	{"auto, tunnel", NODE_DATAPATH_AUTO, .no_ethernet = true, .socket_why = "no Ethernet"},
	{"auto, down", NODE_DATAPATH_AUTO, .down = true, .socket_why = "down", .wait = true},
	{"auto, no carrier", NODE_DATAPATH_AUTO, .no_carrier = true, .socket_why = "down",
	 .wait = true},
	{"xdp", NODE_DATAPATH_XDP, .count = 3, .order = {ZC, COPY, GEN}},
	{"xdp, UDP segmentation", NODE_DATAPATH_XDP, .gso = true, .count = 3,
	 .order = {ZC, COPY, GEN}},
	{"xdp, GRO forwarding", NODE_DATAPATH_XDP, .gro_forward = true, .count = 2,
	 .order = {ZC, COPY}},
	{"xdp, MTU that only copying carries", NODE_DATAPATH_XDP, .mtu = 3820, .count = 2,
	 .order = {COPY, GEN}},
	{"xdp, jumbo", NODE_DATAPATH_XDP, .mtu = 9000, .socket_why = "MTU 9000"},
	{"xdp, everything failed", NODE_DATAPATH_XDP, .failed = 1u << ZC | 1u << COPY | 1u << GEN,
	 .socket_why = "gave up"},
	{"socket", NODE_DATAPATH_SOCKET, .listed = true, .socket_why = "mode"},
};

static void check_row(const struct row *r)
{
	char failed_why[NODE_XDP_KIND_COUNT][PLAT_XDP_WHY_MAX];
	struct plat_xdp_facts f = nic();
	struct node_xdp_plan plan;
	bool ok;

	for (unsigned k = 0; k < NODE_XDP_KIND_COUNT; k++)
		strcpy(failed_why[k], "gave up");
	f.zero_copy_listed = r->listed;
	f.offloads = (r->gso ? PLAT_XDP_OFFLOAD_TX_UDP_GSO : 0) |
		     (r->gro_forward ? PLAT_XDP_OFFLOAD_UDP_GRO_FORWARD : 0);
	f.ethernet = !r->no_ethernet;
	f.up = !r->down;
	f.running = !r->no_carrier;
	f.mtu = r->mtu ? r->mtu : f.mtu;
	node_xdp_plan(r->mode, &f, r->failed, (const char(*)[PLAT_XDP_WHY_MAX])failed_why, &plan);
	ok = plan.count == r->count && plan.wait == r->wait;
	for (unsigned k = 0; ok && k < r->count; k++)
		ok = plan.order[k] == r->order[k] && !plan.refusal[r->order[k]][0];
	if (!r->count)
		ok = ok && r->socket_why && strstr(plan.refusal[NODE_XDP_SOCKET], r->socket_why);
	CU_ASSERT_TRUE(ok);
	if (!ok)
		printf("  %s: %u ways, socket: %s\n", r->name, plan.count,
		       plan.refusal[NODE_XDP_SOCKET]);
	/* whatever is left out of a list of ways says why */
	for (unsigned k = ZC; r->count && k <= GEN; k++) {
		bool tried = false;
		for (unsigned i = 0; i < plan.count; i++)
			tried |= plan.order[i] == k;
		CU_ASSERT_NOT_EQUAL(tried, plan.refusal[k][0] != 0);
	}
}

/* Where the system has no AF_XDP, every mode ends at the socket and the reason is that. */
static void no_af_xdp(void)
{
	static const enum node_datapath_mode modes[] = {NODE_DATAPATH_AUTO, NODE_DATAPATH_XDP};
	struct plat_xdp_facts f = nic();
	struct node_xdp_plan plan;

	for (size_t i = 0; i < TT_ARRAY_LEN(modes); i++) {
		node_xdp_plan(modes[i], &f, 0, NULL, &plan);
		CU_ASSERT_EQUAL(plan.count, 0);
		CU_ASSERT_FALSE(plan.wait);
		CU_ASSERT_STRING_EQUAL(plan.refusal[NODE_XDP_SOCKET], "this system has no AF_XDP");
	}
}

static void decision_table(void)
{
	if (!plat_xdp_mtu_max(false)) {
		no_af_xdp();
		tt_test_skip(TT_ARRAY_LEN(rows), "no AF_XDP on this platform to decide about");
		return;
	}
	for (size_t i = 0; i < TT_ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

static void attachments(void)
{
	CU_ASSERT_EQUAL(node_xdp_attachment(ZC), PLAT_XDP_MODE_DRIVER);
	CU_ASSERT_EQUAL(node_xdp_attachment(COPY), PLAT_XDP_MODE_DRIVER);
	CU_ASSERT_EQUAL(node_xdp_attachment(GEN), PLAT_XDP_MODE_GENERIC);
	CU_ASSERT_EQUAL(node_xdp_attachment(NODE_XDP_SOCKET), PLAT_XDP_MODE_NONE);
	CU_ASSERT_STRING_EQUAL(node_xdp_kind_name(COPY), "native copy");
}

static void memory_shares(void)
{
	static const struct {
		uint32_t mb;
		unsigned queues, fit;
		uint32_t each_mb;
	} cases[] = {{0, 1, 1, 16},  {0, 16, 16, 16}, {0, 17, 17, 8},	  {64, 4, 4, 16},
		     {64, 5, 5, 8},  {16, 1, 1, 16},  {16, 2, 2, 8},	  {16, 8, 8, 2},
		     {16, 64, 8, 2}, {100, 7, 7, 8},  {16384, 64, 64, 16}};

	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		unsigned fit;
		uint32_t each = node_xdp_umem_share(cases[i].mb, cases[i].queues, &fit);

		CU_ASSERT_EQUAL(each, cases[i].each_mb << 20);
		CU_ASSERT_EQUAL(fit, cases[i].fit);
		CU_ASSERT_EQUAL(each % PLAT_XSK_FRAME, 0);
	}
}

TT_TESTS("xdp_mode", {"decision table", decision_table}, {"attachments", attachments},
	 {"shares of the memory", memory_shares})
