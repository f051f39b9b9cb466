/* SPDX-License-Identifier: MIT
 *
 * A device on the control thread, over a data plane without ports: what it sends and asks for.
 */
#include "node/device.h"

#include <errno.h>
#include <string.h>

#include "crypto/x25519.h"
#include "datapath/plane_state.h"
#include "node/device_impl.h"
#include "node_sim.h"
#include "plat/clock.h"
#include "tt_test.h"

static struct node_sim sim;
static const uint8_t priv[32] = {0x48, 1, 2, 3, 4, 5, 6, [31] = 0x41};
static const uint8_t key_a[32] = {0x21, 7, 7, [31] = 0x11};

static struct node_peer *open_with_peer(const char *endpoint)
{
	struct node_peer *p;
	struct tt_endpoint e;

	node_sim_open(&sim);
	node_device_set_private_key(sim.device, priv);
	node_device_set_up(sim.device, true);
	CU_ASSERT_EQUAL_FATAL(node_device_add_peer(sim.device, key_a, &p), 0);
	if (endpoint) {
		CU_ASSERT_EQUAL_FATAL(tt_endpoint_parse(endpoint, &e), 0);
		node_peer_set_endpoint(sim.device, p, &e);
	}
	return p;
}

/* Runs the device on its own deadlines until `end`, at most n of them. */
static unsigned run_until(struct tt_mono end, unsigned n)
{
	unsigned ticks = 0;

	while (ticks < n && sim.armed.ns && sim.armed.ns <= end.ns) {
		struct tt_mono due = sim.armed;
		sim.armed.ns = 0;
		node_device_tick(sim.device, due);
		ticks++;
	}
	return ticks;
}

static void adding_twice(void)
{
	struct node_peer *p = open_with_peer(NULL), *q;
	struct node_device_info info;

	CU_ASSERT_EQUAL(node_device_add_peer(sim.device, key_a, &q), -EEXIST);
	node_device_get_info(sim.device, &info);
	CU_ASSERT_EQUAL(info.peers, 1);
	CU_ASSERT_EQUAL(node_device_add_peer(sim.device, info.public_key, &q), -EADDRINUSE);
	node_device_remove_peer(sim.device, p);
	CU_ASSERT_PTR_NULL(node_device_find_peer(sim.device, key_a));
	CU_ASSERT_EQUAL(node_device_add_peer(sim.device, key_a, &q), 0);
	node_sim_close(&sim);
}

/* What is routed to a peer never goes to the one that gets its id within the same transaction. */
static void ids_are_used_again(void)
{
	static const uint8_t key_b[32] = {0x31, 9, [31] = 0x12}, addr[4] = {10, 1, 0, 1};
	struct node_peer *p = open_with_peer(NULL), *q;
	tt_peer_id id = node_peer_id(p);
	struct tt_cidr c;

	tt_cidr_parse("10.1.0.0/24", &c);
	CU_ASSERT_EQUAL(node_peer_add_allowed_ip(sim.device, p, &c), 0);
	CU_ASSERT_EQUAL(node_device_commit(sim.device), 0);
	CU_ASSERT_EQUAL(dp_plane_lookup(sim.plane, TT_FAMILY_V4, addr), id);
	node_device_remove_peer(sim.device, p);
	CU_ASSERT_EQUAL_FATAL(node_device_add_peer(sim.device, key_b, &q), 0);
	CU_ASSERT_EQUAL(node_peer_id(q), id);
	CU_ASSERT_EQUAL(dp_plane_lookup(sim.plane, TT_FAMILY_V4, addr), TT_PEER_NONE);
	node_sim_close(&sim);
}

/* A keepalive interval that is set brings the tunnel up by itself. */
static void keepalive_initiates(void)
{
	struct node_peer *p = open_with_peer("192.0.2.1:51820");

	CU_ASSERT_EQUAL(sim.sent, 0);
	node_peer_set_keepalive(sim.device, p, 10);
	run_until(tt_mono_add_ns(plat_clock_mono(), TT_NS_PER_SEC), 4);
	CU_ASSERT_EQUAL(sim.sent, 1);
	CU_ASSERT_EQUAL(sim.last_len, 148);
	CU_ASSERT_EQUAL(sim.last_sent[0], WG_MSG_INITIATION);
	node_sim_close(&sim);
}

