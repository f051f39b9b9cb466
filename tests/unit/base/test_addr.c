/* SPDX-License-Identifier: MIT */
#include "base/addr.h"
#include "tt_test.h"

static struct tt_ip ip_of(const char *text)
{
	struct tt_ip ip = {0};

	CU_ASSERT_EQUAL(tt_ip_parse(text, &ip), 0);
	return ip;
}

static void ip_round_trip(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"10.77.0.1", "10.77.0.1"},
		{"::", "::"},
		{"::1", "::1"},
		{"FD77::0001", "fd77::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"fe80::1%3", "fe80::1%3"},
		{"febf::1%4294967295", "febf::1%4294967295"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::ffff:c000:201", "192.0.2.1"},
		{"0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"},
		{"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
	};
	char buf[TT_IP_TEXT_MAX];

	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		struct tt_ip ip = ip_of(cases[i].in);

		CU_ASSERT_STRING_EQUAL(tt_ip_format(&ip, buf), cases[i].out);
		struct tt_ip again = ip_of(buf);
		CU_ASSERT_TRUE(tt_ip_equal(&ip, &again));
		CU_ASSERT_EQUAL(memcmp(&ip, &again, sizeof(ip)), 0);
	}
}

static void ip_refused(void)
{
	static const char *const bad[] = {
		"",
		" 10.0.0.1",
		"10.0.0.1 ",
		"10.0.0",
		"10.0.0.1.2",
		"10.0.0.",
		".10.0.0.1",
		"10..0.1",
		"010.0.0.1",
		"10.0.0.01",
		"0x0a.0.0.1",
		"10.0.0.256",
		"10.0.0.-1",
		"10.0.0.+1",
		"167772161",
		"10.0.0.99999999999",
		"localhost",
		"1.2.3.4\n",
		"1.2.3.4/24",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"12345::",
		"::g",
		"::ffff:1.2.3",
		"::ffff:01.2.3.4",
		"::ffff:1.2.3.4%1",
		"[::1]",
		"fe80::1%",
		"fe80::1%eth0",
		"fe80::1%0",
		"fe80::1%03",
		"fe80::1%4294967296",
		"2001:db8::1%3",
		"10.0.0.1%3",
		"::1/64",
		"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
	};
	struct tt_ip before = ip_of("1.2.3.4"), ip = before;

	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++) {
		if (tt_ip_parse(bad[i], &ip) == 0)
			printf("  accepted: %s\n", bad[i]);
		CU_ASSERT(tt_ip_parse(bad[i], &ip) < 0);
		CU_ASSERT_EQUAL(memcmp(&ip, &before, sizeof(ip)), 0);
	}
}

static void constructors(void)
{
	static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
	static const uint8_t compat[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
	struct tt_ip a = tt_ip_v6(mapped), b = tt_ip_v4(mapped + 12);
	struct tt_ip c = tt_ip_v4_host(0x0a000001), d = tt_ip_v6(compat);

	CU_ASSERT_EQUAL(a.family, TT_FAMILY_V4);
	CU_ASSERT_TRUE(tt_ip_equal(&a, &b) && tt_ip_equal(&a, &c));
	CU_ASSERT_EQUAL(d.family, TT_FAMILY_V6);
	struct tt_ip x = ip_of("fe80::1%1"), y = ip_of("fe80::1%2");
	CU_ASSERT_FALSE(tt_ip_equal(&x, &y));
}

static void cidr_text(void)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{"10.0.0.1/24", "10.0.0.1/24"},
		{"10.0.0.1", "10.0.0.1/32"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"::/0", "::/0"},
		{"fd77::1/64", "fd77::1/64"},
		{"fd77::1", "fd77::1/128"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{"::ffff:10.0.0.1", "10.0.0.1/32"},
		{"::ffff:0.0.0.0/96", "0.0.0.0/0"},
	};
	static const char *const bad[] = {"",
					  "/",
					  "10.0.0.1/",
					  "10.0.0.1/33",
					  "10.0.0.1/-1",
					  "10.0.0.1/+8",
					  "10.0.0.1/08",
					  "10.0.0.1/8/8",
					  "10.0.0.1/ 8",
					  "fd77::1/129",
					  "::ffff:10.0.0.0/95",
					  "::ffff:10.0.0.0/8",
					  "fe80::1%3/64",
					  "/24",
					  "::ffff:10.0.0.0/129",
					  "10.0.0.1/4294967304",
					  "10.0.0.1/8.",
					  "10.0.0.1/0x8"};
	char buf[TT_CIDR_TEXT_MAX];
	struct tt_cidr c;

	for (size_t i = 0; i < TT_ARRAY_LEN(good); i++) {
		CU_ASSERT_EQUAL(tt_cidr_parse(good[i].in, &c), 0);
		CU_ASSERT_STRING_EQUAL(tt_cidr_format(&c, buf), good[i].out);
	}
	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++)
		CU_ASSERT(tt_cidr_parse(bad[i], &c) < 0);
}

static struct tt_cidr cidr_of(const char *text)
{
	struct tt_cidr c = {0};

	CU_ASSERT_EQUAL(tt_cidr_parse(text, &c), 0);
	return c;
}

