/* SPDX-License-Identifier: MIT */
#include "plat/nexthop.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include "tt_netns.h"
#include "tt_test.h"

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_C "02:00:00:00:00:0c"

static struct plat_nexthops *hops;

static struct tt_ip ip_of(const char *text)
{
	struct tt_ip ip = {0};

	CU_ASSERT_EQUAL_FATAL(tt_ip_parse(text, &ip), 0);
	return ip;
}

static struct plat_nexthop_query query_to(const char *to)
{
	return (struct plat_nexthop_query){.to = {.ip = ip_of(to), .udp_port = 51820},
					   .from_udp_port = 51820};
}

static struct plat_nexthop ask(const struct plat_nexthop_query *q)
{
	struct plat_nexthop n;

	CU_ASSERT_EQUAL(plat_nexthops_lookup(hops, q, &n), 0);
	return n;
}

static struct plat_nexthop ask_to(const char *to)
{
	struct plat_nexthop_query q = query_to(to);

	return ask(&q);
}

static void expect_ambiguous(const char *to, enum plat_nexthop_why why)
{
	struct plat_nexthop n = ask_to(to);

	if (n.verdict != PLAT_NEXTHOP_AMBIGUOUS || n.why != why)
		printf("  %s: %s, %s\n", to, plat_nexthop_verdict_name(n.verdict),
		       plat_nexthop_why_name(n.why));
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_AMBIGUOUS);
	CU_ASSERT_EQUAL(n.why, why);
}

static bool ip_is(const struct tt_ip *ip, const char *text)
{
	struct tt_ip want = ip_of(text);

	return tt_ip_equal(ip, &want);
}

/* Reads until there is silence for a moment. */
static void settle(void)
{
	struct pollfd p = {plat_nexthops_fd(hops), POLLIN, 0};

	while (poll(&p, 1, 60) > 0)
		CU_ASSERT_EQUAL_FATAL(plat_nexthops_read(hops), 0);
}

/* True where the generation changed within a second. */
static bool changes_from(uint64_t generation)
{
	struct pollfd p = {plat_nexthops_fd(hops), POLLIN, 0};

	for (unsigned i = 0; i < 20 && plat_nexthops_generation(hops) == generation; i++)
		if (poll(&p, 1, 50) > 0)
			CU_ASSERT_EQUAL_FATAL(plat_nexthops_read(hops), 0);
	return plat_nexthops_generation(hops) != generation;
}

/* A wire na - nb, na ours: 10.7.0.1/24, fd07::1/64. */
static bool enter(void)
{
	if (!tt_netns_enter(1))
		return false;
	if (tt_sh("ip link add na address " MAC_A " mtu 1500 type veth peer name nb address " MAC_B
		  " && sysctl -w net.ipv6.conf.na.accept_dad=0 net.ipv6.conf.nb.disable_ipv6=1"
		  " net.ipv6.conf.na.addr_gen_mode=1; ip link set na up && ip link set nb up &&"
		  " ip addr add 10.7.0.1/24 dev na && ip addr add fd07::1/64 dev na nodad")) {
		tt_test_skip(1, "no veth here");
		tt_netns_leave();
		return false;
	}
	int err = plat_nexthops_open(&hops);

	if (err == -ENOTSUP) {
		tt_test_skip(1, "this platform leaves next hops to the kernel");
		tt_netns_leave();
		return false;
	}
	CU_ASSERT_EQUAL_FATAL(err, 0);
	CU_ASSERT_EQUAL(plat_nexthops_generation(hops), 1);
	settle();
	return true;
}

static void leave(void)
{
	plat_nexthops_close(hops);
	hops = NULL;
	tt_netns_leave();
}

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb},
		     mac_c[6] = {2, 0, 0, 0, 0, 0xc};

