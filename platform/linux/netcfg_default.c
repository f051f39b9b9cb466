/* SPDX-License-Identifier: MIT
 *
 * The default route through the tunnel. The encrypted packets must not follow it, so they carry a
 * mark, and a rule sends what lacks the mark to a table of its own:
 *
 *	p - 1:	from all lookup main suppress_prefixlength 0
 *	p:	not from all fwmark MARK lookup TABLE
 *
 * p is next to the first rule of the host, so that both come before all others. What this does to
 * reverse-path filters is made good by netcfg_guard.c.
 */
#include "netcfg_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#define SRC_VALID_MARK "/proc/sys/net/ipv4/conf/all/src_valid_mark"

/* --- rules ----------------------------------------------------------------------------------- */

static struct nl_msg *rule_message(int type, int flags, const struct netcfg_entry *e)
{
	bool mark = e->kind == NETCFG_RULE_MARK;
	struct fib_rule_hdr head = {
		.family = netcfg_nl_family(e->prefix.ip.family),
		.action = FR_ACT_TO_TBL,
		.flags = mark ? FIB_RULE_INVERT : 0,
	};
	struct nl_msg *m = netcfg_nl_message(type, flags, &head, sizeof(head));

	netcfg_nl_put_u32(m, FRA_PRIORITY, e->metric);
	netcfg_nl_put_u32(m, FRA_TABLE, mark ? e->table : (uint32_t)RT_TABLE_MAIN);
	if (mark)
		netcfg_nl_put_u32(m, FRA_FWMARK, e->fwmark);
	else
		netcfg_nl_put_u32(m, FRA_SUPPRESS_PREFIXLEN, 0);
	return m;
}

int netcfg_remove_rule(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	return netcfg_nl_request(c->nl, rule_message(RTM_DELRULE, 0, e), NULL, NULL);
}

struct rule_survey {
	uint32_t first;	 /* priority of the first rule but the local table's; 0: none */
	unsigned marked; /* rules like our second one, by whomever */
};

static void rule_look(void *arg, struct nlmsghdr *h)
{
	struct rule_survey *s = arg;
	struct nlattr *a[FRA_MAX + 1];
	const struct fib_rule_hdr *r = nlmsg_data(h);

	if (h->nlmsg_type != RTM_NEWRULE || nlmsg_parse(h, sizeof(*r), a, FRA_MAX, NULL) < 0)
		return;
	uint32_t priority = a[FRA_PRIORITY] ? nla_get_u32(a[FRA_PRIORITY]) : 0;

	if (priority && (!s->first || priority < s->first))
		s->first = priority;
	if ((r->flags & FIB_RULE_INVERT) && a[FRA_FWMARK])
		s->marked++;
}

static int rule_survey(struct plat_netcfg *c, enum tt_family family, struct rule_survey *s)
{
	struct fib_rule_hdr head = {.family = netcfg_nl_family(family)};

	*s = (struct rule_survey){0};
	return netcfg_nl_request(c->nl,
				 netcfg_nl_message(RTM_GETRULE, NLM_F_DUMP, &head, sizeof(head)),
				 rule_look, s);
}

/* The file is written before the rule is made: a rule that no file knows would stay for ever. */
static int rule_add(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	int err = netcfg_journal_add(&c->journal, e);

	if (!err)
		err = netcfg_journal_save(&c->journal, c->path);
	if (!err)
		err = netcfg_nl_request(
			c->nl, rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, e), NULL, NULL);
	if (err) {
		netcfg_journal_remove(&c->journal, e);
		(void)netcfg_journal_save(&c->journal, c->path);
	}
	return err;
}

static int rule_add_pair(struct plat_netcfg *c, enum tt_family family, uint32_t fwmark,
			 uint32_t table)
{
	struct netcfg_entry mark = {.kind = NETCFG_RULE_MARK, .table = table, .fwmark = fwmark};
	struct netcfg_entry main_but_default = {.kind = NETCFG_RULE_MAIN};
	struct rule_survey s;
	int err = rule_survey(c, family, &s);

	if (err)
		return err;
	if (s.first < 3) /* no rules at all, or no room before the first */
		return -ENOSPC;
	mark.prefix.ip.family = main_but_default.prefix.ip.family = (uint8_t)family;
	mark.metric = s.first - 1;
	main_but_default.metric = s.first - 2;
	/* In this order: with the second alone, local networks would go into the tunnel. */
	err = rule_add(c, &main_but_default);
	return err ? err : rule_add(c, &mark);
}

