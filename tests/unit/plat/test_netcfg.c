/* SPDX-License-Identifier: MIT */
#include "plat/netcfg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/tun.h"
#include "tt_netns.h"
#include "tt_test.h"

static char journal[64];
static struct plat_tun_info tun;

/* A namespace, the TUN "tn0", and an unrelated veth pair "va"/"vb" with 192.0.2.1/24 on va. */
static struct plat_netcfg *enter(void)
{
	struct plat_netcfg *c = NULL;
	int err;

	snprintf(journal, sizeof(journal), "/tmp/tt-netcfg-%d", (int)getpid());
	unlink(journal);
	if (!tt_netns_enter(1))
		return NULL;
	err = plat_tun_create("tn0", 1, 0, &tun);
	if (err) {
		tt_test_skip(1, "no TUN here");
		tt_netns_leave();
		return NULL;
	}
	CU_ASSERT_EQUAL_FATAL(tt_sh("ip link add va type veth peer name vb && ip link set va up && "
				    "ip link set vb up && ip addr add 192.0.2.1/24 dev va"),
			      0);
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_open(tun.ifindex, journal, &c), 0);
	CU_ASSERT_EQUAL(plat_netcfg_set_up(c, true), 0);
	return c;
}

static void leave(struct plat_netcfg *c)
{
	plat_netcfg_close(c);
	plat_tun_close(&tun);
	unlink(journal);
	tt_netns_leave();
}

static struct tt_cidr cidr(const char *text)
{
	struct tt_cidr c;

	CU_ASSERT_EQUAL_FATAL(tt_cidr_parse(text, &c), 0);
	return c;
}

static int addr_add(struct plat_netcfg *c, const char *text)
{
	struct tt_cidr a = cidr(text);

	return plat_netcfg_addr_add(c, &a);
}

static int addr_del(struct plat_netcfg *c, const char *text)
{
	struct tt_cidr a = cidr(text);

	return plat_netcfg_addr_del(c, &a);
}

static int route_add(struct plat_netcfg *c, const char *text, uint32_t table, uint32_t metric)
{
	struct tt_cidr p = cidr(text);

	return plat_netcfg_route_add(c, &p, table, metric);
}

static int route_del(struct plat_netcfg *c, const char *text, uint32_t table, uint32_t metric)
{
	struct tt_cidr p = cidr(text);

	return plat_netcfg_route_del(c, &p, table, metric);
}

/* Does the command print anything that matches? */
static bool shows(const char *command, const char *pattern)
{
	return tt_sh("%s | grep -q -- '%s'", command, pattern) == 0;
}

static bool is_linux_backend(void)
{
	int fd = plat_netcfg_watch_open();

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void link_state(void)
{
	struct plat_netcfg *c = enter();
	struct plat_netcfg_link l;

	if (!c)
		return;
	CU_ASSERT_EQUAL(plat_netcfg_set_mtu(c, 1380), 0);
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_link_get(0, "tn0", &l), 0);
	CU_ASSERT_EQUAL(l.ifindex, tun.ifindex);
	CU_ASSERT_EQUAL(l.mtu, 1380);
	CU_ASSERT_TRUE(l.up);
	CU_ASSERT_EQUAL(plat_netcfg_set_up(c, false), 0);
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_link_get(tun.ifindex, NULL, &l), 0);
	CU_ASSERT_STRING_EQUAL(l.name, "tn0");
	CU_ASSERT_FALSE(l.up);
	CU_ASSERT_EQUAL(plat_netcfg_link_get(9999, NULL, &l), -ENODEV);
	CU_ASSERT_EQUAL(plat_netcfg_link_get(0, NULL, &l), -EINVAL);
	CU_ASSERT_TRUE(plat_netcfg_link_get(0, "nothere", &l) < 0);
	CU_ASSERT_TRUE(plat_netcfg_set_mtu(c, 1) < 0);
	CU_ASSERT_EQUAL(tt_sh("ip link del tn0"), 0);
	int err = plat_netcfg_set_up(c, true);
	CU_ASSERT_TRUE(err == -ENODEV || !is_linux_backend());
	CU_ASSERT_TRUE(err < 0);
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	leave(c);
}