static void on_link(void)
{
	static const char *const pairs[][2] = {{"10.7.0.2", "10.7.0.1"}, {"fd07::2", "fd07::1"}};

	if (!enter())
		return;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t g;
		struct plat_nexthop n = ask_to(pairs[i][0]);

		CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_UNRESOLVED);
		CU_ASSERT_EQUAL(n.ifindex, if_nametoindex("na"));
		settle();
		g = plat_nexthops_generation(hops);
		(void)ask_to(pairs[i][0]);
		tt_sh("ip neigh replace %s lladdr " MAC_B " dev na nud permanent", pairs[i][0]);
		CU_ASSERT_TRUE(changes_from(g));
		n = ask_to(pairs[i][0]);
		CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
		CU_ASSERT_EQUAL(n.route_ifindex, n.ifindex);
		CU_ASSERT_EQUAL(memcmp(n.src_mac, mac_a, 6), 0);
		CU_ASSERT_EQUAL(memcmp(n.dst_mac, mac_b, 6), 0);
		CU_ASSERT_TRUE(ip_is(&n.from, pairs[i][1]));
		CU_ASSERT_TRUE(ip_is(&n.via, pairs[i][0]));
		CU_ASSERT_EQUAL(n.path_mtu, 1500);
		CU_ASSERT_EQUAL(n.vlan_proto, 0);
	}
	leave();
}

static void by_gateway(void)
{
	struct plat_nexthop n;

	if (!enter())
		return;
	tt_sh("ip neigh replace 10.7.0.2 lladdr " MAC_B " dev na nud reachable;"
	      "ip neigh replace 10.7.0.3 lladdr " MAC_C " dev na nud permanent;"
	      "ip neigh replace fd07::3 lladdr " MAC_C " dev na nud permanent;"
	      "ip route add 192.0.2.0/24 via 10.7.0.2 mtu 1400;"
	      "ip addr add 10.7.0.99/24 dev na;"
	      "ip route add 198.51.100.0/24 via 10.7.0.3 src 10.7.0.99;"
	      "ip route add 2001:db8::/32 via fd07::3 mtu 1333;"
	      "ip route add 203.0.113.0/24 via inet6 fd07::3 dev na");
	settle();
	n = ask_to("192.0.2.77");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	CU_ASSERT_EQUAL(n.path_mtu, 1400);
	CU_ASSERT_EQUAL(memcmp(n.dst_mac, mac_b, 6), 0);
	CU_ASSERT_TRUE(ip_is(&n.via, "10.7.0.2"));
	n = ask_to("198.51.100.1");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	CU_ASSERT_TRUE(ip_is(&n.from, "10.7.0.99"));
	CU_ASSERT_EQUAL(memcmp(n.dst_mac, mac_c, 6), 0);
	n = ask_to("2001:db8::1");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	CU_ASSERT_EQUAL(n.path_mtu, 1333);
	CU_ASSERT_TRUE(ip_is(&n.from, "fd07::1"));
	n = ask_to("203.0.113.5");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	CU_ASSERT_TRUE(ip_is(&n.via, "fd07::3"));
	CU_ASSERT_EQUAL(memcmp(n.dst_mac, mac_c, 6), 0);
	leave();
}

/* A neighbour that changes its state without changing its address changes no answer. */
static void neighbour_changes(void)
{
	struct plat_nexthop n;
	uint64_t g;

	if (!enter())
		return;
	tt_sh("ip neigh replace 10.7.0.2 lladdr " MAC_B " dev na nud reachable;"
	      "ip neigh replace 10.7.0.3 lladdr " MAC_B " dev na nud reachable");
	settle();
	n = ask_to("10.7.0.2");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	g = plat_nexthops_generation(hops);
	tt_sh("ip neigh change 10.7.0.2 lladdr " MAC_B " dev na nud stale;"
	      "ip neigh change 10.7.0.3 lladdr " MAC_C " dev na nud reachable;"
	      "ip neigh replace 10.7.0.4 lladdr " MAC_C " dev na nud permanent");
	settle();
	CU_ASSERT_EQUAL(plat_nexthops_generation(hops), g);
	CU_ASSERT_EQUAL(ask_to("10.7.0.2").verdict, PLAT_NEXTHOP_RESOLVED);
	tt_sh("ip neigh change 10.7.0.2 lladdr " MAC_C " dev na nud reachable");
	CU_ASSERT_TRUE(changes_from(g));
	n = ask_to("10.7.0.2");
	CU_ASSERT_EQUAL(memcmp(n.dst_mac, mac_c, 6), 0);
	settle();
	(void)ask_to("10.7.0.2");
	g = plat_nexthops_generation(hops);
	tt_sh("ip neigh flush dev na");
	CU_ASSERT_TRUE(changes_from(g));
	CU_ASSERT_EQUAL(ask_to("10.7.0.2").verdict, PLAT_NEXTHOP_UNRESOLVED);
	settle();
	(void)ask_to("10.7.0.5");
	g = plat_nexthops_generation(hops);
	tt_sh("ip neigh replace 10.7.0.5 lladdr 01:00:5e:00:00:01 dev na nud permanent");
	settle();
	CU_ASSERT_EQUAL(ask_to("10.7.0.5").verdict, PLAT_NEXTHOP_UNRESOLVED);
	CU_ASSERT_EQUAL(plat_nexthops_generation(hops), g);
	leave();
}

