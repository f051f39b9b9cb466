/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "mesh/address.h"

struct row {
	const char *text;
	enum mesh_address_kind kind;
};

static const struct row rows[] = {
	{"0.0.0.0", MESH_ADDRESS_UNSPECIFIED},
	{"0.1.2.3", MESH_ADDRESS_UNSPECIFIED},
	{"1.0.0.0", MESH_ADDRESS_PUBLIC},
	{"9.255.255.255", MESH_ADDRESS_PUBLIC},
	{"10.0.0.1", MESH_ADDRESS_PRIVATE},
	{"10.255.255.255", MESH_ADDRESS_PRIVATE},
	{"11.0.0.0", MESH_ADDRESS_PUBLIC},
	{"100.63.255.255", MESH_ADDRESS_PUBLIC},
	{"100.64.0.0", MESH_ADDRESS_PRIVATE},
	{"100.127.255.255", MESH_ADDRESS_PRIVATE},
	{"100.128.0.0", MESH_ADDRESS_PUBLIC},
	{"126.255.255.255", MESH_ADDRESS_PUBLIC},
	{"127.0.0.1", MESH_ADDRESS_LOOPBACK},
	{"127.255.255.255", MESH_ADDRESS_LOOPBACK},
	{"128.0.0.0", MESH_ADDRESS_PUBLIC},
	{"169.253.255.255", MESH_ADDRESS_PUBLIC},
	{"169.254.0.1", MESH_ADDRESS_LINK_LOCAL},
	{"169.255.0.0", MESH_ADDRESS_PUBLIC},
	{"172.15.255.255", MESH_ADDRESS_PUBLIC},
	{"172.16.0.0", MESH_ADDRESS_PRIVATE},
	{"172.31.255.255", MESH_ADDRESS_PRIVATE},
	{"172.32.0.0", MESH_ADDRESS_PUBLIC},
	{"192.167.255.255", MESH_ADDRESS_PUBLIC},
	{"192.168.0.0", MESH_ADDRESS_PRIVATE},
	{"192.169.0.0", MESH_ADDRESS_PUBLIC},
	{"223.255.255.255", MESH_ADDRESS_PUBLIC},
	{"224.0.0.1", MESH_ADDRESS_MULTICAST},
	{"239.255.255.255", MESH_ADDRESS_MULTICAST},
	{"240.0.0.0", MESH_ADDRESS_RESERVED},
	{"255.255.255.255", MESH_ADDRESS_RESERVED},
	{"::", MESH_ADDRESS_UNSPECIFIED},
	{"::1", MESH_ADDRESS_LOOPBACK},
	{"::2", MESH_ADDRESS_RESERVED},
	{"::127.0.0.1", MESH_ADDRESS_RESERVED},
	{"::ffff:127.0.0.1", MESH_ADDRESS_LOOPBACK},
	{"::ffff:0.0.0.0", MESH_ADDRESS_UNSPECIFIED},
	{"::ffff:10.1.1.1", MESH_ADDRESS_PRIVATE},
	{"::ffff:224.0.0.1", MESH_ADDRESS_MULTICAST},
	{"::ffff:203.0.113.9", MESH_ADDRESS_PUBLIC},
	{"2001:db8::1", MESH_ADDRESS_PUBLIC},
	{"64:ff9b::c000:201", MESH_ADDRESS_PUBLIC},
	{"fbff::1", MESH_ADDRESS_PUBLIC},
	{"fc00::1", MESH_ADDRESS_PRIVATE},
	{"fdff::1", MESH_ADDRESS_PRIVATE},
	{"fe00::1", MESH_ADDRESS_PUBLIC},
	{"fe80::1", MESH_ADDRESS_LINK_LOCAL},
	{"febf::1", MESH_ADDRESS_LINK_LOCAL},
	{"fec0::1", MESH_ADDRESS_PRIVATE},
	{"ff02::1", MESH_ADDRESS_MULTICAST},
};

static struct tt_ip ip_of(const char *text)
{
	struct tt_ip ip;

	tt_assert(tt_ip_parse(text, &ip) == 0);
	return ip;
}

