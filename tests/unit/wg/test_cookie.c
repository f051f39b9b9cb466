/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "base/rng.h"
#include "crypto/mem.h"
#include "wg/cookie.h"

static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct wg_cookie_checker server;
static struct wg_cookie client;
static struct wg_msg_initiation msg;
static struct wg_msg_cookie reply;
static struct tt_endpoint here, there;

static struct tt_mono at(uint64_t s)
{
	return (struct tt_mono){s * TT_NS_PER_SEC};
}

static void set_up(void)
{
	uint8_t key[32];

	rng = tt_rng_seeded_init(&seed, 4);
	tt_rng_fill(&rng, key, 32);
	memset(&server, 0, sizeof(server));
	memset(&client, 0, sizeof(client));
	wg_cookie_keys_init(&server.keys, key);
	wg_cookie_keys_init(&client.keys, key);
	tt_rng_fill(&rng, &msg, sizeof(msg));
	tt_endpoint_parse("192.0.2.1:51820", &here);
	tt_endpoint_parse("192.0.2.2:51820", &there);
}

static void stamp(uint64_t s)
{
	wg_cookie_stamp(&client, (uint8_t *)&msg, sizeof(msg), at(s));
}

static enum wg_cookie_verdict check(const struct tt_endpoint *source, uint64_t s)
{
	return wg_cookie_check(&server, (const uint8_t *)&msg, sizeof(msg), source, at(s), &rng);
}

static void answer(const struct tt_endpoint *source, uint64_t s)
{
	wg_cookie_reply_create(&server, &reply, 0x11223344, (const uint8_t *)&msg, sizeof(msg),
			       source, at(s), &rng);
}

static void exchange(void)
{
	set_up();
	stamp(1);
	CU_ASSERT(crypto_is_zero(msg.macs.mac2, WG_MAC_LEN));
	CU_ASSERT_EQUAL(check(&here, 1), WG_COOKIE_MAC1_ONLY);
	answer(&here, 1);
	CU_ASSERT_EQUAL(tt_load_le32(reply.receiver_index), 0x11223344);
	CU_ASSERT_EQUAL(reply.type, WG_MSG_COOKIE);
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_STORED);
	stamp(2);
	CU_ASSERT_EQUAL(check(&here, 2), WG_COOKIE_MAC2);
}

static void mac1(void)
{
	set_up();
	stamp(1);
	CU_ASSERT(wg_cookie_check_mac1(&server.keys, (uint8_t *)&msg, sizeof(msg)));
	/* every byte that it covers, and its own */
	for (size_t i = 0; i < sizeof(msg) - WG_MAC_LEN; i++) {
		((uint8_t *)&msg)[i] ^= 0x10;
		CU_ASSERT_EQUAL(check(&here, 1), WG_COOKIE_BAD_MAC1);
		((uint8_t *)&msg)[i] ^= 0x10;
	}
	CU_ASSERT_FALSE(wg_cookie_check_mac1(&server.keys, (uint8_t *)&msg, 31));
	server.keys.mac1[0] ^= 1;
	CU_ASSERT_EQUAL(check(&here, 1), WG_COOKIE_BAD_MAC1);
}

/* The cookie is bound to the address and to the udp_port it was sent to. */
static void bound_to_source(void)
{
	set_up();
	stamp(1);
	answer(&here, 1);
	wg_cookie_reply_consume(&client, &reply, at(1));
	stamp(1);
	CU_ASSERT_EQUAL(check(&here, 1), WG_COOKIE_MAC2);
	CU_ASSERT_EQUAL(check(&there, 1), WG_COOKIE_MAC1_ONLY);
	struct tt_endpoint other_port = here;
	other_port.udp_port++;
	CU_ASSERT_EQUAL(check(&other_port, 1), WG_COOKIE_MAC1_ONLY);
	struct tt_endpoint v6;
	tt_endpoint_parse("[c000:201::]:51820", &v6); /* the same bytes, another family */
	CU_ASSERT_EQUAL(check(&v6, 1), WG_COOKIE_MAC1_ONLY);
}

static void unsolicited(void)
{
	set_up();
	stamp(1);
	answer(&here, 1);
	memset(client.sent_mac1, 0, WG_MAC_LEN);
	client.reply_expected = false;
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_UNEXPECTED);
	CU_ASSERT_FALSE(tt_mono_is_set(client.received));
}

static void replayed(void)
{
	set_up();
	stamp(1);
	answer(&here, 1);
	struct wg_msg_cookie first = reply;
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_STORED);
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_UNEXPECTED);
	/* nor does it fit what is sent next: that has another mac1 */
	msg.ephemeral[0] ^= 1;
	stamp(2);
	uint8_t kept[WG_COOKIE_LEN];
	memcpy(kept, client.cookie, sizeof(kept));
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &first, at(2)), WG_COOKIE_FORGED);
	CU_ASSERT(memcmp(kept, client.cookie, sizeof(kept)) == 0);
	CU_ASSERT(client.reply_expected);
}

static void forged(void)
{
	set_up();
	stamp(1);
	answer(&here, 1);
	for (size_t i = offsetof(struct wg_msg_cookie, nonce); i < sizeof(reply); i++) {
		((uint8_t *)&reply)[i] ^= 0x01;
		CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_FORGED);
		((uint8_t *)&reply)[i] ^= 0x01;
	}
	CU_ASSERT_FALSE(tt_mono_is_set(client.received));
	CU_ASSERT(crypto_is_zero(client.cookie, WG_COOKIE_LEN));
	client.sent_mac1[3] ^= 1; /* wrong associated data */
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_FORGED);
	client.sent_mac1[3] ^= 1;
	/* none of it used up the one reply that is expected */
	CU_ASSERT_EQUAL(wg_cookie_reply_consume(&client, &reply, at(1)), WG_COOKIE_STORED);
}

static void expires(void)
{
	set_up();
	stamp(10);
	answer(&here, 10);
	wg_cookie_reply_consume(&client, &reply, at(10));
	stamp(129);
	CU_ASSERT_FALSE(crypto_is_zero(msg.macs.mac2, WG_MAC_LEN));
	stamp(130);
	CU_ASSERT(crypto_is_zero(msg.macs.mac2, WG_MAC_LEN));
	CU_ASSERT(crypto_is_zero(client.cookie, WG_COOKIE_LEN));
}

static void secret_rotates(void)
{
	uint8_t old[WG_COOKIE_SECRET_LEN];

	set_up();
	stamp(10);
	answer(&here, 10);
	memcpy(old, server.secret, sizeof(old));
	wg_cookie_reply_consume(&client, &reply, at(10));
	stamp(100);
	CU_ASSERT_EQUAL(check(&here, 129), WG_COOKIE_MAC2);
	CU_ASSERT(memcmp(old, server.secret, sizeof(old)) == 0);
	CU_ASSERT_EQUAL(check(&here, 130), WG_COOKIE_MAC1_ONLY);
	CU_ASSERT(memcmp(old, server.secret, sizeof(old)) != 0);
}

TT_TESTS("cookie", {"exchange", exchange}, {"case 01: mac1 covers every byte", mac1},
	 {"case 04: bound to address and udp_port", bound_to_source},
	 {"case 04: unsolicited reply", unsolicited}, {"case 04: replayed reply", replayed},
	 {"case 04: forged reply, wrong nonce, wrong associated data", forged},
	 {"case 04: a cookie dies after 120 s", expires},
	 {"case 04: the secret rotates after 120 s", secret_rotates})
