/* SPDX-License-Identifier: MIT
 *
 * What an interface can do, and who holds it. Reads only.
 */
#include "plat/xdp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/sockios.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "plat/netcfg.h"
#include "plat/xsk.h"
#include "steer/shared.h"
#include "xdp_object.h"

#define ETHERNET_VLAN_HEADER 18
#define ZERO_COPY_PAD	     26 /* drivers add FCS and a second tag to the MTU */
#define FEATURES_MAX	     256
#define PROGRAM_MAPS_MAX     16

/*
 * Drivers whose zero-copy mode is known from others' production use and published rates to be
 * faster than copying. Not here, for what is reported of them: ena (slower than copying), ice
 * (kernel panics under load and at detach), bnxt (sending collapses), ixgbe (sending gets stuck),
 * gve (headroom). Being here is not enough: the start-up self-test decides.
 */
static const char *const zero_copy_drivers[] = {"i40e", "mlx5_core"};

const char *plat_xdp_mode_name(enum plat_xdp_mode mode)
{
	switch (mode) {
	case PLAT_XDP_MODE_NONE:
		return "none";
	case PLAT_XDP_MODE_DRIVER:
		return "native";
	case PLAT_XDP_MODE_GENERIC:
		return "generic";
	case PLAT_XDP_MODE_OFFLOAD:
		return "offload";
	}
	return "unknown";
}

uint32_t plat_xdp_mtu_max(bool zero_copy)
{
	return PLAT_XSK_RX_MAX - (zero_copy ? ZERO_COPY_PAD : ETHERNET_VLAN_HEADER);
}

/* --- ethtool ---------------------------------------------------------------------------------- */

static int ethtool(int fd, const char *name, void *command)
{
	struct ifreq r = {.ifr_data = command};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &r) < 0 ? -errno : 0;
}

static void facts_driver(int fd, struct plat_xdp_facts *f)
{
	struct ethtool_drvinfo d = {.cmd = ETHTOOL_GDRVINFO};

	if (ethtool(fd, f->name, &d))
		return;
	snprintf(f->driver, sizeof(f->driver), "%.31s", d.driver);
	for (unsigned i = 0; i < TT_ARRAY_LEN(zero_copy_drivers); i++)
		f->zero_copy_listed |= strcmp(f->driver, zero_copy_drivers[i]) == 0;
}

static void facts_queues(int fd, struct plat_xdp_facts *f)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
	struct ethtool_rxnfc rings = {.cmd = ETHTOOL_GRXRINGS};

	f->queues = 1;
	if (ethtool(fd, f->name, &c) == 0 && c.combined_count + c.rx_count > 0) {
		f->queues = c.combined_count + c.rx_count;
		f->queues_max = c.max_combined + c.max_rx;
	} else if (ethtool(fd, f->name, &rings) == 0 && rings.data > 0) {
		f->queues = (uint32_t)rings.data;
	}
}

static const struct {
	const char *name;
	enum plat_xdp_offload bit;
} offloads[] = {
	{"rx-lro", PLAT_XDP_OFFLOAD_LRO},
	{"rx-gro-hw", PLAT_XDP_OFFLOAD_GRO_HW},
	{"rx-udp-gro-forwarding", PLAT_XDP_OFFLOAD_UDP_GRO_FORWARD},
	{"rx-gro-list", PLAT_XDP_OFFLOAD_GRO_LIST},
	{"rx-vlan-hw-parse", PLAT_XDP_OFFLOAD_RX_VLAN},
	{"tx-vlan-hw-insert", PLAT_XDP_OFFLOAD_TX_VLAN},
	{"rx-ntuple-filter", PLAT_XDP_OFFLOAD_NTUPLE},
	{"tx-udp-segmentation", PLAT_XDP_OFFLOAD_TX_UDP_GSO},
};

static uint32_t offload_bit(const char *name)
{
	for (unsigned i = 0; i < TT_ARRAY_LEN(offloads); i++)
		if (strncmp(name, offloads[i].name, ETH_GSTRING_LEN) == 0)
			return offloads[i].bit;
	return 0;
}

static uint32_t feature_count(int fd, const char *name)
{
	union {
		struct ethtool_sset_info info;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} s = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = UINT64_C(1) << ETH_SS_FEATURES}};
	uint32_t n;

	if (ethtool(fd, name, &s.info) || !s.info.sset_mask)
		return 0;
	memcpy(&n, s.room + sizeof(s.info), sizeof(n));
	return n;
}

