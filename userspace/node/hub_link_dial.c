/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "node/hub_link_impl.h"
#include "plat/clock.h"

#define SHORT_MS      10000  /* a connection that ended sooner makes the next pause longer */
#define SAY_AGAIN_MS  600000 /* that the hub is out of reach, where the reason is the same */
#define STUCK_MS      1000   /* without a step, of an attempt while the network changes */
#define PROBE_MS      3000   /* after a change of the network, the answer to a Ping */
#define CONTROL_BYTES (256 * 1024)
#define DATA_PACKETS  512

/* --- losing it -------------------------------------------------------------------------------- */

/* From -12.5 % to +12.5 %, so that nodes that lost the hub together do not come back together. */
static uint64_t jittered(struct node_hub_link *l, uint64_t ms)
{
	return ms - ms / 8 + tt_rng_below(&l->opt.rng, (uint32_t)(ms / 4 + 1));
}

void node_hub_link_wait(struct node_hub_link *l, uint64_t ms)
{
	node_hub_link_enter(l, NODE_HUB_WAITING, TT_MAX(ms, UINT64_C(1)));
}

/* Once for each reason: an operator wants to know, a hub that is down for a night must not fill
 * the log. */
static void say_unreachable(struct node_hub_link *l)
{
	struct tt_mono now = node_hub_link_now(l);

	if (strcmp(l->said, l->why) == 0 &&
	    tt_mono_since(now, l->said_at) < SAY_AGAIN_MS * TT_NS_PER_MS)
		return;
	memcpy(l->said, l->why, sizeof(l->said));
	l->said_at = now;
	tt_log_limited(TT_LOG_WARN, "hub.unreachable", NULL, plat_clock_mono(), 2,
		       TT_F_STR("why", l->why), TT_F_STR("hub", l->opt.host),
		       TT_F_ENDPOINT("at", &l->at));
}

static uint64_t next_pause(struct node_hub_link *l)
{
	uint64_t pause = jittered(l, l->pause_ms);

	if (!tt_mono_before(node_hub_link_now(l), l->keen_until))
		l->pause_ms = TT_MIN(l->pause_ms * 2, (uint64_t)NODE_HUB_LINK_RETRY_MAX_MS);
	return pause;
}

void node_hub_link_lost(struct node_hub_link *l, const char *why, bool for_good)
{
	bool was_up = l->state == NODE_HUB_UP;
	bool was_short =
		was_up && tt_mono_since(node_hub_link_now(l), l->since) < SHORT_MS * TT_NS_PER_MS;

	if (l->ending || l->state == NODE_HUB_WAITING || l->state == NODE_HUB_STOPPED)
		return;
	if (why != l->why)
		snprintf(l->why, sizeof(l->why), "%s", why);
	if (l->stream_used)
		wire_stream_abort(&l->stream);
	l->paused = false;
	if (was_up)
		l->short_lives = was_short ? TT_MIN(l->short_lives + 1, 6u) : 0;
	else
		say_unreachable(l);
	if (for_good) {
		node_hub_link_enter(l, NODE_HUB_STOPPED, 0);
	} else {
		/* one address of several: the next one at once */
		bool another = !was_up && l->addr_next < l->addr_count;
		node_hub_link_wait(l, another ? 20 : next_pause(l));
	}
	l->ping_token = 0;
	if (was_up) {
		l->lost++;
		l->opt.on.down(l->opt.on.ctx, l->why);
	}
}

/* --- getting it ------------------------------------------------------------------------------- */

static void on_connected(uv_connect_t *req, int status)
{
	struct node_hub_link *l = req->data;
	struct tls_session *tls;

	if (l->ending || l->state != NODE_HUB_CONNECTING || status == UV_ECANCELED)
		return;
	if (status < 0) {
		snprintf(l->why, sizeof(l->why), "cannot connect: %s", uv_strerror(status));
		node_hub_link_lost(l, l->why, false);
		return;
	}
	if (tls_session_create(l->tls, l->opt.name, &tls) != 0) {
		node_hub_link_lost(l, "out of memory", false);
		return;
	}
	node_hub_link_enter(l, NODE_HUB_SECURING, NODE_HUB_LINK_STEP_MS);
	wire_stream_start(&l->stream, tls);
}

static int begin_connect(struct node_hub_link *l, const struct tt_endpoint *to)
{
	char text[TT_IP_TEXT_MAX];
	struct sockaddr_storage ss;
	int fd = l->opt.on.socket(l->opt.on.ctx, (enum tt_family)to->ip.family);

	if (fd < 0)
		return fd;
	int err = uv_tcp_open(&l->stream.tcp, fd);

	if (err)
		close(fd);
	tt_ip_format(&to->ip, text);
	if (!err && to->ip.family == TT_FAMILY_V6)
		err = uv_ip6_addr(text, to->udp_port, (struct sockaddr_in6 *)&ss);
	else if (!err)
		err = uv_ip4_addr(text, to->udp_port, (struct sockaddr_in *)&ss);
	if (err)
		return err;
	l->connect.data = l;
	return uv_tcp_connect(&l->connect, &l->stream.tcp, (const struct sockaddr *)&ss,
			      on_connected);
}