/* The engine's successor asks its peers for handshakes when nothing else is due. */
static void wanted_handshake_is_due_at_once(void)
{
	struct node_peer *p = open_with_peer("192.0.2.1:51820");

	CU_ASSERT_EQUAL(sim.armed.ns, 0);
	node_peer_want_handshake(sim.device, p);
	CU_ASSERT_NOT_EQUAL(sim.armed.ns, 0);
	CU_ASSERT_EQUAL(run_until(plat_clock_mono(), 1), 1);
	CU_ASSERT_EQUAL(sim.sent, 1);
	CU_ASSERT_EQUAL(sim.last_sent[0], WG_MSG_INITIATION);
	node_sim_close(&sim);
}

/* Case 10: every 5 s with jitter, at most 90 s, then silence until something is to be sent. */
static void case_10_retries(void)
{
	struct node_peer *p = open_with_peer("192.0.2.1:51820");
	struct tt_mono start = plat_clock_mono();
	struct node_peer_info info;

	node_peer_set_keepalive(sim.device, p, 65535);
	run_until(tt_mono_add_ns(start, 4 * TT_NS_PER_SEC), 50);
	CU_ASSERT_EQUAL(sim.sent, 1);
	run_until(tt_mono_add_ns(start, 200 * TT_NS_PER_SEC), 500);
	CU_ASSERT(sim.sent >= 16 && sim.sent <= 19);
	node_peer_get_info(sim.device, p, &info);
	CU_ASSERT(info.status == WG_PEER_OFFLINE || info.status == WG_PEER_NEVER);
	/* given up: nothing of the last attempt is left */
	CU_ASSERT_EQUAL(p->wg->handshake, WG_HANDSHAKE_NONE);
	CU_ASSERT_EQUAL(sim.device->wg->index.used, 0);
	node_sim_close(&sim);
}

/* A new endpoint is tried at once, not at the next 5 s. */
static void endpoint_change_is_prompt(void)
{
	struct node_peer *p = open_with_peer("192.0.2.1:51820");
	struct tt_endpoint e;

	node_peer_set_keepalive(sim.device, p, 10);
	run_until(tt_mono_add_ns(plat_clock_mono(), TT_NS_PER_SEC), 4);
	CU_ASSERT_EQUAL(sim.sent, 1);
	tt_endpoint_parse("192.0.2.9:5", &e);
	node_peer_set_endpoint(sim.device, p, &e);
	run_until(tt_mono_add_ns(plat_clock_mono(), TT_NS_PER_SEC), 4);
	CU_ASSERT_EQUAL(sim.sent, 2);
	CU_ASSERT(tt_endpoint_equal(&sim.last_to, &e));
	node_sim_close(&sim);
}

/* Case 40: a name is looked up at once, again after failures with growing gaps, never in a loop. */
static void case_40_names(void)
{
	struct node_peer *p = open_with_peer(NULL);
	struct tt_mono start = plat_clock_mono();
	struct tt_endpoint many[3];

	CU_ASSERT_EQUAL(node_peer_set_host(sim.device, p, "vpn.example.com", 51820), 0);
	CU_ASSERT_EQUAL(sim.resolves, 1);
	CU_ASSERT_STRING_EQUAL(sim.last_host, "vpn.example.com");
	node_device_resolved(sim.device, sim.last_query, many, 0);
	unsigned before = sim.resolves;
	run_until(tt_mono_add_ns(start, 120 * TT_NS_PER_MS), 50);
	CU_ASSERT_EQUAL(sim.resolves, before);
	run_until(tt_mono_add_ns(start, 3 * TT_NS_PER_SEC), 50);
	CU_ASSERT_EQUAL(sim.resolves, before + 1);
	tt_endpoint_parse("192.0.2.1:51820", &many[0]);
	tt_endpoint_parse("192.0.2.2:51820", &many[1]);
	tt_endpoint_parse("192.0.2.3:51820", &many[2]);
	node_device_resolved(sim.device, sim.last_query, many, 3);
	struct node_peer_info info;
	node_peer_get_info(sim.device, p, &info);
	CU_ASSERT(tt_endpoint_equal(&info.endpoint, &many[0]));
	/* changing order of the answers moves nothing */
	struct tt_endpoint rotated[3] = {many[2], many[0], many[1]};
	node_device_resolved(sim.device, sim.last_query, rotated, 3);
	node_peer_get_info(sim.device, p, &info);
	CU_ASSERT(tt_endpoint_equal(&info.endpoint, &many[0]));
	/* an answer for a peer that is gone */
	node_device_remove_peer(sim.device, p);
	node_device_resolved(sim.device, sim.last_query, many, 3);
	node_sim_close(&sim);
}