/* --- sysctl ---------------------------------------------------------------------------------- */

static int sysctl_read(char *value)
{
	int fd = open(SRC_VALID_MARK, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = read(fd, value, 1) == 1 ? 0 : -EIO;
	close(fd);
	return err;
}

static int sysctl_write(char value)
{
	int fd = open(SRC_VALID_MARK, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, &value, 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}

/* Without it, strict reverse-path filtering drops the answers to our marked packets. */
static int src_valid_mark_set(struct plat_netcfg *c)
{
	struct netcfg_entry e = {.kind = NETCFG_SRC_VALID_MARK, .metric = 0};
	char value;
	int err = sysctl_read(&value);

	if (err || value == '1')
		return err;
	e.prefix.ip.family = TT_FAMILY_V4;
	err = netcfg_journal_add(&c->journal, &e);
	if (!err)
		err = netcfg_journal_save(&c->journal, c->path);
	return err ? err : sysctl_write('1');
}

/* Another tunnel that works with marks still needs it, whoever set it first. */
int netcfg_restore_src_valid_mark(struct plat_netcfg *c, const struct netcfg_entry *e)
{
	struct rule_survey s;
	int err = rule_survey(c, TT_FAMILY_V4, &s);

	if (err || s.marked)
		return err;
	return sysctl_write(e->metric ? '1' : '0');
}

/* --- the whole ------------------------------------------------------------------------------- */

static struct tt_cidr default_prefix(enum tt_family family)
{
	struct tt_cidr c = {0};

	c.ip.family = (uint8_t)family;
	return c;
}

static int default_remove(struct plat_netcfg *c, enum tt_family family)
{
	static const enum netcfg_kind kinds[] = {NETCFG_RULE_MARK, NETCFG_RULE_MAIN};
	const struct netcfg_entry *e = netcfg_journal_find(&c->journal, NETCFG_RULE_MARK, family);
	struct tt_cidr prefix = default_prefix(family);
	uint32_t table = e ? e->table : 0;
	int first = 0, err;

	for (unsigned i = 0; i < TT_ARRAY_LEN(kinds); i++) {
		e = netcfg_journal_find(&c->journal, kinds[i], family);
		err = e ? netcfg_remove_rule(c, e) : 0;
		first = first || err == -ENOENT ? first : err;
		if (e)
			netcfg_journal_remove(&c->journal, e);
	}
	if (table)
		(void)plat_netcfg_route_del(c, &prefix, table, 0);
	e = netcfg_journal_find(&c->journal, NETCFG_SRC_VALID_MARK, family);
	if (e) {
		err = netcfg_restore_src_valid_mark(c, e);
		first = first ? first : err;
		netcfg_journal_remove(&c->journal, e);
	}
	netcfg_guard_update(c);
	err = netcfg_journal_save(&c->journal, c->path);
	return first ? first : err;
}

int plat_netcfg_default_add(struct plat_netcfg *c, enum tt_family family, uint32_t fwmark,
			    uint32_t table)
{
	const struct netcfg_entry *is = netcfg_journal_find(&c->journal, NETCFG_RULE_MARK, family);
	struct tt_cidr prefix = default_prefix(family);
	int err;

	if (!fwmark || !table || (family != TT_FAMILY_V4 && family != TT_FAMILY_V6))
		return -EINVAL;
	if (is && (is->fwmark != fwmark || is->table != table))
		return -EBUSY;
	err = plat_netcfg_route_add(c, &prefix, table, 0);
	if (is || err)
		return err;
	if (family == TT_FAMILY_V4)
		err = src_valid_mark_set(c);
	if (!err)
		err = rule_add_pair(c, family, fwmark, table);
	if (err) {
		(void)plat_netcfg_route_del(c, &prefix, table, 0);
		(void)default_remove(c, family);
		return err;
	}
	netcfg_guard_update(c);
	return 0;
}

int plat_netcfg_default_del(struct plat_netcfg *c, enum tt_family family)
{
	if (!netcfg_journal_find(&c->journal, NETCFG_RULE_MARK, family))
		return -ENOENT;
	return default_remove(c, family);
}
