/* SPDX-License-Identifier: MIT */
#include "plat/xsk.h"

#include <errno.h>

int plat_xsk_offer_open(uint32_t umem_bytes, struct plat_xsk_offer *out)
{
	(void)umem_bytes;
	*out = (struct plat_xsk_offer){.fd = -1, .umem_fd = -1};
	return -ENOTSUP;
}

void plat_xsk_offer_close(struct plat_xsk_offer *o)
{
	(void)o;
}

int plat_xsk_start(const struct plat_xsk_options *opt, struct plat_xsk **out)
{
	(void)opt;
	(void)out;
	return -ENOTSUP;
}

void plat_xsk_stop(struct plat_xsk *x)
{
	(void)x;
}

int plat_xsk_fd(const struct plat_xsk *x)
{
	(void)x;
	return -1;
}

enum plat_xsk_mode plat_xsk_mode_got(const struct plat_xsk *x)
{
	(void)x;
	return PLAT_XSK_COPY;
}

uint8_t *plat_xsk_umem(const struct plat_xsk *x, uint32_t *bytes)
{
	(void)x;
	*bytes = 0;
	return NULL;
}

unsigned plat_xsk_rx(struct plat_xsk *x, struct plat_xsk_desc *d, unsigned max)
{
	(void)x;
	(void)d;
	(void)max;
	return 0;
}

unsigned plat_xsk_rx_pending(const struct plat_xsk *x)
{
	(void)x;
	return 0;
}

unsigned plat_xsk_fill(struct plat_xsk *x, const uint32_t *addr, unsigned n)
{
	(void)x;
	(void)addr;
	(void)n;
	return 0;
}

unsigned plat_xsk_fill_level(const struct plat_xsk *x)
{
	(void)x;
	return 0;
}

unsigned plat_xsk_tx(struct plat_xsk *x, const struct plat_xsk_desc *d, unsigned n)
{
	(void)x;
	(void)d;
	(void)n;
	return 0;
}

unsigned plat_xsk_tx_pending(const struct plat_xsk *x)
{
	(void)x;
	return 0;
}

int plat_xsk_kick(struct plat_xsk *x)
{
	(void)x;
	return -ENOTSUP;
}

unsigned plat_xsk_complete(struct plat_xsk *x, uint32_t *addr, unsigned max)
{
	(void)x;
	(void)addr;
	(void)max;
	return 0;
}

int plat_xsk_stats_get(const struct plat_xsk *x, struct plat_xsk_stats *out)
{
	(void)x;
	*out = (struct plat_xsk_stats){0};
	return -ENOTSUP;
}

int plat_xsk_self_test(struct plat_xsk *x, const uint8_t mac[6], uint32_t frame_addr)
{
	(void)x;
	(void)mac;
	(void)frame_addr;
	return -ENOTSUP;
}