/* What was asked of an old name, or by the peer that had the id before, moves nobody. */
static void late_answers(void)
{
	static const uint8_t key_b[32] = {0x31, 9, [31] = 0x12};
	struct node_peer *p = open_with_peer(NULL);
	struct node_peer_info info;
	struct tt_endpoint e;

	tt_endpoint_parse("192.0.2.1:51820", &e);
	CU_ASSERT_EQUAL(node_peer_set_host(sim.device, p, "old.example.com", 51820), 0);
	uint32_t old = sim.last_query;
	CU_ASSERT_EQUAL(node_peer_set_host(sim.device, p, "new.example.com", 51820), 0);
	node_device_resolved(sim.device, old, &e, 1);
	node_peer_get_info(sim.device, p, &info);
	CU_ASSERT_FALSE(tt_endpoint_is_set(&info.endpoint));

	old = sim.last_query;
	tt_peer_id id = node_peer_id(p);
	node_device_remove_peer(sim.device, p);
	CU_ASSERT_EQUAL_FATAL(node_device_add_peer(sim.device, key_b, &p), 0);
	CU_ASSERT_EQUAL(node_peer_id(p), id);
	CU_ASSERT_EQUAL(node_peer_set_host(sim.device, p, "other.example.com", 51820), 0);
	node_device_resolved(sim.device, old, &e, 1);
	node_peer_get_info(sim.device, p, &info);
	CU_ASSERT_FALSE(tt_endpoint_is_set(&info.endpoint));
	node_device_resolved(sim.device, sim.last_query, &e, 1);
	node_peer_get_info(sim.device, p, &info);
	CU_ASSERT(tt_endpoint_equal(&info.endpoint, &e));
	node_sim_close(&sim);
}

/* A look-up whose answer went down with the resolver is made again. */
static void lost_answer(void)
{
	struct node_peer *p = open_with_peer(NULL);
	struct tt_mono start = plat_clock_mono();

	CU_ASSERT_EQUAL(node_peer_set_host(sim.device, p, "vpn.example.com", 51820), 0);
	run_until(tt_mono_add_ns(start, 50 * TT_NS_PER_SEC), 50);
	CU_ASSERT_EQUAL(sim.resolves, 1);
	run_until(tt_mono_add_ns(start, 70 * TT_NS_PER_SEC), 50);
	CU_ASSERT_EQUAL(sim.resolves, 2);
	node_sim_close(&sim);
}

static void push(const void *bytes, size_t len)
{
	struct plat_udp_rx rx = {.buf = (uint8_t *)(uintptr_t)bytes,
				 .cap = (uint32_t)len,
				 .len = (uint32_t)len,
				 .segment = (uint32_t)len};

	tt_endpoint_parse("192.0.2.77:7", &rx.src);
	node_device_datagram(sim.device, plat_clock_mono(), &rx);
	while (node_device_doorbell(sim.device, plat_clock_mono()))
		;
}

/* A peer's initiation to the device, and what came back. */
static void initiate_to_device(struct wg_msg_initiation *msg)
{
	static const uint8_t secret[32] = {0x58, 3, [31] = 0x42};
	static const struct wg_tai64n stamp = {{0x40, 0, 0, 0, 0x70}};
	struct wg_noise_static self;
	struct wg_noise_remote remote = {.psk = {0}};
	struct wg_noise_initiator state;
	struct wg_cookie cookie = {.reply_expected = false};
	struct node_device_info info;
	struct node_peer *p;

	memcpy(self.private_key, secret, 32);
	crypto_x25519_base(self.public_key, secret);
	CU_ASSERT_EQUAL_FATAL(node_device_add_peer(sim.device, self.public_key, &p), 0);
	node_device_get_info(sim.device, &info);
	memcpy(remote.public_key, info.public_key, 32);
	CU_ASSERT_TRUE_FATAL(crypto_x25519(remote.static_static, secret, remote.public_key));
	CU_ASSERT_EQUAL_FATAL(wg_noise_initiation_create(&state, msg, &self, &remote, secret,
							 &stamp, 77),
			      WG_NOISE_OK);
	wg_cookie_keys_init(&cookie.keys, remote.public_key);
	wg_cookie_stamp(&cookie, (uint8_t *)msg, sizeof(*msg), plat_clock_mono());
}