static void addresses(void)
{
	struct plat_netcfg *c = enter();

	if (!c)
		return;
	CU_ASSERT_EQUAL(addr_add(c, "10.7.0.1/24"), 0);
	CU_ASSERT_EQUAL(addr_add(c, "10.7.0.1/24"), 0);
	CU_ASSERT_EQUAL(addr_add(c, "fd77::1/64"), 0);
	CU_ASSERT_EQUAL(addr_add(c, "10.7.1.1/32"), 0);
	CU_ASSERT_TRUE(shows("ip addr show tn0", "10.7.0.1/24"));
	CU_ASSERT_TRUE(shows("ip addr show tn0", "fd77::1/64"));
	CU_ASSERT_EQUAL(addr_del(c, "10.7.1.1/32"), 0);
	CU_ASSERT_FALSE(shows("ip addr show tn0", "10.7.1.1/32"));
	CU_ASSERT_EQUAL(addr_del(c, "10.7.1.1/32"), -ENOENT);
	CU_ASSERT_EQUAL(addr_del(c, "192.0.2.1/24"), -ENOENT);
	/* Somebody else's, on our interface: left alone. */
	CU_ASSERT_EQUAL(tt_sh("ip addr add 10.8.0.1/24 dev tn0"), 0);
	if (is_linux_backend())
		CU_ASSERT_EQUAL(addr_add(c, "10.8.0.1/24"), 0);
	CU_ASSERT_EQUAL(addr_del(c, "10.8.0.1/24"), -ENOENT);
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	CU_ASSERT_FALSE(shows("ip addr show tn0", "10.7.0.1"));
	CU_ASSERT_FALSE(shows("ip addr show tn0", "fd77::1"));
	CU_ASSERT_TRUE(shows("ip addr show tn0", "10.8.0.1/24"));
	CU_ASSERT_TRUE(shows("ip addr show va", "192.0.2.1/24"));
	leave(c);
}

static void routes(void)
{
	struct plat_netcfg *c = enter();

	if (!c)
		return;
	CU_ASSERT_EQUAL(addr_add(c, "10.7.0.1/24"), 0);
	CU_ASSERT_EQUAL(route_add(c, "10.9.0.0/16", 0, 0), 0);
	CU_ASSERT_EQUAL(route_add(c, "10.9.0.0/16", 0, 0), 0);
	CU_ASSERT_EQUAL(route_add(c, "10.9.0.0/16", 0, 50), 0);
	CU_ASSERT_EQUAL(route_add(c, "10.10.0.0/16", 1234, 7), 0);
	CU_ASSERT_EQUAL(route_add(c, "fd99::/48", 0, 0), 0);
	CU_ASSERT_EQUAL(route_add(c, "2001:db8::/32", 70000, 0), 0);
	CU_ASSERT_TRUE(shows("ip route", "10.9.0.0/16 dev tn0 .*scope link"));
	CU_ASSERT_TRUE(shows("ip route", "10.9.0.0/16 dev tn0 .*metric 50"));
	CU_ASSERT_TRUE(shows("ip route show table 1234", "10.10.0.0/16 dev tn0 .*metric 7"));
	CU_ASSERT_TRUE(shows("ip -6 route", "fd99::/48 dev tn0"));
	CU_ASSERT_TRUE(shows("ip -6 route show table 70000", "2001:db8::/32 dev tn0"));
	CU_ASSERT_EQUAL(route_del(c, "10.9.0.0/16", 0, 50), 0);
	CU_ASSERT_FALSE(shows("ip route", "10.9.0.0/16 dev tn0 .*metric 50"));
	CU_ASSERT_TRUE(shows("ip route", "10.9.0.0/16 dev tn0"));
	CU_ASSERT_EQUAL(route_del(c, "10.9.0.0/16", 0, 51), -ENOENT);
	/* Another interface's. */
	CU_ASSERT_TRUE(route_add(c, "192.0.2.0/24", 0, 0) < 0);
	CU_ASSERT_EQUAL(route_del(c, "192.0.2.0/24", 0, 0), -ENOENT);
	CU_ASSERT_EQUAL(tt_sh("ip route add 10.11.0.0/16 dev va"), 0);
	int err = route_add(c, "10.11.0.0/16", 0, 0);
	CU_ASSERT_TRUE(err == -EEXIST || (err < 0 && !is_linux_backend()));
	if (is_linux_backend()) {
		/* The kernel's for our address, and one by hand. */
		CU_ASSERT_EQUAL(route_add(c, "10.7.0.0/24", 0, 0), 0);
		CU_ASSERT_EQUAL(route_del(c, "10.7.0.0/24", 0, 0), -ENOENT);
		CU_ASSERT_EQUAL(tt_sh("ip route add 10.12.0.0/16 dev tn0 && "
				      "ip -6 route add fd12::/16 dev tn0"),
				0);
		CU_ASSERT_EQUAL(route_add(c, "10.12.0.0/16", 0, 0), 0);
		CU_ASSERT_EQUAL(route_add(c, "fd12::/16", 0, 0), 0);
	}
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	CU_ASSERT_FALSE(shows("ip route", "10.9.0.0"));
	CU_ASSERT_FALSE(shows("ip route show table 1234", "."));
	CU_ASSERT_FALSE(shows("ip -6 route show table 70000", "."));
	CU_ASSERT_TRUE(shows("ip route", "10.11.0.0/16 dev va"));
	if (is_linux_backend())
		CU_ASSERT_TRUE(shows("ip -6 route", "fd12::/16 dev tn0"));
	CU_ASSERT_NOT_EQUAL(access(journal, F_OK), 0);
	leave(c);
}

