/* SPDX-License-Identifier: MIT */
#include "plat/tcp.h"

#include <errno.h>

int plat_tcp_socket(enum tt_family family, uint32_t fwmark)
{
	(void)family;
	(void)fwmark;
	return -ENOSYS;
}