static void facts_offloads(int fd, struct plat_xdp_facts *f)
{
	uint32_t n = feature_count(fd, f->name), blocks = (n + 31) / 32;
	struct ethtool_gfeatures *g;
	struct ethtool_gstrings *s;

	if (n == 0 || n > FEATURES_MAX)
		return;
	g = calloc(1, sizeof(*g) + blocks * sizeof(g->features[0]));
	s = calloc(1, sizeof(*s) + (size_t)n * ETH_GSTRING_LEN);
	if (g && s) {
		*g = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = blocks};
		*s = (struct ethtool_gstrings){
			.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = n};
		if (ethtool(fd, f->name, g) == 0 && ethtool(fd, f->name, s) == 0)
			for (uint32_t i = 0; i < n; i++)
				if (g->features[i / 32].active >> (i % 32) & 1)
					f->offloads |= offload_bit((char *)s->data +
								   (size_t)i * ETH_GSTRING_LEN);
	}
	free(g);
	free(s);
}

static int facts_mac(int fd, struct plat_xdp_facts *f)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", f->name);
	if (ioctl(fd, SIOCGIFHWADDR, &r) < 0)
		return -errno;
	f->ethernet = r.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	memcpy(f->mac, r.ifr_hwaddr.sa_data, sizeof(f->mac));
	return 0;
}

int plat_xdp_facts_get(uint32_t ifindex, struct plat_xdp_facts *out)
{
	struct plat_netcfg_link link;
	int fd, err;

	*out = (struct plat_xdp_facts){.ifindex = ifindex};
	if (ifindex == 0)
		return -ENODEV;
	err = plat_netcfg_link_get(ifindex, NULL, &link);
	if (err)
		return err;
	memcpy(out->name, link.name, sizeof(out->name));
	out->mtu = link.mtu;
	out->up = link.up;
	out->running = link.running;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = facts_mac(fd, out);
	if (!err) {
		facts_driver(fd, out);
		facts_queues(fd, out);
		facts_offloads(fd, out);
	}
	close(fd);
	return err;
}

/* --- who holds it ----------------------------------------------------------------------------- */

static bool owner_of_map(uint32_t id, char owner[STEER_OWNER_MAX])
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), zero = 0;
	struct steer_config c;
	int fd = bpf_map_get_fd_by_id(id);
	bool found;

	if (fd < 0)
		return false;
	found = bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		strcmp(info.name, XDP_MAP_CONFIG) == 0 && info.value_size == sizeof(c) &&
		bpf_map_lookup_elem(fd, &zero, &c) == 0;
	close(fd);
	if (found)
		memcpy(owner, c.owner, STEER_OWNER_MAX - 1);
	return found;
}

static void held_names(struct plat_xdp_held *h)
{
	uint32_t maps[PROGRAM_MAPS_MAX] = {0};
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS_MAX,
				     .map_ids = (uint64_t)(uintptr_t)maps};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(h->program_id);

	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0) {
		snprintf(h->program, sizeof(h->program), "%.15s", info.name);
		if (strcmp(h->program, XDP_PROGRAM_NAME) == 0)
			for (uint32_t i = 0; i < TT_MIN(info.nr_map_ids, PROGRAM_MAPS_MAX); i++)
				if (owner_of_map(maps[i], h->owner))
					break;
	}
	close(fd);
}

int plat_xdp_held_get(uint32_t ifindex, struct plat_xdp_held *out)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int err;

	*out = (struct plat_xdp_held){0};
	err = bpf_xdp_query((int)ifindex, 0, &q);
	if (err)
		return err;
	if (q.drv_prog_id) {
		out->mode = PLAT_XDP_MODE_DRIVER;
		out->program_id = q.drv_prog_id;
	} else if (q.skb_prog_id) {
		out->mode = PLAT_XDP_MODE_GENERIC;
		out->program_id = q.skb_prog_id;
	} else if (q.hw_prog_id) {
		out->mode = PLAT_XDP_MODE_OFFLOAD;
		out->program_id = q.hw_prog_id;
	} else {
		return 0;
	}
	held_names(out);
	return 0;
}

const char *plat_xdp_held_format(const struct plat_xdp_held *h, char *buf, size_t cap)
{
	if (h->mode == PLAT_XDP_MODE_NONE)
		snprintf(buf, cap, "xdp free");
	else if (h->owner[0])
		snprintf(buf, cap, "xdp held by taltund %s", h->owner);
	else if (h->program[0])
		snprintf(buf, cap, "xdp held by program %s (id %u)", h->program, h->program_id);
	else
		snprintf(buf, cap, "xdp held by program id %u", h->program_id);
	return buf;
}