static void route_needs_link(void)
{
	struct plat_netcfg *c = enter();

	if (!c)
		return;
	CU_ASSERT_EQUAL(plat_netcfg_set_up(c, false), 0);
	int err = route_add(c, "10.9.0.0/16", 0, 0);
	CU_ASSERT_TRUE(err == -ENETDOWN || (err < 0 && !is_linux_backend()));
	CU_ASSERT_EQUAL(route_del(c, "10.9.0.0/16", 0, 0), -ENOENT);
	/* Gone with the link by themselves: neither undo nor adding again minds. */
	CU_ASSERT_EQUAL(plat_netcfg_set_up(c, true), 0);
	CU_ASSERT_EQUAL(route_add(c, "10.9.0.0/16", 0, 0), 0);
	CU_ASSERT_EQUAL(tt_sh("ip route del 10.9.0.0/16"), 0);
	if (is_linux_backend()) {
		CU_ASSERT_EQUAL(route_add(c, "10.9.0.0/16", 0, 0), 0);
		CU_ASSERT_TRUE(shows("ip route", "10.9.0.0/16"));
		CU_ASSERT_EQUAL(tt_sh("ip route del 10.9.0.0/16"), 0);
		CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	}
	leave(c);
}

/* What the kernel does for us counts, and not how long the machine lets us wait. */
static double used_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* An emulated processor is slow, and stands still without knowing: TT_PATIENCE, as in tests/vm. */
static double patience(void)
{
	const char *times = getenv("TT_PATIENCE");

	return times && atof(times) > 1 ? atof(times) : 1;
}

static void many_routes(void)
{
	enum { COUNT = 10000 };
	struct plat_netcfg *c = enter();

	if (!c)
		return;
	if (!is_linux_backend()) {
		tt_test_skip(1, "one command per route is slow");
		leave(c);
		return;
	}
	double start = used_seconds();
	for (uint32_t i = 0; i < COUNT; i++) {
		struct tt_cidr p = {.ip = tt_ip_v4_host(0x0b000000 + i * 256), .bits = 24};

		if (plat_netcfg_route_add(c, &p, 0, 0) != 0)
			CU_FAIL_FATAL("route");
	}
	/* Every third by hand, so that the memory is rearranged often. */
	for (uint32_t i = 0; i < COUNT; i += 3) {
		struct tt_cidr p = {.ip = tt_ip_v4_host(0x0b000000 + i * 256), .bits = 24};

		if (plat_netcfg_route_del(c, &p, 0, 0) != 0)
			CU_FAIL_FATAL("route");
	}
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	CU_ASSERT_TRUE(used_seconds() - start < 10 * patience());
	CU_ASSERT_FALSE(shows("ip route", "tn0"));
	leave(c);
}