static void connect_next(struct node_hub_link *l)
{
	struct wire_stream_options opt = {.loop = l->wire,
					  .on = &node_hub_link_on_stream,
					  .ctx = l,
					  .control_bytes = CONTROL_BYTES,
					  .data_packets = DATA_PACKETS,
					  .control_frame_max = MESH_FRAME_CONTROL_MAX,
					  .relay_frame_max = MESH_FRAME_RELAY_MAX};
	const struct tt_endpoint *to = &l->addr[l->addr_next++];

	l->at = *to;
	node_hub_link_enter(l, NODE_HUB_CONNECTING, NODE_HUB_LINK_STEP_MS);
	wire_stream_init(&l->stream, &opt);
	l->stream_used = true;
	int err = begin_connect(l, to);
	if (err) {
		snprintf(l->why, sizeof(l->why), "cannot connect: %s", uv_strerror(err));
		node_hub_link_lost(l, l->why, false);
	}
}

void node_hub_link_attempt(struct node_hub_link *l)
{
	/* the last stream's descriptor is still being closed */
	if (l->stream_used) {
		node_hub_link_wait(l, 20);
		return;
	}
	if (l->addr_next < l->addr_count) {
		connect_next(l);
		return;
	}
	node_hub_link_enter(l, NODE_HUB_RESOLVING, NODE_HUB_LINK_STEP_MS);
	struct tt_endpoint literal;
	memset(&literal, 0, sizeof(literal));
	if (tt_ip_parse(l->opt.host, &literal.ip) == 0) {
		literal.udp_port = l->opt.tcp_port;
		node_hub_link_resolved(l, &literal, 1);
		return;
	}
	l->opt.on.resolve(l->opt.on.ctx, l->opt.host, l->opt.tcp_port);
}

void node_hub_link_resolved(struct node_hub_link *l, const struct tt_endpoint *addr, unsigned count)
{
	if (l->ending || l->state != NODE_HUB_RESOLVING)
		return;
	l->addr_count = TT_MIN(count, (unsigned)NODE_HUB_LINK_ADDRESSES_MAX);
	l->addr_next = 0;
	if (!count) {
		node_hub_link_lost(l, "the hub's name is not found", false);
		return;
	}
	memcpy(l->addr, addr, l->addr_count * sizeof(*addr));
	connect_next(l);
}

/* --- a change of the network ------------------------------------------------------------------ */

/* The address that the connection is from is no longer this host's: nothing comes back to it. */
static bool address_gone(struct node_hub_link *l)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss), count = 0;
	uv_interface_address_t *list;
	bool gone = true;

	if (uv_tcp_getsockname(&l->stream.tcp, (struct sockaddr *)&ss, &len) != 0 ||
	    uv_interface_addresses(&list, &count) != 0)
		return false;
	for (int i = 0; gone && i < count; i++) {
		const struct sockaddr_in *v4 = &list[i].address.address4;
		const struct sockaddr_in6 *v6 = &list[i].address.address6;

		if (v4->sin_family != ss.ss_family)
			continue;
		gone = ss.ss_family == AF_INET6
			       ? memcmp(&v6->sin6_addr, &((struct sockaddr_in6 *)&ss)->sin6_addr,
					16) != 0
			       : memcmp(&v4->sin_addr, &((struct sockaddr_in *)&ss)->sin_addr, 4) !=
					 0;
	}
	uv_free_interface_addresses(list, count);
	return gone;
}

static bool is_dialling(const struct node_hub_link *l)
{
	return l->state == NODE_HUB_CONNECTING || l->state == NODE_HUB_SECURING ||
	       l->state == NODE_HUB_GREETING;
}

/* An attempt that goes nowhere: its packets may have left by the network that was there before. */
static bool is_stuck(const struct node_hub_link *l)
{
	return is_dialling(l) &&
	       tt_mono_since(node_hub_link_now(l), l->since) >= STUCK_MS * TT_NS_PER_MS;
}

void node_hub_link_network_changed(struct node_hub_link *l)
{
	if (((l->state == NODE_HUB_UP || is_dialling(l)) && address_gone(l)) || is_stuck(l))
		node_hub_link_lost(l, "the network it was reached by is gone", false);
	if (l->state == NODE_HUB_UP) {
		node_hub_link_ping(l);
		l->deadline = tt_mono_add_ns(node_hub_link_now(l), PROBE_MS * TT_NS_PER_MS);
		node_hub_link_arm(l);
		return;
	}
	l->pause_ms = NODE_HUB_LINK_RETRY_MIN_MS;
	if (l->state == NODE_HUB_WAITING) {
		l->addr_next = l->addr_count; /* other names may be reachable now */
		node_hub_link_wait(l, 20);
	}
}