static void only_the_kernel_knows(void)
{
	if (!enter())
		return;
	tt_sh("ip addr add 10.8.0.1/24 dev nb;"
	      "ip route add 192.0.2.0/24 nexthop via 10.7.0.2 nexthop via 10.8.0.2;"
	      "ip route add 2001:db8::/32 nexthop via fd07::2 nexthop via fd07::3;"
	      "ip route add blackhole 198.51.100.0/24; ip route add unreachable 198.51.101.0/24;"
	      "ip route add prohibit 198.51.102.0/24;"
	      "ip route add unreachable 2001:db9::/32; ip route add blackhole 2001:dba::/32;"
	      "ip route add 203.0.113.0/24 dev lo");
	expect_ambiguous("192.0.2.1", PLAT_NEXTHOP_WHY_MULTIPATH);
	expect_ambiguous("2001:db8::1", PLAT_NEXTHOP_WHY_MULTIPATH);
	expect_ambiguous("127.0.0.1", PLAT_NEXTHOP_WHY_LOCAL);
	expect_ambiguous("10.7.0.1", PLAT_NEXTHOP_WHY_LOCAL);
	expect_ambiguous("::1", PLAT_NEXTHOP_WHY_LOCAL);
	expect_ambiguous("203.0.113.1", PLAT_NEXTHOP_WHY_LOCAL);
	expect_ambiguous("10.7.0.255", PLAT_NEXTHOP_WHY_MULTICAST);
	CU_ASSERT_EQUAL(ask_to("198.51.100.1").verdict, PLAT_NEXTHOP_UNREACHABLE);
	CU_ASSERT_EQUAL(ask_to("198.51.101.1").verdict, PLAT_NEXTHOP_UNREACHABLE);
	CU_ASSERT_EQUAL(ask_to("198.51.102.1").verdict, PLAT_NEXTHOP_UNREACHABLE);
	CU_ASSERT_EQUAL(ask_to("2001:db9::1").verdict, PLAT_NEXTHOP_UNREACHABLE);
	CU_ASSERT_EQUAL(ask_to("2001:dba::1").verdict, PLAT_NEXTHOP_UNREACHABLE);
	CU_ASSERT_EQUAL(ask_to("9.9.9.9").verdict, PLAT_NEXTHOP_UNREACHABLE);
	CU_ASSERT_EQUAL(ask_to("2620::1").verdict, PLAT_NEXTHOP_UNREACHABLE);
	leave();
}