static char rules_before[2][512];

static void read_rules(char out[512], const char *command)
{
	FILE *f = popen(command, "r");
	size_t n = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	n = fread(out, 1, 511, f);
	out[n] = 0;
	pclose(f);
}

static bool rules_as_before(void)
{
	char now[512];

	read_rules(now, "ip -4 rule");
	if (strcmp(now, rules_before[0]) != 0)
		return false;
	read_rules(now, "ip -6 rule");
	return strcmp(now, rules_before[1]) == 0;
}

static char src_valid_mark(void)
{
	int fd = open("/proc/sys/net/ipv4/conf/all/src_valid_mark", O_RDONLY | O_CLOEXEC);
	char c = '?';

	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = '?';
	close(fd);
	return c;
}

static struct plat_netcfg *enter_default(void)
{
	struct plat_netcfg *c = enter();

	if (!c)
		return NULL;
	if (!is_linux_backend()) {
		CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), -ENOTSUP);
		tt_test_skip(1, "no policy rules on this platform");
		leave(c);
		return NULL;
	}
	read_rules(rules_before[0], "ip -4 rule");
	read_rules(rules_before[1], "ip -6 rule");
	CU_ASSERT_EQUAL(addr_add(c, "10.7.0.1/24"), 0);
	CU_ASSERT_EQUAL(addr_add(c, "fd77::1/64"), 0);
	return c;
}

static unsigned out_interface(const char *to, uint32_t fwmark)
{
	unsigned ifindex = 0, mtu = 0;
	struct tt_ip ip;

	CU_ASSERT_EQUAL_FATAL(tt_ip_parse(to, &ip), 0);
	int err = plat_netcfg_route_get(&ip, fwmark, &ifindex, &mtu);
	CU_ASSERT_EQUAL(err ? err : (int)(mtu == 0), ifindex ? 0 : -ENETUNREACH);
	return ifindex;
}

static void default_route(void)
{
	struct plat_netcfg *c = enter_default();

	if (!c)
		return;
	CU_ASSERT_EQUAL(tt_sh("ip route add default via 192.0.2.2 dev va"), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 0, 770), -EINVAL);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V6, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 78, 770), -EBUSY);
	CU_ASSERT_TRUE(shows("ip rule", "not from all fwmark 0x4d lookup 770"));
	CU_ASSERT_TRUE(shows("ip -6 rule", "lookup main suppress_prefixlength 0"));
	CU_ASSERT_EQUAL(src_valid_mark(), '1');
	/* Unmarked into the tunnel, marked past it, the local network as before. */
	CU_ASSERT_EQUAL(out_interface("198.51.100.1", 0), tun.ifindex);
	CU_ASSERT_NOT_EQUAL(out_interface("198.51.100.1", 77), tun.ifindex);
	CU_ASSERT_NOT_EQUAL(out_interface("198.51.100.1", 77), 0);
	CU_ASSERT_NOT_EQUAL(out_interface("192.0.2.9", 0), tun.ifindex);
	CU_ASSERT_EQUAL(out_interface("2001:db8::1", 0), tun.ifindex);
	CU_ASSERT_EQUAL(out_interface("2001:db8::1", 77), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_del(c, TT_FAMILY_V4), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_del(c, TT_FAMILY_V4), -ENOENT);
	CU_ASSERT_EQUAL(src_valid_mark(), '0');
	CU_ASSERT_NOT_EQUAL(out_interface("198.51.100.1", 0), tun.ifindex);
	CU_ASSERT_EQUAL(out_interface("2001:db8::1", 0), tun.ifindex);
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	CU_ASSERT_TRUE(rules_as_before());
	CU_ASSERT_NOT_EQUAL(access(journal, F_OK), 0);
	leave(c);
}