static void kinds(void)
{
	struct tt_ip none = {0};

	for (size_t i = 0; i < TT_ARRAY_LEN(rows); i++) {
		struct tt_ip ip = ip_of(rows[i].text);

		if (mesh_address_classify(&ip) != rows[i].kind)
			printf("  %s is %s\n", rows[i].text,
			       mesh_address_kind_name(mesh_address_classify(&ip)));
		CU_ASSERT_EQUAL(mesh_address_classify(&ip), rows[i].kind);
	}
	CU_ASSERT_EQUAL(mesh_address_classify(&none), MESH_ADDRESS_NONE);
}

/* A mapped address that came in without normalisation, as plain bytes from a socket. */
static struct tt_ip raw_mapped(const char *v4)
{
	struct tt_ip ip = ip_of(v4), out = {.family = TT_FAMILY_V6};

	out.b[10] = out.b[11] = 0xff;
	memcpy(out.b + 12, ip.b, 4);
	return out;
}

static void mapped_is_its_v4(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(rows); i++) {
		struct tt_ip v4 = ip_of(rows[i].text);

		if (v4.family != TT_FAMILY_V4 || strchr(rows[i].text, ':'))
			continue;
		struct tt_ip mapped = raw_mapped(rows[i].text);
		CU_ASSERT_EQUAL(mesh_address_classify(&mapped), rows[i].kind);
		struct tt_ip normal = mesh_address_normalise(&mapped);
		CU_ASSERT_TRUE(tt_ip_equal(&normal, &v4));
	}
}

static void normalise_scope(void)
{
	struct tt_ip link = ip_of("fe80::1%7"), global = ip_of("2001:db8::1");

	global.scope_id = 7;
	CU_ASSERT_EQUAL(mesh_address_normalise(&link).scope_id, 7);
	CU_ASSERT_EQUAL(mesh_address_normalise(&global).scope_id, 0);
}

/* Case 23: what nobody may be made to contact. */
static void case_23_targets(void)
{
	for (size_t i = 0; i < TT_ARRAY_LEN(rows); i++) {
		struct tt_endpoint e = {ip_of(rows[i].text), 3478, 0};
		bool want =
			rows[i].kind == MESH_ADDRESS_PRIVATE || rows[i].kind == MESH_ADDRESS_PUBLIC;

		CU_ASSERT_EQUAL(mesh_address_is_target(&e), want);
		e.udp_port = 0;
		CU_ASSERT_FALSE(mesh_address_is_target(&e));
	}
	struct tt_endpoint e = {raw_mapped("127.0.0.1"), 3478, 0};
	CU_ASSERT_FALSE(mesh_address_is_target(&e));
}

static void case_23_own_udp_port(void)
{
	struct tt_ip own[] = {ip_of("192.0.2.1"), ip_of("2001:db8::1"), raw_mapped("192.0.2.7")};
	struct tt_endpoint e = {ip_of("192.0.2.1"), 51820, 0};

	CU_ASSERT_TRUE(mesh_address_is_own(&e, own, 3, 51820));
	CU_ASSERT_FALSE(mesh_address_is_own(&e, own, 3, 51821));
	CU_ASSERT_FALSE(mesh_address_is_own(&e, own, 0, 51820));
	e.ip = raw_mapped("192.0.2.1");
	CU_ASSERT_TRUE(mesh_address_is_own(&e, own, 3, 51820));
	e.ip = ip_of("192.0.2.7");
	CU_ASSERT_TRUE(mesh_address_is_own(&e, own, 3, 51820));
	e.ip = ip_of("2001:db8::1");
	CU_ASSERT_TRUE(mesh_address_is_own(&e, own, 3, 51820));
	e.ip = ip_of("2001:db8::2");
	CU_ASSERT_FALSE(mesh_address_is_own(&e, own, 3, 51820));
}

TT_TESTS("mesh/address", {"kinds", kinds}, {"mapped is its IPv4", mapped_is_its_v4},
	 {"normalise and scope", normalise_scope}, {"case_23 targets", case_23_targets},
	 {"case_23 own udp_port", case_23_own_udp_port})
