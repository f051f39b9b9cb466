/* SPDX-License-Identifier: MIT */
#include "node/auto_mtu.h"

#include <errno.h>
#include <string.h>

#include "node/config_load.h"
#include "tt_test.h"

#define OWN 7

/* A host: routes by the first byte of an IPv4 address; 192 is the default one. */
static struct {
	unsigned mtu[256];
	unsigned through_tunnel; /* first byte whose route is the tunnel's own */
	uint32_t fwmark;
} host;

static int route_get(const struct tt_ip *to, uint32_t fwmark, unsigned *ifindex, unsigned *mtu)
{
	unsigned first = to->b[0];

	host.fwmark = fwmark;
	if (!host.mtu[first])
		return -ENETUNREACH;
	*ifindex = first == host.through_tunnel ? OWN : 2;
	*mtu = host.mtu[first];
	return 0;
}

static unsigned mtu_with(const char *peers)
{
	static struct node_config_error err;
	struct node_config *cfg = NULL;
	char text[2048];

	snprintf(text, sizeof(text),
		 "[interface]\nname = \"tt0\"\naddress = [\"10.77.0.1/24\"]\n"
		 "private_key = \"WAtPzEdEsxeCBpHLpQBLzZk6rnGhGfbfWbnHcmSdRmc=\"\n%s",
		 peers);
	struct node_config_source src = {
		.path = "tt0.toml", .text = text, .text_len = strlen(text)};
	CU_ASSERT_EQUAL_FATAL(node_config_load(&src, &err, &cfg), 0);
	unsigned mtu = node_auto_mtu(cfg, OWN, 9, route_get);
	node_config_free(cfg);
	return mtu;
}

#define PEER(key, more) "[[peer]]\npublic_key = \"" key "\"\n" more
#define KEY_A		"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_B		"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="

static void endpoints(void)
{
	const char *two =
		PEER(KEY_A, "endpoint = \"8.8.8.8:1\"\n") PEER(KEY_B, "endpoint = \"9.9.9.9:1\"\n");

	memset(&host, 0, sizeof(host));
	host.mtu[192] = 1280;
	host.mtu[8] = 1500;
	host.mtu[9] = 1492;
	CU_ASSERT_EQUAL(mtu_with(two), 1412);
	CU_ASSERT_EQUAL(host.fwmark, 9);
	host.mtu[8] = 9000;
	host.mtu[9] = 0; /* no route to it */
	CU_ASSERT_EQUAL(mtu_with(two), 8920);
	host.through_tunnel = 8;
	CU_ASSERT_EQUAL(mtu_with(two), 1200); /* the default route is left */
}

static void no_endpoint(void)
{
	memset(&host, 0, sizeof(host));
	CU_ASSERT_EQUAL(mtu_with(""), NODE_DEFAULT_MTU);
	host.mtu[192] = 1400;
	CU_ASSERT_EQUAL(mtu_with(""), 1320);
	CU_ASSERT_EQUAL(mtu_with(PEER(KEY_A, "endpoint = \"vpn.example.com:1\"\n")), 1320);
}

static void limits(void)
{
	memset(&host, 0, sizeof(host));
	host.mtu[192] = 65536;
	CU_ASSERT_EQUAL(mtu_with(""), 65455);
	host.mtu[192] = 600;
	CU_ASSERT_EQUAL(mtu_with(""), 576);
	host.mtu[192] = 1300;
	CU_ASSERT_EQUAL(mtu_with(PEER(KEY_A, "allowed_ips = [\"10.1.0.0/16\"]\n")), 1220);
	CU_ASSERT_EQUAL(mtu_with(PEER(KEY_A, "allowed_ips = [\"fd00::/16\"]\n")), 1280);
}

TT_TESTS("auto_mtu", {"endpoints", endpoints}, {"no endpoint", no_endpoint}, {"limits", limits})