/* The first packet is here before the kernel has told that the link is up. */
static void packet_before_link_up(void)
{
	struct node_peer *p = open_with_peer("192.0.2.1:51820");

	node_device_set_up(sim.device, false);
	node_peer_run(sim.device, p, plat_clock_mono(), DP_FACT_NEED_HANDSHAKE);
	run_until(tt_mono_add_ns(plat_clock_mono(), TT_NS_PER_SEC), 4);
	CU_ASSERT_EQUAL(sim.sent, 0);
	node_device_set_up(sim.device, true);
	run_until(plat_clock_mono(), 1);
	CU_ASSERT_EQUAL(sim.sent, 1);
	CU_ASSERT_EQUAL(sim.last_sent[0], WG_MSG_INITIATION);
	node_sim_close(&sim);
}

/* Nothing is answered while the link is down, and what was agreed before does not stay. */
static void link_down_ends_sessions(void)
{
	struct wg_msg_initiation msg;

	open_with_peer(NULL);
	initiate_to_device(&msg);
	node_device_set_up(sim.device, false);
	push(&msg, sizeof(msg));
	CU_ASSERT_EQUAL(sim.sent, 0);
	node_device_set_up(sim.device, true);
	push(&msg, sizeof(msg));
	CU_ASSERT_EQUAL(sim.sent, 1);
	CU_ASSERT_EQUAL(sim.last_sent[0], WG_MSG_RESPONSE);
	CU_ASSERT_EQUAL(sim.device->wg->index.used, 1);
	node_device_set_up(sim.device, false);
	CU_ASSERT_EQUAL(sim.device->wg->index.used, 0);
	node_sim_close(&sim);
}

static bool is_zero(const void *mem, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)mem)[i])
			return false;
	return true;
}

/* 540 s after the last handshake nothing of the session is left: in no table, and in no memory. */
static void keys_are_erased(void)
{
	const struct tt_mono start = plat_clock_mono();
	struct tt_mono before = {start.ns + 535 * TT_NS_PER_SEC};
	struct tt_mono after = {start.ns + 545 * TT_NS_PER_SEC};
	static const uint8_t secret[32] = {0x58, 3, [31] = 0x42};
	struct wg_msg_initiation msg;
	uint8_t key[32];

	open_with_peer(NULL);
	initiate_to_device(&msg);
	push(&msg, sizeof(msg));
	CU_ASSERT_EQUAL(sim.last_sent[0], WG_MSG_RESPONSE);
	crypto_x25519_base(key, secret);
	struct node_peer *p = node_device_find_peer(sim.device, key);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	struct wg_session *s = p->wg->next;
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	uint32_t index = s->local_index;

	/* the first packet of the peer makes it the one in use */
	atomic_store(&s->confirmed, true);
	node_peer_run(sim.device, p, start, 0);
	CU_ASSERT_PTR_EQUAL(p->wg->current, s);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find(&sim.plane->sessions, index), s);
	run_until(before, 1000);
	CU_ASSERT_PTR_EQUAL(dp_session_table_find(&sim.plane->sessions, index), s);
	CU_ASSERT_FALSE(is_zero(&s->recv_key, sizeof(s->recv_key)));
	run_until(after, 1000);
	tt_epoch_reclaim(dp_plane_epoch(sim.plane));
	CU_ASSERT_PTR_NULL(p->wg->current);
	CU_ASSERT_PTR_NULL(p->wg->next);
	CU_ASSERT_PTR_NULL(p->wg->previous);
	CU_ASSERT_PTR_NULL(dp_peer_sending(p->dp));
	CU_ASSERT_PTR_NULL(dp_session_table_find(&sim.plane->sessions, index));
	CU_ASSERT_EQUAL(sim.device->wg->index.used, 0);
	/* the slab of sessions stays mapped, so what was there can be looked at */
	CU_ASSERT(is_zero(s, sizeof(*s)));
	CU_ASSERT(is_zero(&p->wg->initiator, sizeof(p->wg->initiator)));
	node_sim_close(&sim);
}

/* Cases 7 and 33: no initiation is ever stamped later than 50 years after the release. */
static void case_07_stamps(void)
{
	const struct wg_tai64n none = {{0}};
	struct wg_tai64n stamp;

	open_with_peer("192.0.2.1:51820");
	CU_ASSERT(wg_tai64n_next(&stamp, &none, (struct tt_wall){2208988800, 0},
				 sim.device->wg->stamp_limit)); /* 2040 */
	CU_ASSERT(!wg_tai64n_next(&stamp, &none, (struct tt_wall){4102444800, 0},
				  sim.device->wg->stamp_limit)); /* 2100 */
	node_sim_close(&sim);
}