static void default_route_refused(void)
{
	struct plat_netcfg *c = enter_default();

	if (!c)
		return;
	CU_ASSERT_EQUAL(tt_sh("ip route add default via 192.0.2.2 dev va table 770"), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), -EEXIST);
	/* No room before the first rule: everything is as before. */
	CU_ASSERT_EQUAL(tt_sh("ip rule add pref 2 table main"), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 771), -ENOSPC);
	CU_ASSERT_EQUAL(tt_sh("ip rule del pref 2"), 0);
	CU_ASSERT_TRUE(rules_as_before());
	CU_ASSERT_EQUAL(src_valid_mark(), '0');
	CU_ASSERT_FALSE(shows("ip route show table 771", "."));
	CU_ASSERT_NOT_EQUAL(access(journal, F_OK), 0);
	CU_ASSERT_TRUE(shows("ip route show table 770", "default via 192.0.2.2"));
	leave(c);
}

/* Two tunnels: the end of the first takes away nothing that the second needs. */
static void two_tunnels(void)
{
	struct plat_netcfg *c = enter_default(), *other;
	struct plat_tun_info second;

	if (!c)
		return;
	CU_ASSERT_EQUAL_FATAL(plat_tun_create("tn1", 1, 0, &second), 0);
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_open(second.ifindex, NULL, &other), 0);
	CU_ASSERT_EQUAL(plat_netcfg_set_up(other, true), 0);
	uint32_t table;
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V6, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_table_find(second.ifindex, 770, 2, &table), 0);
	CU_ASSERT_EQUAL(table, 771);
	CU_ASSERT_EQUAL(plat_netcfg_table_find(second.ifindex, 770, 1, &table), -ENOSPC);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(other, TT_FAMILY_V4, 78, 780), 0);
	/* its own, even where one before it is free */
	CU_ASSERT_EQUAL(plat_netcfg_table_find(second.ifindex, 770, 64, &table), 0);
	CU_ASSERT_EQUAL(table, 780);
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	CU_ASSERT_EQUAL(src_valid_mark(), '1');
	CU_ASSERT_EQUAL(out_interface("198.51.100.1", 0), second.ifindex);
	CU_ASSERT_NOT_EQUAL(out_interface("192.0.2.9", 0), second.ifindex);
	CU_ASSERT_EQUAL(plat_netcfg_undo(other), 0);
	CU_ASSERT_TRUE(rules_as_before());
	plat_netcfg_close(other);
	plat_tun_close(&second);
	leave(c);
}

/* Killed with everything applied; the next start finds the file and removes the leftovers. */
static void leftovers(void)
{
	struct plat_netcfg *c = enter_default(), *again;

	if (!c)
		return;
	CU_ASSERT_EQUAL(tt_sh("ip rule add pref 100 from 203.0.113.7 table 5"), 0);
	read_rules(rules_before[0], "ip -4 rule");
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V6, 77, 770), 0);
	plat_tun_close(&tun);
	CU_ASSERT_FALSE(rules_as_before());
	CU_ASSERT_EQUAL_FATAL(plat_tun_create("tn0", 1, 0, &tun), 0);
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_open(tun.ifindex, journal, &again), 0);
	CU_ASSERT_TRUE(rules_as_before());
	CU_ASSERT_EQUAL(src_valid_mark(), '0');
	CU_ASSERT_NOT_EQUAL(access(journal, F_OK), 0);
	plat_netcfg_close(again);
	leave(c);
}

#define GUARD "nft list table inet 'taltun_tn0_route'"

