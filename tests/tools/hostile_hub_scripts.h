/* SPDX-License-Identifier: MIT
 *
 * hostile_hub: the scripts, by name: floods, messages out of place, bytes that are no messages, and
 * the maps of hostile_hub_maps.h.
 */
#ifndef TT_TESTS_HOSTILE_HUB_SCRIPTS_H
#define TT_TESTS_HOSTILE_HUB_SCRIPTS_H

#include "hostile_hub_maps.h"

/* --- floods ----------------------------------------------------------------------------------- */

static void signals(void)
{
	uint8_t sealed[2048];

	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		MESSAGE(signal, Signal, SIGNAL);
		RAND_bytes(sealed, 64);
		v.node_id = below(2) ? other->id : 1 + below(100000);
		v.sealed = mesh_hub_bytes(sealed, 1 + below(sizeof(sealed)));
		send_message(&m);
	}
}

static void send_relay(uint32_t from, const uint8_t *packet, uint32_t len)
{
	static uint8_t buf[MESH_FRAME_RELAY_BEFORE + MESH_FRAME_PACKET_MAX];

	mesh_frame_relay_write(buf, from, len);
	memcpy(buf + MESH_FRAME_RELAY_BEFORE, packet, len);
	send_plain(buf, MESH_FRAME_RELAY_BEFORE + len);
}

/* Of strangers and of the peer; noise, and what looks like each kind of message. */
static void relayed(void)
{
	static uint8_t packet[MESH_FRAME_PACKET_MAX];

	RAND_bytes(packet, sizeof(packet));
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		static const uint32_t len[] = {MESH_FRAME_PACKET_MIN, 92, 148, 1452,
					       MESH_FRAME_PACKET_MAX};
		uint8_t kind = (uint8_t)below(7);

		RAND_bytes(packet, 32);
		if (kind >= 1 && kind <= 4)
			memcpy(packet, (uint8_t[]){kind, 0, 0, 0}, 4);
		else if (kind == 5)
			memcpy(packet, "\0\1\0\x08\x21\x12\xa4\x42", 8);
		send_relay(below(2) ? other->id : 1 + below(100000), packet,
			   len[below(TT_ARRAY_LEN(len))]);
	}
}

static void pings(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		MESSAGE(ping, Ping, PING);
		v.token = sent;
		send_message(&m);
	}
}

static void pongs(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		MESSAGE(pong, Pong, PONG);
		v.token = sent;
		send_message(&m);
	}
}

static void opened_at(const char *const *at, unsigned count)
{
	MESSAGE(relay_opened, RelayOpened, RELAY_OPENED);
	struct tt_endpoint e[4];
	uint8_t key[32], list[128];

	for (unsigned i = 0; i < count; i++)
		if (tt_endpoint_parse(at[i], &e[i]) != 0)
			die("endpoint", at[i]);
	RAND_bytes(key, sizeof(key));
	v.node_id = other->id;
	v.tag = 1 + below(1000000);
	v.key = mesh_hub_bytes(key, 32);
	v.addresses = mesh_hub_bytes(list, mesh_hub_endpoints_write(list, sizeof(list), e, count));
	v.expires_s = 300;
	send_message(&m);
}

static void opened_nowhere(void)
{
	static const char *const bad[] = {"127.0.0.1:3479", "224.0.0.1:3479", "255.255.255.255:9",
					  "[ff02::1]:9"};

	for (unsigned i = 0; i < TT_ARRAY_LEN(bad); i++)
		opened_at(bad + i, 1);
	opened_at(bad, TT_ARRAY_LEN(bad));
}

/* Each names a place: how often does the node send there? */
static void opened(void)
{
	for (uint64_t end = now_ms() + seconds * 1000; !closed && now_ms() < end;) {
		char text[32];
		const char *at = text;

		snprintf(text, sizeof(text), "203.0.113.2:%u", 20000 + below(100));
		opened_at(&at, 1);
	}
}

static void renewed(void)
{
	struct tls_der key, csr, cert = {0};
	struct tls_cert_request r = {.role = TLS_CERT_NODE, .name = me->name};
	uint8_t wg[32];

	RAND_bytes(wg, sizeof(wg));
	RAND_bytes(r.serial, sizeof(r.serial));
	tls_key_generate(&key);
	tls_csr_create(&key, &csr);
	r.wg_public_key = wg;
	r.csr = csr.bytes;
	r.csr_len = csr.len;
	r.not_before_s = (uint64_t)time(NULL) - 60;
	r.not_after_s = (uint64_t)time(NULL) + 90 * 86400;
	for (unsigned i = 0; i < 200 && !closed; i++) {
		MESSAGE(renewed, Renewed, RENEWED);
		if (i == 100) /* from now on with the right WireGuard key, and another key of TLS */
			r.wg_public_key = me->key;
		if (i % 100 == 0 && tls_cert_issue(&ca, &ca_key, &r, &cert) != 0)
			die("issue", "");
		v.certificate = mesh_hub_bytes(cert.bytes, cert.len);
		if (i == 199)
			v.certificate = mesh_hub_bytes(ca.bytes, ca.len);
		send_message(&m);
	}
}