/* Case 18: a peer that may not roam is heard from anywhere, and sent to where it was configured. */
static void case_18_fixed_endpoint(void)
{
	for (int fixed = 0; fixed < 2; fixed++) {
		struct wg_msg_initiation msg;
		struct node_peer_info info;
		struct tt_endpoint home, seen;

		open_with_peer(NULL);
		tt_endpoint_parse("192.0.2.1:51820", &home);
		tt_endpoint_parse("192.0.2.77:7", &seen); /* where push() comes from */
		initiate_to_device(&msg);
		struct node_peer *p = node_device_next_peer(sim.device, NULL);
		while (p && node_device_next_peer(sim.device, p))
			p = node_device_next_peer(sim.device, p); /* the one that initiates */
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		node_peer_set_endpoint(sim.device, p, &home);
		node_peer_set_roaming(sim.device, p, !fixed);
		push(&msg, sizeof(msg));
		CU_ASSERT_EQUAL(sim.last_sent[0], WG_MSG_RESPONSE);
		CU_ASSERT(tt_endpoint_equal(&sim.last_to, &seen)); /* who asks is answered */
		node_peer_get_info(sim.device, p, &info);
		CU_ASSERT(tt_endpoint_equal(&info.endpoint, fixed ? &home : &seen));
		node_sim_close(&sim);
	}
}

/* --- the way past the kernel ------------------------------------------------------------------ */

static struct {
	unsigned on, off, lookups;
	unsigned sent_before; /* datagrams when the index was announced */
	uint32_t index;
	enum node_link answer;
} past;

static void note_index(void *ctx, uint32_t index, bool on)
{
	(void)ctx;
	past.on += on;
	past.off += !on;
	past.index = index;
	past.sent_before = sim.sent;
	/* known to the workers whenever it is in the map */
	CU_ASSERT_PTR_NOT_NULL(dp_session_table_find(&sim.plane->sessions, index));
}

static enum node_link note_link(void *ctx, const struct plat_udp_dest *dest, struct dp_link *out)
{
	(void)ctx;
	(void)dest;
	past.lookups++;
	out->ifindex = past.answer == NODE_LINK_FOUND ? 7 : 0;
	return past.answer;
}

static void collect_index(void *arg, uint32_t index)
{
	(void)arg;
	past.index = index;
	past.on++;
}

/* Session, then map, then response; and in reverse. */
static void indices_in_order(void)
{
	struct wg_msg_initiation msg;

	open_with_peer(NULL);
	memset(&past, 0, sizeof(past));
	sim.device->opt.index = note_index;
	initiate_to_device(&msg);
	push(&msg, sizeof(msg));
	CU_ASSERT_EQUAL(sim.sent, 1);
	CU_ASSERT_EQUAL(past.on, 1);
	CU_ASSERT_EQUAL(past.off, 0);
	CU_ASSERT_EQUAL(past.sent_before, 0);
	uint32_t index = past.index;
	node_device_each_index(sim.device, collect_index, NULL);
	CU_ASSERT_EQUAL(past.on, 2);
	CU_ASSERT_EQUAL(past.index, index);
	node_device_set_up(sim.device, false);
	CU_ASSERT_EQUAL(past.off, 1);
	CU_ASSERT_EQUAL(past.index, index);
	sim.device->opt.index = NULL;
	node_sim_close(&sim);
}

static uint32_t published_link(const struct node_peer *p)
{
	const struct dp_path *path = atomic_load(&p->dp->path);

	return path ? path->link.ifindex : 0;
}