static void other_devices(void)
{
	if (!enter())
		return;
	if (tt_sh("ip tuntap add mode tun name tn && ip link set tn up &&"
		  " ip addr add 10.9.0.1/24 dev tn") == 0)
		expect_ambiguous("10.9.0.2", PLAT_NEXTHOP_WHY_TUNNEL);
	else
		tt_test_skip(1, "no TUN here");
	if (tt_sh("ip link add br type bridge && ip link set br up &&"
		  " ip addr add 10.10.0.1/24 dev br") == 0)
		expect_ambiguous("10.10.0.2", PLAT_NEXTHOP_WHY_MASTER);
	else
		tt_test_skip(1, "no bridge here");
	if (tt_sh("ip link add bo type bond && ip link set bo up &&"
		  " ip addr add 10.11.0.1/24 dev bo") == 0)
		expect_ambiguous("10.11.0.2", PLAT_NEXTHOP_WHY_MASTER);
	else
		tt_test_skip(1, "no bonding here");
	if (tt_sh("ip link add link na name mv type macvlan && ip link set mv up &&"
		  " ip addr add 10.12.0.1/24 dev mv") == 0)
		expect_ambiguous("10.12.0.2", PLAT_NEXTHOP_WHY_STACKED);
	else
		tt_test_skip(1, "no macvlan here");
	leave();
}

static void vlan(void)
{
	struct plat_nexthop n;

	if (!enter())
		return;
	if (tt_sh("ip link add link na name vl type vlan id 77 && ip link set vl up &&"
		  " ip addr add 10.13.0.1/24 dev vl &&"
		  " ip neigh replace 10.13.0.2 lladdr " MAC_C " dev vl nud permanent")) {
		tt_test_skip(1, "no VLANs here");
		leave();
		return;
	}
	n = ask_to("10.13.0.2");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	CU_ASSERT_EQUAL(n.ifindex, if_nametoindex("na"));
	CU_ASSERT_EQUAL(n.route_ifindex, if_nametoindex("vl"));
	CU_ASSERT_EQUAL(n.vlan_id, 77);
	CU_ASSERT_EQUAL(n.vlan_proto, 0x8100);
	CU_ASSERT_EQUAL(memcmp(n.dst_mac, mac_c, 6), 0);
	leave();
}

/* Marks, sources, interfaces and udp_ports lead to the route that the socket's packets take. */
static void policy(void)
{
	struct plat_nexthop_query q;
	struct plat_nexthop n;

	if (!enter())
		return;
	tt_sh("ip addr add 10.8.0.1/24 dev nb; ip addr add 10.7.0.9/24 dev na;"
	      "ip neigh replace 10.7.0.2 lladdr " MAC_B " dev na nud permanent;"
	      "ip neigh replace 10.8.0.2 lladdr " MAC_C " dev nb nud permanent;"
	      "ip route add default via 10.7.0.2;"
	      "ip route add default via 10.8.0.2 table 88;"
	      "ip rule add fwmark 0x51 table 88; ip rule add from 10.7.0.9 table 88;"
	      "ip rule add ipproto udp dport 999 table 88");
	settle();
	q = query_to("192.0.2.1");
	CU_ASSERT_EQUAL(ask(&q).ifindex, if_nametoindex("na"));
	q.fwmark = 0x51;
	CU_ASSERT_EQUAL(ask(&q).ifindex, if_nametoindex("nb"));
	q.fwmark = 0;
	q.from = ip_of("10.7.0.9");
	CU_ASSERT_EQUAL(ask(&q).ifindex, if_nametoindex("nb"));
	n = ask(&q);
	CU_ASSERT_TRUE(ip_is(&n.from, "10.7.0.9"));
	q.from = ip_of("10.7.0.1");
	CU_ASSERT_EQUAL(ask(&q).ifindex, if_nametoindex("na"));
	q.from = ip_of("10.200.0.1"); /* none of ours */
	CU_ASSERT_EQUAL(ask(&q).verdict, PLAT_NEXTHOP_UNREACHABLE);
	q.from = ip_of("fd07::1"); /* of the other family: not looked at */
	CU_ASSERT_EQUAL(ask(&q).ifindex, if_nametoindex("na"));
	q.to.udp_port = 999;
	CU_ASSERT_EQUAL(ask(&q).ifindex, if_nametoindex("nb"));
	leave();
}

static void expect_change(const char *command)
{
	uint64_t g;

	settle();
	g = plat_nexthops_generation(hops);
	CU_ASSERT_EQUAL(tt_sh("%s", command), 0);
	if (!changes_from(g)) {
		printf("  unnoticed: %s\n", command);
		CU_FAIL("a change went unnoticed");
	}
}