static void restarting(void)
{
	MESSAGE(restarting, Restarting, RESTARTING);

	v.reconnect_in_ms = UINT32_MAX;
	v.try_for_ms = UINT32_MAX;
	send_message(&m);
}

static void restarting_late(void)
{
	MESSAGE(restarting, Restarting, RESTARTING);

	v.reconnect_in_ms = v.try_for_ms = MESH_HUB_RESTART_MAX_MS;
	send_message(&m);
}

static void restarting_soon(void)
{
	MESSAGE(restarting, Restarting, RESTARTING);

	v.try_for_ms = MESH_HUB_RESTART_MAX_MS;
	send_message(&m);
}

static void strange(void)
{
	MESSAGE(welcome, Welcome, WELCOME);
	uint8_t list[64];

	v.node_id = UINT32_MAX;
	v.name = mesh_hub_text("somebody-else");
	v.addresses = prefixes(list, &other->address, 1);
	v.hub_time = UINT64_MAX;
	v.stun_udp_port = 65535;
	v.keepalive_s = 65535;
	send_message(&m);
}

/* --- bytes that are no messages --------------------------------------------------------------- */

static void garbage(void)
{
	static uint8_t noise[16384];

	for (unsigned i = 0; i < 64 && !closed; i++) {
		RAND_bytes(noise, sizeof(noise));
		send_plain(noise, sizeof(noise));
	}
}

static void wrong_kind(void)
{
	send_plain((uint8_t[]){9, 0, 0, 1, 0}, 5);
}

static void overlong(void)
{
	send_plain((uint8_t[]){MESH_FRAME_CONTROL, 0xff, 0xff, 0xff, 0}, 5);
}

static void noise(void)
{
	uint8_t bytes[MESH_FRAME_HEADER + 200] = {MESH_FRAME_CONTROL, 0, 0, 200};

	RAND_bytes(bytes + MESH_FRAME_HEADER, 200);
	send_plain(bytes, sizeof(bytes));
}

static void drip(void)
{
	send_plain((uint8_t[]){MESH_FRAME_CONTROL, 3, 0, 0}, 4);
	for (unsigned i = 0; i < seconds && !closed; i++) {
		send_plain("", 1);
		listen_on(1000);
	}
}

static void nothing(void)
{
}

static void hang_up(void)
{
	closed = true;
}

struct script {
	const char *name;
	void (*before)(void);
	void (*play)(void);
};

static const struct script scripts[] = {
	{"garbage", greet, garbage},
	{"garbage_early", nothing, garbage},
	{"wrong_kind", greet, wrong_kind},
	{"overlong", greet, overlong},
	{"noise", greet, noise},
	{"early", hello, restarting_late},
	{"welcome_twice", greet, welcome},
	{"welcome_strange", hello, strange},
	{"map_own_key", greet, map_own_key},
	{"map_own_id", greet, map_own_id},
	{"map_own_address", greet, map_own_address},
	{"map_same_key", greet, map_same_key},
	{"map_same_address", greet, map_same_address},
	{"map_zero_key", greet, map_zero_key},
	{"map_default", greet, map_default},
	{"map_public", greet, map_public},
	{"map_nul", greet, map_nul},
	{"map_long", greet, map_long},
	{"map_million", greet, map_million},
	{"map_no_end", greet, map_no_end},
	{"map_back", greet, map_back},
	{"map_storm", greet, map_storm},
	{"map_keys", greet, map_keys},
	{"map_refused_flood", greet, map_refused_flood},
	{"signals", greet, signals},
	{"relayed", greet, relayed},
	{"pings", greet, pings},
	{"pongs", greet, pongs},
	{"opened_nowhere", greet, opened_nowhere},
	{"opened", greet, opened},
	{"renewed", greet, renewed},
	{"restarting", greet, restarting},
	{"restarting_late", greet, restarting_late},
	{"restarting_soon", greet, restarting_soon},
	{"drip", greet, drip},
	{"mute", nothing, nothing},
	{"mute_hello", hello, nothing},
	{"quiet", greet, nothing},
	{"close_tls", nothing, hang_up},
	{"close_hello", hello, hang_up},
	{"close_welcome", greet, hang_up},
};

#endif