static void links_follow_their_generation(void)
{
	struct node_peer *p = open_with_peer("192.0.2.1:51820");
	struct tt_endpoint e;

	memset(&past, 0, sizeof(past));
	sim.device->opt.find_link = note_link;
	CU_ASSERT_EQUAL(published_link(p), 0);
	past.answer = NODE_LINK_FOUND;
	CU_ASSERT_FALSE(node_device_relink(sim.device, 2, 10));
	CU_ASSERT_EQUAL(published_link(p), 7);
	CU_ASSERT_EQUAL(past.lookups, 1);
	/* nothing new: nothing is asked */
	CU_ASSERT_FALSE(node_device_relink(sim.device, 2, 10));
	CU_ASSERT_EQUAL(past.lookups, 1);
	/* the same answer is not published again */
	const struct dp_path *path = atomic_load(&p->dp->path);
	CU_ASSERT_FALSE(node_device_relink(sim.device, 3, 10));
	CU_ASSERT_EQUAL(past.lookups, 2);
	CU_ASSERT_PTR_EQUAL(path, atomic_load(&p->dp->path));
	/* the interface goes: the socket at once */
	node_device_unlink(sim.device, 7);
	CU_ASSERT_EQUAL(published_link(p), 0);
	/* too many at once: later, and until then the socket */
	past.answer = NODE_LINK_LATER;
	tt_endpoint_parse("192.0.2.2:51820", &e);
	node_peer_set_endpoint(sim.device, p, &e);
	CU_ASSERT_EQUAL(published_link(p), 0);
	CU_ASSERT_TRUE(node_device_relink(sim.device, 3, 10));
	past.answer = NODE_LINK_FOUND;
	CU_ASSERT_TRUE(node_device_relink(sim.device, 3, 0));
	CU_ASSERT_FALSE(node_device_relink(sim.device, 3, 1));
	CU_ASSERT_EQUAL(published_link(p), 7);
	node_sim_close(&sim);
}

/* Case 15 on the control thread's own socket: every length and first byte is a counted drop. */
static void case_15_junk(void)
{
	uint8_t junk[300];
	uint64_t drops[TT_DROP_COUNT], total = 0;

	open_with_peer("192.0.2.1:51820");
	memset(junk, 0, sizeof(junk));
	unsigned pushed = 0;
	for (unsigned type = 0; type < 256; type += 5)
		for (size_t len = 1; len < sizeof(junk); len += 7, pushed++) {
			junk[0] = (uint8_t)type;
			push(junk, len);
		}
	CU_ASSERT_EQUAL(sim.sent, 0);
	node_device_drops(sim.device, drops);
	for (unsigned i = 0; i < TT_DROP_COUNT; i++)
		total += drops[i];
	CU_ASSERT_EQUAL(total, pushed);
	node_sim_close(&sim);
}

/* Ten thousand peers come, are published as one table, and go. */
static void many_peers(void)
{
	struct node_peer *p;
	uint8_t key[32] = {0};
	struct tt_cidr c = {.bits = 32};

	node_sim_open(&sim);
	node_device_set_private_key(sim.device, priv);
	struct tt_mono start = plat_clock_mono();
	for (uint32_t i = 0; i < 10000; i++) {
		tt_store_be32(key, i + 1);
		CU_ASSERT_EQUAL_FATAL(node_device_add_peer(sim.device, key, &p), 0);
		c.ip = tt_ip_v4_host(0x0a000000 + i);
		CU_ASSERT_EQUAL_FATAL(node_peer_add_allowed_ip(sim.device, p, &c), 0);
	}
	CU_ASSERT_EQUAL(node_device_commit(sim.device), 0);
	printf("  10,000 peers with one allowed IP each: %llu ms\n",
	       (unsigned long long)(tt_mono_since(plat_clock_mono(), start) / TT_NS_PER_MS));
	node_device_remove_all_peers(sim.device);
	CU_ASSERT_EQUAL(node_device_commit(sim.device), 0);
	CU_ASSERT_PTR_NULL(node_device_next_peer(sim.device, NULL));
	node_sim_close(&sim);
}

TT_TESTS("device", {"adding a peer twice", adding_twice},
	 {"ids are used again", ids_are_used_again},
	 {"a keepalive interval initiates", keepalive_initiates},
	 {"a wanted handshake is due at once", wanted_handshake_is_due_at_once},
	 {"case 10: retries", case_10_retries},
	 {"a new endpoint is tried at once", endpoint_change_is_prompt},
	 {"keys are erased after 540 s", keys_are_erased}, {"case 07: stamps", case_07_stamps},
	 {"case 18: fixed endpoint", case_18_fixed_endpoint}, {"case 40: names", case_40_names},
	 {"late answers of the resolver", late_answers}, {"a look-up without answer", lost_answer},
	 {"link down ends sessions", link_down_ends_sessions},
	 {"a packet before the link is up", packet_before_link_up}, {"case 15: junk", case_15_junk},
	 {"indices in order", indices_in_order},
	 {"links by generation", links_follow_their_generation}, {"ten thousand peers", many_peers})
