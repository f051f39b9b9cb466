/* SPDX-License-Identifier: MIT
 *
 * One rtnetlink request and its answer. libnl's own result codes fold several errors into one, so
 * the kernel's errno is taken from the answer.
 */
#ifndef TT_PLATFORM_NETCFG_NL_H
#define TT_PLATFORM_NETCFG_NL_H

#include "base/addr.h"
#include "base/types.h"

struct nl_sock;
struct nl_msg;
struct nlmsghdr;

int netcfg_nl_open(struct nl_sock **out); /* 0 or -errno */
void netcfg_nl_close(struct nl_sock *s);  /* NULL is allowed */

/* A message with its fixed header copied in; NULL: no memory. */
struct nl_msg *netcfg_nl_message(int type, int flags, const void *head, size_t len);
/* Attributes. No memory shows when the message is sent. */
void netcfg_nl_put_u32(struct nl_msg *m, int attr, uint32_t value);
void netcfg_nl_put_ip(struct nl_msg *m, int attr, const struct tt_ip *ip);

/* Called for every message of the answer but acknowledgements. */
typedef void (*netcfg_nl_fn)(void *arg, struct nlmsghdr *h);
/* Sends, waits for the end of the answer, frees the message. NULL message: -ENOMEM. 0 or -errno. */
int netcfg_nl_request(struct nl_sock *s, struct nl_msg *m, netcfg_nl_fn fn, void *arg);

static inline uint8_t netcfg_nl_family(enum tt_family family)
{
	return family == TT_FAMILY_V4 ? 2 /* AF_INET */ : 10 /* AF_INET6 */;
}

#endif
