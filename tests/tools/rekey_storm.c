/* SPDX-License-Identifier: MIT
 *
 * A peer that rekeys as fast as it is allowed to, with pings in both directions all the time.
 *
 *	rekey_storm PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT INNER_SOURCE INNER_DESTINATION COUNT
 *
 * Prints one JSON object: what it did and what it missed.
 */
#include "wg_client.h"

enum {
	SESSIONS = 4,	   /* ours that still receive */
	GAP_MS = 21,	   /* after an answer: initiations within 20 ms are refused */
	RETRY_MS = 300,	   /* a lost handshake message */
	IN_FLIGHT = 64,	   /* pings without their answer */
	PING_BYTES = 1000, /* of an inner packet */
	PATIENCE_MS = 500, /* an answer that takes longer is lost */
};

static struct storm {
	struct wg_client client;
	struct wg_session session[SESSIONS];
	unsigned current; /* how many there were; the newest is [(current - 1) % SESSIONS] */
	struct tt_mono asked, answered;
	bool waiting;
	uint8_t ping[PING_BYTES];
	uint16_t seq;
	uint8_t slot_of[65536];		/* the session a ping went with */
	uint64_t sent_of[SESSIONS];	/* pings that went with a session */
	uint64_t answered_of[SESSIONS]; /* and were answered, with whatever session */
	uint64_t sent, received, unknown, bad, retries;
	struct tt_mono last_received;
} storm;

static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (; len; p += 2, len -= 2)
		sum += tt_load_be16(p);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ping_make(const char *source, const char *destination)
{
	uint8_t *p = storm.ping;

	p[0] = 0x45;
	tt_store_be16(p + 2, PING_BYTES);
	p[8] = 64;
	p[9] = IPPROTO_ICMP;
	if (inet_pton(AF_INET, source, p + 12) != 1 || inet_pton(AF_INET, destination, p + 16) != 1)
		wg_client_die("inner addresses");
	tt_store_be16(p + 10, checksum(p, 20));
	p[20] = 8; /* echo request */
}

static void ping_send(void)
{
	uint8_t *icmp = storm.ping + 20;
	unsigned slot = (storm.current - 1) % SESSIONS;

	storm.slot_of[storm.seq] = (uint8_t)slot;
	storm.sent_of[slot]++;
	tt_store_be16(icmp + 2, 0);
	tt_store_be16(icmp + 6, storm.seq++);
	tt_store_be16(icmp + 2, checksum(icmp, PING_BYTES - 20));
	wg_client_seal(&storm.client, &storm.session[slot], storm.ping, PING_BYTES);
	storm.sent++;
}

static void initiate(void)
{
	struct wg_msg_initiation msg;

	wg_client_initiation(&storm.client, &msg);
	wg_client_send(&storm.client, &msg, sizeof(msg));
	storm.asked = plat_clock_mono();
	storm.waiting = true;
}

static void take_data(const uint8_t *buf, size_t len)
{
	uint8_t out[65536];
	struct wg_data_opened opened;

	for (unsigned i = 0; i < SESSIONS; i++) {
		if (storm.session[i].local_index != tt_load_le32(buf + 4))
			continue;
		if (wg_data_open(&storm.session[i], plat_clock_mono(), buf, len, out, &opened) !=
		    TT_DROP_NONE) {
			storm.bad++;
		} else if (opened.len) {
			storm.received++;
			storm.answered_of[storm.slot_of[tt_load_be16(out + 26)]]++;
			storm.last_received = plat_clock_mono();
		}
		return;
	}
	storm.unknown++;
}

static void take(const uint8_t *buf, size_t len)
{
	struct wg_session *next = &storm.session[storm.current % SESSIONS];
	struct wg_session s;

	if (len >= WG_DATA_MIN && wg_message_type_of(buf, len) == WG_MSG_DATA) {
		take_data(buf, len);
	} else if (storm.waiting && wg_client_response(&storm.client, buf, len, &s)) {
		*next = s;
		storm.sent_of[storm.current % SESSIONS] = 0;
		storm.answered_of[storm.current % SESSIONS] = 0;
		storm.current++;
		storm.waiting = false;
		storm.answered = plat_clock_mono();
	}
}

static void take_all(int timeout_ms)
{
	uint8_t buf[65536];
	size_t n;

	while ((n = wg_client_receive(&storm.client, buf, sizeof(buf), timeout_ms)) > 0) {
		take(buf, n);
		timeout_ms = 0;
	}
}

/*
 * The session in use must have carried something before it is replaced, and the one before it must
 * have delivered all it was given: the next initiation ends it.
 */
static bool used(void)
{
	unsigned now = (storm.current - 1) % SESSIONS, before = (storm.current - 2) % SESSIONS;

	if (storm.current && !storm.answered_of[now])
		return false;
	return storm.current < 2 || storm.answered_of[before] == storm.sent_of[before] ||
	       tt_mono_since(plat_clock_mono(), storm.answered) >= PATIENCE_MS * TT_NS_PER_MS;
}

static void turn(unsigned wanted)
{
	struct tt_mono now = plat_clock_mono();

	if (storm.waiting) {
		if (tt_mono_since(now, storm.asked) >= RETRY_MS * TT_NS_PER_MS) {
			storm.retries++;
			initiate();
		}
	} else if (storm.current < wanted && used() &&
		   tt_mono_since(now, storm.answered) >= GAP_MS * TT_NS_PER_MS) {
		initiate();
	}
	/* a loss must not stop it: after a while the window opens again */
	bool stuck = tt_mono_since(now, storm.last_received) >= PATIENCE_MS * TT_NS_PER_MS;
	for (unsigned i = 0; storm.current && i < 16; i++)
		if (storm.sent - storm.received < IN_FLIGHT || (stuck && i == 0))
			ping_send();
	take_all(1);
}

int main(int argc, char **argv)
{
	const char *backend;

	if (argc != 8) {
		fprintf(stderr, "usage: rekey_storm PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT "
				"INNER_SOURCE INNER_DESTINATION COUNT\n");
		return 2;
	}
	if (crypto_aead_select(NULL, &backend) != CRYPTO_AEAD_CHOSEN)
		wg_client_die("aead");
	unsigned wanted = (unsigned)atoi(argv[7]);
	struct tt_mono start = plat_clock_mono();
	wg_client_open(&storm.client, argv[1], argv[2], argv[3], argv[4]);
	ping_make(argv[5], argv[6]);
	while ((storm.current < wanted || !used()) &&
	       tt_mono_since(plat_clock_mono(), start) < 120 * TT_NS_PER_SEC)
		turn(wanted);
	for (int i = 0; i < 100 && storm.received < storm.sent; i++)
		take_all(10);
	printf("{\"handshakes\":%u,\"retries\":%llu,\"sent\":%llu,\"received\":%llu,"
	       "\"unknown\":%llu,\"bad\":%llu,\"seconds\":%.1f}\n",
	       storm.current, (unsigned long long)storm.retries, (unsigned long long)storm.sent,
	       (unsigned long long)storm.received, (unsigned long long)storm.unknown,
	       (unsigned long long)storm.bad,
	       (double)tt_mono_since(plat_clock_mono(), start) / 1e9);
	return 0;
}
