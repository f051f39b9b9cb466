/* SPDX-License-Identifier: MIT */
#include "node_sim.h"

#include <stdlib.h>

#include "crypto/aead.h"
#include "base/types.h"

static int sim_send(void *ctx, const struct plat_udp_dest *dest, const void *data, size_t len,
		    bool *lost_source)
{
	struct node_sim *s = ctx;

	*lost_source = false;
	s->sent++;
	s->last_to = dest->to;
	s->last_len = TT_MIN(len, sizeof(s->last_sent));
	memcpy(s->last_sent, data, s->last_len);
	return 0;
}

static int sim_rebind(void *ctx, uint16_t udp_port, uint16_t *bound)
{
	struct node_sim *s = ctx;

	s->rebinds++;
	*bound = udp_port ? udp_port : 40000;
	return s->rebind_error;
}

static int sim_fwmark(void *ctx, uint32_t fwmark)
{
	(void)ctx;
	(void)fwmark;
	return 0;
}

static void sim_resolve(void *ctx, uint32_t query, const char *host, uint16_t udp_port)
{
	struct node_sim *s = ctx;

	(void)udp_port;
	s->last_query = query;
	s->resolves++;
	strncpy(s->last_host, host, sizeof(s->last_host) - 1);
}

static void sim_arm(void *ctx, struct tt_mono deadline)
{
	((struct node_sim *)ctx)->armed = deadline;
}

void node_sim_open(struct node_sim *s)
{
	struct dp_config cfg = {.workers = 1, .mtu = 1420};
	struct node_device_options opt = {
		.name = "sim0",
		.udp_port = 51820,
		.send = sim_send,
		.rebind = sim_rebind,
		.fwmark_set = sim_fwmark,
		.resolve = sim_resolve,
		.arm = sim_arm,
		.ctx = s,
	};
	const char *chosen;

	memset(s, 0, sizeof(*s));
	tt_assert(crypto_aead_select(NULL, &chosen) == CRYPTO_AEAD_CHOSEN);
	for (unsigned i = 0; i < DP_WORKERS_MAX; i++)
		cfg.tun_fd[i] = cfg.udp4_fd[i] = cfg.udp6_fd[i] = -1;
	tt_assert(dp_plane_create(&cfg, &s->plane) == 0);
	opt.plane = s->plane;
	opt.rng = tt_rng_seeded_init(&s->rng, 1);
	tt_assert(node_device_create(&opt, &s->device) == 0);
}

void node_sim_close(struct node_sim *s)
{
	node_device_destroy(s->device);
	dp_plane_destroy(s->plane);
}