/* The firewall table: follows addresses and default routes, of both families. */
static void guard(void)
{
	struct plat_netcfg *c = enter_default(), *again;
	char reason[64];

	if (!c)
		return;
	if (tt_sh("nft list tables") != 0) {
		tt_test_skip(1, "no nft here");
		leave(c);
		return;
	}
	CU_ASSERT_NOT_EQUAL(tt_sh(GUARD), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_guard_state(c, reason, sizeof(reason)), 0);
	CU_ASSERT_STRING_EQUAL(reason, "");
	CU_ASSERT_TRUE(shows(GUARD, "ipv4 meta l4proto udp ct mark 0x0000004d meta mark set ct"));
	CU_ASSERT_FALSE(shows(GUARD, "ipv6 "));
	CU_ASSERT_TRUE(shows(GUARD, "ip daddr 10.7.0.1 fib saddr type != local drop"));
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V6, 77, 770), 0);
	CU_ASSERT_TRUE(shows(GUARD, "ipv6 meta l4proto udp ct mark 0x0000004d meta mark set ct"));
	CU_ASSERT_EQUAL(addr_add(c, "10.7.0.8/32"), 0);
	CU_ASSERT_EQUAL(addr_del(c, "10.7.0.1/24"), 0);
	CU_ASSERT_TRUE(shows(GUARD, "daddr 10.7.0.8 "));
	CU_ASSERT_FALSE(shows(GUARD, "daddr 10.7.0.1 "));
	CU_ASSERT_EQUAL(plat_netcfg_default_del(c, TT_FAMILY_V4), 0);
	CU_ASSERT_FALSE(shows(GUARD, "ipv4 "));
	/* Killed here: the next start removes it. */
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_open(tun.ifindex, journal, &again), 0);
	plat_netcfg_close(again);
	CU_ASSERT_NOT_EQUAL(tt_sh(GUARD), 0);
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	leave(c);
}

/* The default route stands without the table, and the reason is told. */
static void guard_without_nft(void)
{
	struct plat_netcfg *c = enter_default();
	char path[4096], reason[64];

	if (!c)
		return;
	snprintf(path, sizeof(path), "%s", getenv("PATH") ? getenv("PATH") : "");
	setenv("PATH", "/nonexistent", 1);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(c, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_guard_state(c, reason, sizeof(reason)), -ENOENT);
	CU_ASSERT_STRING_EQUAL(reason, "nft is not installed");
	CU_ASSERT_EQUAL(out_interface("198.51.100.1", 0), tun.ifindex);
	CU_ASSERT_EQUAL(plat_netcfg_undo(c), 0);
	setenv("PATH", path, 1);
	CU_ASSERT_TRUE(rules_as_before());
	CU_ASSERT_NOT_EQUAL(access(journal, F_OK), 0);
	leave(c);
}

/* Names that nft would not take. */
static void guard_odd_name(void)
{
	static const char name[] = "a=\"*;{}#!$b'";
	struct plat_netcfg *c = enter_default(), *odd;
	struct plat_tun_info second;
	char reason[64];

	if (!c)
		return;
	if (tt_sh("nft list tables") != 0) {
		tt_test_skip(1, "no nft here");
		leave(c);
		return;
	}
	CU_ASSERT_EQUAL_FATAL(plat_tun_create(name, 1, 0, &second), 0);
	CU_ASSERT_EQUAL_FATAL(plat_netcfg_open(second.ifindex, NULL, &odd), 0);
	CU_ASSERT_EQUAL(plat_netcfg_set_up(odd, true), 0);
	CU_ASSERT_EQUAL(plat_netcfg_default_add(odd, TT_FAMILY_V4, 77, 770), 0);
	CU_ASSERT_EQUAL(plat_netcfg_guard_state(odd, reason, sizeof(reason)), 0);
	CU_ASSERT_TRUE(
		shows("nft list tables", "inet taltun_a/3d/22/2a/3b/7b/7d/23/21/24b/27_route$"));
	CU_ASSERT_EQUAL(plat_netcfg_undo(odd), 0);
	CU_ASSERT_FALSE(shows("nft list tables", "taltun"));
	plat_netcfg_close(odd);
	plat_tun_close(&second);
	leave(c);
}

