/* SPDX-License-Identifier: MIT
 *
 * By the system's own commands: ip(8) on Linux, ifconfig(8) and route(8) elsewhere. Default routes
 * by mark and the watch need more than commands give and are -ENOTSUP.
 */
#include "plat/netcfg.h"
#include "netcfg_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 16

struct plat_netcfg {
	char name[PLAT_IFNAME_MAX];
	struct netcfg_journal journal;
};

int plat_netcfg_open(unsigned ifindex, const char *journal, struct plat_netcfg **out)
{
	char name[IF_NAMESIZE];
	struct plat_netcfg *c;

	/* Nothing that outlives the interface is ever made here. */
	(void)journal;
	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	snprintf(c->name, sizeof(c->name), "%s", name);
	*out = c;
	return 0;
}

void plat_netcfg_close(struct plat_netcfg *c)
{
	if (!c)
		return;
	netcfg_journal_free(&c->journal);
	free(c);
}

/* No shell: the words are the command's arguments as they are. */
static int run(const char *const *words)
{
	char *argv[ARGS_MAX + 1] = {0};
	int status;
	pid_t pid;

	for (unsigned i = 0; i < ARGS_MAX && words[i]; i++)
		argv[i] = (char *)words[i];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		if (null >= 0) {
			dup2(null, 0);
			dup2(null, 1);
			dup2(null, 2);
		}
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOTSUP;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

#define RUN(...) run((const char *const[ARGS_MAX + 1]){__VA_ARGS__})

#ifdef __linux__

static int command_mtu(const char *name, const char *mtu)
{
	return RUN("ip", "link", "set", "dev", name, "mtu", mtu);
}

static int command_up(const char *name, bool up)
{
	return RUN("ip", "link", "set", "dev", name, up ? "up" : "down");
}

static int command_addr(const char *name, bool v4, bool add, const char *cidr)
{
	return RUN("ip", v4 ? "-4" : "-6", "address", add ? "add" : "del", cidr, "dev", name);
}

static int command_route(const char *name, bool v4, bool add, const char *cidr, const char *table,
			 const char *metric)
{
	return RUN("ip", v4 ? "-4" : "-6", "route", add ? "add" : "del", cidr, "dev", name, "table",
		   table, "metric", metric);
}

#else

static int command_mtu(const char *name, const char *mtu)
{
	return RUN("ifconfig", name, "mtu", mtu);
}

static int command_up(const char *name, bool up)
{
	return RUN("ifconfig", name, up ? "up" : "down");
}

static int command_addr(const char *name, bool v4, bool add, const char *cidr)
{
	return RUN("ifconfig", name, v4 ? "inet" : "inet6", cidr, add ? "alias" : "-alias");
}

static int command_route(const char *name, bool v4, bool add, const char *cidr, const char *table,
			 const char *metric)
{
	if (strcmp(table, "254") != 0 || strcmp(metric, "0") != 0)
		return -ENOTSUP;
	return RUN("route", "-q", "-n", add ? "add" : "delete", v4 ? "-inet" : "-inet6", cidr,
		   "-interface", name);
}

#endif

int plat_netcfg_set_mtu(struct plat_netcfg *c, unsigned mtu)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", mtu);
	return command_mtu(c->name, text);
}

int plat_netcfg_set_up(struct plat_netcfg *c, bool up)
{
	return command_up(c->name, up);
}

static int apply(struct plat_netcfg *c, const struct netcfg_entry *e, bool add)
{
	bool v4 = e->prefix.ip.family == TT_FAMILY_V4;
	char cidr[TT_CIDR_TEXT_MAX], table[16], metric[16];

	tt_cidr_format(&e->prefix, cidr);
	snprintf(table, sizeof(table), "%u", e->table ? e->table : 254);
	snprintf(metric, sizeof(metric), "%u", e->metric);
	if (e->kind == NETCFG_ADDR)
		return command_addr(c->name, v4, add, cidr);
	return command_route(c->name, v4, add, cidr, table, metric);
}