static void cidr_contains(void)
{
	static const struct {
		const char *cidr, *ip;
		bool want;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.77/24", "10.0.0.1", true}, /* host bits do not count */
		{"10.0.0.128/25", "10.0.0.127", false},
		{"10.0.0.128/25", "10.0.0.255", true},
		{"10.0.0.1/32", "10.0.0.1", true},
		{"10.0.0.1/32", "10.0.0.0", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "::", false},
		{"::/0", "0.0.0.0", false},
		{"::/0", "::ffff:10.0.0.1", false}, /* a mapped address is IPv4 */
		{"0.0.0.0/0", "::ffff:10.0.0.1", true},
		{"fd77::/65", "fd77::8000:0:0:0", false},
		{"fd77::/65", "fd77::7fff:0:0:0", true},
		{"fd77::1/128", "fd77::1", true},
		{"fd77::1/128", "fd77::", false},
	};
	struct tt_ip none = {0};
	struct tt_cidr all = {0};

	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		struct tt_cidr c = cidr_of(cases[i].cidr);
		struct tt_ip ip = ip_of(cases[i].ip);

		CU_ASSERT_EQUAL(tt_cidr_contains(&c, &ip), cases[i].want);
		CU_ASSERT_FALSE(tt_cidr_contains(&c, &none));
	}
	CU_ASSERT_FALSE(tt_cidr_contains(&all, &none));
}

/* For every length: the mask leaves exactly the bits that contains() looks at. */
static void cidr_mask(void)
{
	for (unsigned bits = 0; bits <= 128; bits++) {
		struct tt_cidr c = {{.family = TT_FAMILY_V6}, (uint8_t)bits, {0}};

		memset(c.ip.b, 0xff, 16);
		CU_ASSERT_EQUAL(tt_cidr_mask(&c), bits < 128);
		CU_ASSERT_FALSE(tt_cidr_mask(&c));
		for (unsigned i = 0; i < 128; i++) {
			struct tt_ip ip = c.ip;

			CU_ASSERT_EQUAL(c.ip.b[i / 8] >> (7 - i % 8) & 1, i < bits);
			ip.b[i / 8] ^= (uint8_t)(0x80 >> i % 8);
			CU_ASSERT_EQUAL(tt_cidr_contains(&c, &ip), i >= bits);
		}
	}
	struct tt_cidr c = cidr_of("10.20.30.40/20");
	char buf[TT_CIDR_TEXT_MAX];
	CU_ASSERT_TRUE(tt_cidr_mask(&c));
	CU_ASSERT_STRING_EQUAL(tt_cidr_format(&c, buf), "10.20.16.0/20");
}

static void endpoint_text(void)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{"192.0.2.1:51820", "192.0.2.1:51820"},
		{"[2001:db8::1]:1", "[2001:db8::1]:1"},
		{"[fe80::1%2]:65535", "[fe80::1%2]:65535"},
		{"[::ffff:192.0.2.1]:53", "192.0.2.1:53"},
	};
	static const char *const bad[] = {"",
					  ":",
					  "192.0.2.1",
					  "192.0.2.1:",
					  "192.0.2.1:0",
					  ":51820",
					  "192.0.2.1:65536",
					  "192.0.2.1:080",
					  "192.0.2.1:+80",
					  "[192.0.2.1]:80",
					  "::1:80",
					  "[::1]",
					  "[::1]80",
					  "[::1]:",
					  "[::1:80",
					  "[]:80",
					  "host:80",
					  "192.0.2.1:80 ",
					  "192.0.2.1:80:80",
					  "[::1]]:80",
					  "[[::1]]:80",
					  "2001:db8::1:80"};
	char buf[TT_ENDPOINT_TEXT_MAX];
	struct tt_endpoint e;

	for (size_t i = 0; i < TT_ARRAY_LEN(good); i++) {
		CU_ASSERT_EQUAL(tt_endpoint_parse(good[i].in, &e), 0);
		CU_ASSERT_TRUE(tt_endpoint_is_set(&e));
		CU_ASSERT_STRING_EQUAL(tt_endpoint_format(&e, buf), good[i].out);
	}
	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++)
		CU_ASSERT(tt_endpoint_parse(bad[i], &e) < 0);
	struct tt_endpoint none = {0}, a, b;
	CU_ASSERT_FALSE(tt_endpoint_is_set(&none));
	CU_ASSERT_STRING_EQUAL(tt_endpoint_format(&none, buf), "(none)");
	CU_ASSERT_EQUAL(tt_endpoint_parse("1.2.3.4:5", &a), 0);
	CU_ASSERT_EQUAL(tt_endpoint_parse("1.2.3.4:6", &b), 0);
	CU_ASSERT_FALSE(tt_endpoint_equal(&a, &b));
	b.udp_port = 5;
	CU_ASSERT_TRUE(tt_endpoint_equal(&a, &b));
}

TT_TESTS("base/addr", {"ip round trip", ip_round_trip}, {"ip refused", ip_refused},
	 {"constructors", constructors}, {"cidr text", cidr_text}, {"cidr contains", cidr_contains},
	 {"cidr mask", cidr_mask}, {"endpoint text", endpoint_text})