static void damaged_journal(void)
{
	static const char *const text[] = {"",
					   "garbage\n",
					   "0 4\n",
					   "99 4 1 1 1\n",
					   "2 4 254 0 0\n3 4 0 0 0\n",
					   "0 9 1 1 1\n0 4 770 100 5 6\n",
					   "4294967296 4 1 1 1\n\n\n\x01\x02"};
	struct plat_netcfg *c = enter_default(), *again;

	if (!c)
		return;
	for (unsigned i = 0; i < TT_ARRAY_LEN(text); i++) {
		FILE *f = fopen(journal, "w");

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		fputs(text[i], f);
		fclose(f);
		CU_ASSERT_EQUAL_FATAL(plat_netcfg_open(tun.ifindex, journal, &again), 0);
		plat_netcfg_close(again);
		CU_ASSERT_TRUE(rules_as_before());
		CU_ASSERT_NOT_EQUAL(access(journal, F_OK), 0);
	}
	/* Not through a link that somebody put there. */
	CU_ASSERT_EQUAL_FATAL(symlink("/dev/null", journal), 0);
	CU_ASSERT_EQUAL(plat_netcfg_open(tun.ifindex, journal, &again), -ELOOP);
	leave(c);
}

static void queries(void)
{
	struct plat_netcfg *c = enter_default();
	unsigned ifindex, mtu;
	struct tt_ip ip = tt_ip_v4_host(0x0a070009);

	if (!c)
		return;
	CU_ASSERT_EQUAL(plat_netcfg_set_mtu(c, 1400), 0);
	CU_ASSERT_EQUAL(plat_netcfg_route_get(&ip, 0, &ifindex, &mtu), 0);
	CU_ASSERT_EQUAL(ifindex, tun.ifindex);
	CU_ASSERT_EQUAL(mtu, 1400);
	CU_ASSERT_EQUAL(tt_sh("ip route add 10.13.0.0/16 dev tn0 mtu 1300"), 0);
	ip = tt_ip_v4_host(0x0a0d0001);
	CU_ASSERT_EQUAL(plat_netcfg_route_get(&ip, 0, &ifindex, &mtu), 0);
	CU_ASSERT_EQUAL(mtu, 1300);
	ip = tt_ip_v4_host(0x08080808);
	CU_ASSERT_EQUAL(plat_netcfg_route_get(&ip, 0, &ifindex, &mtu), -ENETUNREACH);
	ip.family = TT_FAMILY_NONE;
	CU_ASSERT_EQUAL(plat_netcfg_route_get(&ip, 0, &ifindex, &mtu), -EINVAL);
	leave(c);
}

struct seen {
	const char *address; /* of ADDR and ROUTE events to look at */
	unsigned count, lost;
	struct plat_netcfg_event last[3]; /* by kind */
};

static void on_event(void *arg, const struct plat_netcfg_event *ev)
{
	char text[TT_IP_TEXT_MAX];
	struct seen *s = arg;

	s->count++;
	/* Events of the veth and of IPv6's own addresses and routes come when they like. */
	if (ev->kind != PLAT_NETCFG_EVENT_LOST && ev->ifindex != tun.ifindex)
		return;
	if ((ev->kind == PLAT_NETCFG_EVENT_ADDR || ev->kind == PLAT_NETCFG_EVENT_ROUTE) &&
	    (!s->address || strcmp(tt_ip_format(&ev->ip, text), s->address) != 0))
		return;
	if (ev->kind == PLAT_NETCFG_EVENT_LOST)
		s->lost++;
	else
		s->last[ev->kind] = *ev;
}

static struct seen watch(int fd, const char *address)
{
	struct seen s = {.address = address};
	struct pollfd p = {.fd = fd, .events = POLLIN};

	/* What a command did is in the socket before it ends. */
	while (poll(&p, 1, 0) == 1)
		if (plat_netcfg_watch_read(fd, on_event, &s) != 0)
			break;
	return s;
}