static void events(void)
{
	if (!enter())
		return;
	expect_change("ip route add 192.0.2.0/24 via 10.7.0.2");
	expect_change("ip route replace 192.0.2.0/24 via 10.7.0.3");
	expect_change("ip route del 192.0.2.0/24");
	expect_change("ip -6 route add 2001:db8::/32 via fd07::2");
	expect_change("ip addr add 10.7.1.1/24 dev na");
	expect_change("ip addr del 10.7.1.1/24 dev na");
	expect_change("ip rule add fwmark 7 table 70");
	expect_change("ip -6 rule add fwmark 7 table 70");
	expect_change("ip link set na mtu 1400");
	expect_change("ip link set na address 02:00:00:00:00:0d");
	expect_change("ip link set nb down");
	expect_change("ip link del na");
	leave();
}

/* More events than the socket holds: nothing is known any more, so everything is asked again. */
static void lost_events(void)
{
	struct plat_nexthop n;
	uint64_t g;

	if (!enter())
		return;
	tt_sh("ip neigh replace 10.7.0.2 lladdr " MAC_B " dev na nud permanent");
	settle();
	n = ask_to("10.7.0.2");
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_RESOLVED);
	g = plat_nexthops_generation(hops);
	/* Neighbours that no answer depends on: without the loss they would not count. */
	CU_ASSERT_EQUAL(tt_sh("sysctl -w net.ipv4.neigh.default.gc_thresh3=20000;"
			      "for i in $(seq 1 4000); do echo neigh replace 10.7.$((i / 250 + 1))."
			      "$((i %% 250 + 1)) lladdr " MAC_C " dev na nud permanent; done |"
			      " ip -batch -"),
			0);
	CU_ASSERT_TRUE(changes_from(g));
	settle();
	CU_ASSERT_EQUAL(ask_to("10.7.0.2").verdict, PLAT_NEXTHOP_RESOLVED);
	leave();
}

static void many_neighbours(void)
{
	uint64_t g;
	char to[32];

	if (!enter())
		return;
	settle();
	for (unsigned i = 0; i < 1100; i++) {
		snprintf(to, sizeof(to), "10.7.0.%u", i % 200 + 10);
		(void)ask_to(to);
	}
	tt_sh("ip addr add 10.50.0.1/16 dev na");
	settle();
	for (unsigned i = 0; i < 1100; i++) {
		snprintf(to, sizeof(to), "10.50.%u.%u", i / 200, i % 200 + 10);
		CU_ASSERT_EQUAL(ask_to(to).verdict, PLAT_NEXTHOP_UNRESOLVED);
	}
	/* More than are remembered: now every neighbour counts. */
	g = plat_nexthops_generation(hops);
	tt_sh("ip neigh replace 10.7.0.250 lladdr " MAC_B " dev na nud permanent");
	CU_ASSERT_TRUE(changes_from(g));
	leave();
}

static void wrong_questions(void)
{
	struct plat_nexthop_query q = {0};
	struct plat_nexthop n;

	if (!enter())
		return;
	CU_ASSERT_EQUAL(plat_nexthops_lookup(hops, &q, &n), -EINVAL);
	CU_ASSERT_EQUAL(n.verdict, PLAT_NEXTHOP_UNREACHABLE);
	q = query_to("10.7.0.2");
	q.ifindex = 4242;
	CU_ASSERT_EQUAL(ask(&q).verdict, PLAT_NEXTHOP_UNREACHABLE);
	plat_nexthops_close(NULL);
	leave();
}

TT_TESTS("nexthop", {"on link", on_link}, {"by gateway", by_gateway},
	 {"neighbour changes", neighbour_changes}, {"only the kernel knows", only_the_kernel_knows},
	 {"other devices", other_devices}, {"vlan", vlan}, {"policy", policy}, {"events", events},
	 {"lost events", lost_events}, {"many neighbours", many_neighbours},
	 {"wrong questions", wrong_questions})
