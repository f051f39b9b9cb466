/* SPDX-License-Identifier: MIT
 *
 * Opens a TUN device with addresses inside a named network namespace, and ends the program with a
 * message where that fails.
 */
#ifndef TT_TOOLS_WAN_TUN_H
#define TT_TOOLS_WAN_TUN_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/types.h"

static inline _Noreturn void wan_die(const char *what)
{
	fprintf(stderr, "wan: %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline _Noreturn void wan_usage_error(const char *what, const char *value)
{
	fprintf(stderr, "wan: %s '%s'\n", what, value);
	exit(64);
}

/* Parses a number of at most max; false where the text is anything else. */
static inline bool wan_parse_number(const char *s, double max, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(s, &end);
	return end != s && !*end && !errno && *out >= 0 && *out <= max;
}

static inline void wan_tun_enter_netns(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), strchr(name, '/') ? "%s" : "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		wan_die(path);
	close(fd);
}

static inline void wan_tun_add_address4(struct ifreq *ifr, struct in_addr addr, unsigned len)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&ifr->ifr_addr;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*sin = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = addr};
	if (s < 0 || ioctl(s, SIOCSIFADDR, ifr))
		wan_die("SIOCSIFADDR");
	sin->sin_addr.s_addr = htonl(len ? UINT32_MAX << (32 - len) : 0);
	if (ioctl(s, SIOCSIFNETMASK, ifr))
		wan_die("SIOCSIFNETMASK");
	close(s);
}

static inline void wan_tun_add_address6(struct ifreq *ifr, struct in6_addr addr, unsigned len)
{
	struct in6_ifreq req = {.ifr6_addr = addr, .ifr6_prefixlen = len};
	int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || ioctl(s, SIOCGIFINDEX, ifr))
		wan_die("SIOCGIFINDEX");
	req.ifr6_ifindex = ifr->ifr_ifindex;
	if (ioctl(s, SIOCSIFADDR, &req))
		wan_die("SIOCSIFADDR (IPv6)");
	close(s);
}

static inline void wan_tun_add_address(struct ifreq *ifr, char *text)
{
	char *slash = strchr(text, '/');
	struct in6_addr a6;
	struct in_addr a4;
	double len;

	if (!slash || !wan_parse_number(slash + 1, strchr(text, ':') ? 128 : 32, &len))
		wan_usage_error("not ADDRESS/LEN:", text);
	*slash = 0;
	if (inet_pton(AF_INET, text, &a4) == 1)
		wan_tun_add_address4(ifr, a4, (unsigned)len);
	else if (inet_pton(AF_INET6, text, &a6) == 1)
		wan_tun_add_address6(ifr, a6, (unsigned)len);
	else
		wan_usage_error("not an address:", text);
}

static inline void wan_tun_link_up(struct ifreq *ifr)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || ioctl(s, SIOCGIFFLAGS, ifr))
		wan_die("SIOCGIFFLAGS");
	ifr->ifr_flags |= IFF_UP | IFF_RUNNING;
	if (ioctl(s, SIOCSIFFLAGS, ifr))
		wan_die("SIOCSIFFLAGS");
	ifr->ifr_qlen = 4096;
	if (ioctl(s, SIOCSIFTXQLEN, ifr))
		wan_die("SIOCSIFTXQLEN");
	close(s);
}

/* side is NETNS:IFNAME:ADDR/LEN[,ADDR/LEN]... and is taken apart in place. */
static inline int wan_tun_open(char *side, int home)
{
	char *save = NULL, *netns = side, *ifname = strchr(netns, ':');
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	char *addrs = ifname ? strchr(ifname + 1, ':') : NULL;

	if (!addrs || (size_t)(addrs - ifname) > IFNAMSIZ)
		wan_usage_error("not NETNS:IFNAME:ADDR/LEN:", side);
	*ifname++ = 0;
	*addrs++ = 0;
	strcpy(ifr.ifr_name, ifname);
	wan_tun_enter_netns(netns);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
		wan_die(ifname);
	for (char *a = strtok_r(addrs, ",", &save); a; a = strtok_r(NULL, ",", &save))
		wan_tun_add_address(&ifr, a);
	wan_tun_link_up(&ifr);
	if (setns(home, CLONE_NEWNET))
		wan_die("setns back");
	return fd;
}

#endif