static int change(struct plat_netcfg *c, enum netcfg_kind kind, const struct tt_cidr *prefix,
		  uint32_t table, uint32_t metric, bool add)
{
	struct netcfg_entry e = {.kind = kind, .table = table, .metric = metric, .prefix = *prefix};
	bool ours = netcfg_journal_has(&c->journal, &e);
	int err;

	if (add == ours)
		return add ? 0 : -ENOENT;
	err = add ? netcfg_journal_add(&c->journal, &e) : 0;
	if (!err)
		err = apply(c, &e, add);
	if ((err != 0) == add)
		netcfg_journal_remove(&c->journal, &e);
	return err;
}

int plat_netcfg_addr_add(struct plat_netcfg *c, const struct tt_cidr *addr)
{
	return change(c, NETCFG_ADDR, addr, 0, 0, true);
}

int plat_netcfg_addr_del(struct plat_netcfg *c, const struct tt_cidr *addr)
{
	return change(c, NETCFG_ADDR, addr, 0, 0, false);
}

int plat_netcfg_route_add(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric)
{
	return change(c, NETCFG_ROUTE, prefix, table, metric, true);
}

int plat_netcfg_route_del(struct plat_netcfg *c, const struct tt_cidr *prefix, uint32_t table,
			  uint32_t metric)
{
	return change(c, NETCFG_ROUTE, prefix, table, metric, false);
}

int plat_netcfg_undo(struct plat_netcfg *c)
{
	static const enum netcfg_kind kinds[] = {NETCFG_ROUTE, NETCFG_ADDR};
	const struct netcfg_entry *e;
	int first = 0;

	/* Where the interface is gone, so is all that was on it. */
	bool there = if_nametoindex(c->name) != 0;

	for (unsigned i = 0; i < TT_ARRAY_LEN(kinds); i++) {
		while ((e = netcfg_journal_find(&c->journal, kinds[i], TT_FAMILY_NONE))) {
			int err = there ? apply(c, e, false) : 0;

			first = first ? first : err;
			netcfg_journal_remove(&c->journal, e);
		}
	}
	return first;
}

int plat_netcfg_default_add(struct plat_netcfg *c, enum tt_family family, uint32_t fwmark,
			    uint32_t table)
{
	(void)c;
	(void)family;
	(void)fwmark;
	(void)table;
	return -ENOTSUP;
}

int plat_netcfg_default_del(struct plat_netcfg *c, enum tt_family family)
{
	(void)c;
	(void)family;
	return -ENOENT;
}

int plat_netcfg_guard_state(const struct plat_netcfg *c, char *reason, size_t cap)
{
	(void)c;
	if (cap)
		reason[0] = 0;
	return 0;
}

/* SIOCGIF… are in no standard, but in every system that has ifconfig(8). */
int plat_netcfg_link_get(unsigned ifindex, const char *name, struct plat_netcfg_link *out)
{
	struct ifreq ifr = {0};
	char found[IF_NAMESIZE];
	int fd, err = 0;

	if (ifindex)
		name = if_indextoname(ifindex, found);
	if (!name || strlen(name) >= sizeof(ifr.ifr_name))
		return ifindex ? -ENODEV : -EINVAL;
	*out = (struct plat_netcfg_link){.ifindex = if_nametoindex(name)};
	snprintf(out->name, sizeof(out->name), "%s", name);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFMTU, &ifr) < 0)
		err = -errno;
	else
		out->mtu = (unsigned)ifr.ifr_mtu;
	if (!err && ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		err = -errno;
	out->up = (ifr.ifr_flags & IFF_UP) != 0;
	out->running = (ifr.ifr_flags & IFF_RUNNING) != 0;
	close(fd);
	return err;
}

int plat_netcfg_route_get(const struct tt_ip *to, uint32_t fwmark, unsigned *ifindex, unsigned *mtu)
{
	(void)to;
	(void)fwmark;
	(void)ifindex;
	(void)mtu;
	return -ENOTSUP;
}

int plat_netcfg_table_find(unsigned ifindex, uint32_t first, unsigned count, uint32_t *table)
{
	(void)ifindex;
	(void)first;
	(void)count;
	(void)table;
	return -ENOTSUP;
}

int plat_netcfg_watch_open(void)
{
	return -ENOTSUP;
}

int plat_netcfg_watch_read(int fd, plat_netcfg_event_fn cb, void *arg)
{
	(void)fd;
	(void)cb;
	(void)arg;
	return -ENOTSUP;
}
