/* SPDX-License-Identifier: MIT */
#include "plat/addresses.h"

#include <errno.h>

int plat_addresses_get(struct tt_ip *out, unsigned max)
{
	(void)out;
	(void)max;
	return -ENOTSUP;
}