static void watch_events(void)
{
	struct plat_netcfg *c = enter_default();
	struct seen s;
	int fd;

	if (!c)
		return;
	fd = plat_netcfg_watch_open();
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(addr_add(c, "10.20.0.1/24"), 0);
	s = watch(fd, "10.20.0.1");
	CU_ASSERT_EQUAL(s.last[1].kind, PLAT_NETCFG_EVENT_ADDR);
	CU_ASSERT_EQUAL(s.last[1].bits, 24);
	CU_ASSERT_EQUAL(s.last[1].ifindex, tun.ifindex);
	CU_ASSERT_FALSE(s.last[1].removed);
	CU_ASSERT_EQUAL(addr_del(c, "10.20.0.1/24"), 0);
	s = watch(fd, "10.20.0.1");
	CU_ASSERT_EQUAL(s.last[1].kind, PLAT_NETCFG_EVENT_ADDR);
	CU_ASSERT_TRUE(s.last[1].removed);
	CU_ASSERT_EQUAL(addr_del(c, "fd77::1/64"), 0);
	s = watch(fd, "fd77::1");
	CU_ASSERT_EQUAL(s.last[1].kind, PLAT_NETCFG_EVENT_ADDR);
	CU_ASSERT_TRUE(s.last[1].removed);
	CU_ASSERT_EQUAL(route_add(c, "10.21.0.0/16", 0, 0), 0);
	s = watch(fd, "10.21.0.0");
	CU_ASSERT_EQUAL(s.last[2].kind, PLAT_NETCFG_EVENT_ROUTE);
	CU_ASSERT_EQUAL(s.last[2].bits, 16);
	CU_ASSERT_EQUAL(s.last[2].ifindex, tun.ifindex);
	CU_ASSERT_EQUAL(plat_netcfg_set_mtu(c, 1333), 0);
	s = watch(fd, NULL);
	CU_ASSERT_EQUAL(s.last[0].ifindex, tun.ifindex);
	CU_ASSERT_EQUAL(s.last[0].mtu, 1333);
	CU_ASSERT_TRUE(s.last[0].flags & PLAT_NETCFG_LINK_UP);
	CU_ASSERT_EQUAL(plat_netcfg_set_up(c, false), 0);
	s = watch(fd, NULL);
	CU_ASSERT_FALSE(s.last[0].flags & PLAT_NETCFG_LINK_UP);
	close(fd);
	CU_ASSERT_EQUAL(plat_netcfg_watch_read(fd, on_event, &s), -EBADF);
	leave(c);
}

/* More than the buffer holds: told once or more, and afterwards all goes on. */
static void watch_overflow(void)
{
	struct plat_netcfg *c = enter_default();
	struct seen s;
	int fd;

	if (!c)
		return;
	fd = plat_netcfg_watch_open();
	CU_ASSERT_FATAL(fd >= 0);
	for (uint32_t i = 0; i < 6000; i++) {
		struct tt_cidr p = {.ip = tt_ip_v4_host(0x0b000000 + i * 256), .bits = 24};

		(void)plat_netcfg_route_add(c, &p, 0, 0);
	}
	s = watch(fd, NULL);
	CU_ASSERT_TRUE(s.lost >= 1);
	CU_ASSERT_TRUE(s.count > 100);
	CU_ASSERT_EQUAL(plat_netcfg_set_mtu(c, 1334), 0);
	s = watch(fd, NULL);
	CU_ASSERT_EQUAL(s.lost, 0);
	CU_ASSERT_EQUAL(s.last[0].mtu, 1334);
	close(fd);
	leave(c);
}

/* The engine's case: no right at all. */
static void watch_without_rights(void)
{
	struct plat_netcfg *c = enter_default();
	int status = -1;

	if (!c)
		return;
	pid_t pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		struct plat_netcfg_link l;

		if (setgid(65534) < 0 || setuid(65534) < 0 || plat_netcfg_watch_open() < 0 ||
		    plat_netcfg_link_get(tun.ifindex, NULL, &l) != 0)
			_exit(1);
		_exit(plat_netcfg_set_mtu(c, 1400) == -EPERM ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	leave(c);
}

TT_TESTS("netcfg", {"link state", link_state}, {"addresses", addresses}, {"routes", routes},
	 {"route needs link", route_needs_link}, {"many routes", many_routes},
	 {"default route", default_route}, {"default route refused", default_route_refused},
	 {"two tunnels", two_tunnels}, {"leftovers", leftovers}, {"guard", guard},
	 {"guard without nft", guard_without_nft}, {"guard, odd name", guard_odd_name},
	 {"damaged journal", damaged_journal}, {"queries", queries}, {"watch events", watch_events},
	 {"watch overflow", watch_overflow}, {"watch without rights", watch_without_rights})
