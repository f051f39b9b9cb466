/* SPDX-License-Identifier: MIT */
#include "plat/xdp.h"

#include <errno.h>
#include <stdio.h>

const char *plat_xdp_mode_name(enum plat_xdp_mode mode)
{
	(void)mode;
	return "none";
}

int plat_xdp_facts_get(uint32_t ifindex, struct plat_xdp_facts *out)
{
	(void)ifindex;
	*out = (struct plat_xdp_facts){0};
	return -ENOTSUP;
}

uint32_t plat_xdp_mtu_max(bool zero_copy)
{
	(void)zero_copy;
	return 0;
}

int plat_xdp_held_get(uint32_t ifindex, struct plat_xdp_held *out)
{
	(void)ifindex;
	*out = (struct plat_xdp_held){0};
	return -ENOTSUP;
}

const char *plat_xdp_held_format(const struct plat_xdp_held *h, char *buf, size_t cap)
{
	(void)h;
	if (cap)
		buf[0] = 0;
	return buf;
}

int plat_xdp_attach(const struct plat_xdp_options *opt, struct plat_xdp **out,
		    char why[PLAT_XDP_WHY_MAX])
{
	(void)opt;
	(void)out;
	snprintf(why, PLAT_XDP_WHY_MAX, "this system has no XDP");
	return -ENOTSUP;
}

void plat_xdp_detach(struct plat_xdp *x)
{
	(void)x;
}

int plat_xdp_set_udp_ports(struct plat_xdp *x, const uint16_t *udp_ports, unsigned n)
{
	(void)x;
	(void)udp_ports;
	(void)n;
	return -ENOTSUP;
}

int plat_xdp_set_addresses(struct plat_xdp *x, const struct tt_ip *ips, unsigned n)
{
	(void)x;
	(void)ips;
	(void)n;
	return -ENOTSUP;
}

void plat_xdp_set_frame_limit(struct plat_xdp *x, uint32_t bytes)
{
	(void)x;
	(void)bytes;
}

int plat_xdp_set_threaded(struct plat_xdp *x, bool on)
{
	(void)x;
	(void)on;
	return -ENOTSUP;
}

int plat_xdp_threaded_get(uint32_t ifindex)
{
	(void)ifindex;
	return -ENOTSUP;
}

int plat_xdp_threaded_off(uint32_t ifindex)
{
	(void)ifindex;
	return -ENOTSUP;
}

bool plat_xdp_is_attached(const struct plat_xdp *x)
{
	(void)x;
	return false;
}

void plat_xdp_fds_get(const struct plat_xdp *x, struct plat_xdp_fds *out)
{
	(void)x;
	*out = (struct plat_xdp_fds){-1, -1, -1, -1};
}

int plat_xdp_view_open(const struct plat_xdp_fds *fds, struct plat_xdp_view **out)
{
	(void)fds;
	(void)out;
	return -ENOTSUP;
}

void plat_xdp_view_close(struct plat_xdp_view *v)
{
	(void)v;
}

void plat_xdp_view_set_capacity(struct plat_xdp_view *v, uint32_t capacity)
{
	(void)v;
	(void)capacity;
}

void plat_xdp_view_index_set(struct plat_xdp_view *v, uint32_t index)
{
	(void)v;
	(void)index;
}

void plat_xdp_view_index_clear(struct plat_xdp_view *v, uint32_t index)
{
	(void)v;
	(void)index;
}

void plat_xdp_view_index_clear_all(struct plat_xdp_view *v)
{
	(void)v;
}

void plat_xdp_view_set_unknown_pass(struct plat_xdp_view *v, bool pass)
{
	(void)v;
	(void)pass;
}

int plat_xdp_view_queue_set(struct plat_xdp_view *v, uint32_t queue, int xsk_fd)
{
	(void)v;
	(void)queue;
	(void)xsk_fd;
	return -ENOTSUP;
}

int plat_xdp_view_queue_clear(struct plat_xdp_view *v, uint32_t queue)
{
	(void)v;
	(void)queue;
	return -ENOTSUP;
}

int plat_xdp_view_counters(struct plat_xdp_view *v, uint32_t queue, uint64_t *count, unsigned n)
{
	(void)v;
	(void)queue;
	(void)count;
	(void)n;
	return -ENOTSUP;
}

const char *plat_xdp_reason_name(unsigned reason)
{
	(void)reason;
	return NULL;
}
