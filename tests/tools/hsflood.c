/* SPDX-License-Identifier: MIT
 *
 * Handshake messages as an attacker sends them, and a peer that behaves.
 *
 *	hsflood flood PEER_KEY_FILE IP UDP_PORT SOURCE_NET RATE SECONDS {none|mac1}
 *		initiations of noise from 65,536 sources a.b.0.0/16, with a wrong or a right mac1
 *	hsflood join PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT SECONDS
 *		handshakes until one is answered, through a cookie where that is asked for
 *	hsflood hammer PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT RATE SECONDS
 *		the same peer asks for a cookie, then sends RATE initiations a second with mac2
 *	hsflood capture PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT FILE
 *		one handshake; the initiation goes to FILE
 *	hsflood replay FILE IP UDP_PORT
 *		sends it again, twice
 *	hsflood cookies PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT
 *		cookie replies for a live session, forged, and for one that does not exist
 *
 * Prints one JSON object: what came back.
 */
#include "wg_client.h"

#include <signal.h>

#include "crypto/blake2s.h"

/* An answer waits in the gateway's queue behind the flood: 4,096 messages. A peer that asks again
 * meanwhile can use neither the answer nor the cookie, which belong to what it has sent last. */
#define PATIENCE_MS    1600
#define FIRST_WAIT_MS  200
#define COOKIE_SECONDS 20

enum { FLOOD_BATCH = 256, FLOOD_PACKET = 20 + 8 + sizeof(struct wg_msg_initiation) };

static struct {
	unsigned long long sent, responses, cookies, cookies_taken, other;
	double first_ms; /* until the first response; 0: none */
	double took_ms;	 /* of a flood and of a hammer: longer than asked for on a busy machine */
} tally;

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void report(void)
{
	printf("{\"sent\":%llu,\"responses\":%llu,\"cookies\":%llu,\"cookies_taken\":%llu,"
	       "\"other\":%llu,\"first_ms\":%.1f,\"took_ms\":%.1f}\n",
	       tally.sent, tally.responses, tally.cookies, tally.cookies_taken, tally.other,
	       tally.first_ms, tally.took_ms);
}

static double since_ms(struct tt_mono start)
{
	return (double)tt_mono_since(plat_clock_mono(), start) / 1e6;
}

/* --- flood ------------------------------------------------------------------------------------ */

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* IPv4 and UDP by hand: the sources are not ours. UDP needs no checksum there. */
static void flood_headers(uint8_t *p, uint32_t source, const struct sockaddr_in *to)
{
	uint32_t sum = 0;

	memset(p, 0, 28);
	p[0] = 0x45;
	tt_store_be16(p + 2, FLOOD_PACKET);
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	tt_store_be32(p + 12, source);
	memcpy(p + 16, &to->sin_addr, 4);
	for (int i = 0; i < 20; i += 2)
		sum += tt_load_be16(p + i);
	tt_store_be16(p + 10, fold(sum));
	tt_store_be16(p + 20, (uint16_t)(1024 + source % 60000));
	memcpy(p + 22, &to->sin_port, 2);
	tt_store_be16(p + 24, FLOOD_PACKET - 20);
}

static void flood_message(uint8_t *m, const struct wg_cookie_keys *keys, const struct tt_rng *rng)
{
	const size_t signed_len = sizeof(struct wg_msg_initiation) - sizeof(struct wg_msg_macs);

	tt_rng_fill(rng, m, sizeof(struct wg_msg_initiation));
	tt_store_le32(m, WG_MSG_INITIATION);
	if (keys)
		crypto_blake2s(m + signed_len, WG_MAC_LEN, keys->mac1, WG_KEY_LEN, m, signed_len);
	memset(m + signed_len + WG_MAC_LEN, 0, WG_MAC_LEN);
}

static void flood_burst(int fd, const struct sockaddr_in *to, uint32_t net, unsigned n,
			const struct wg_cookie_keys *keys, const struct tt_rng *rng)
{
	static uint8_t packet[FLOOD_BATCH][FLOOD_PACKET];
	struct mmsghdr msg[FLOOD_BATCH] = {0};
	struct iovec iov[FLOOD_BATCH];

	for (unsigned i = 0; i < n; i++) {
		flood_headers(packet[i], net | (tt_rng_u32(rng) & 0xffff), to);
		flood_message(packet[i] + 28, keys, rng);
		iov[i] = (struct iovec){packet[i], FLOOD_PACKET};
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
		msg[i].msg_hdr.msg_name = (void *)(uintptr_t)to;
		msg[i].msg_hdr.msg_namelen = sizeof(*to);
	}
	int done = sendmmsg(fd, msg, n, 0);
	if (done > 0)
		tally.sent += (unsigned)done;
}

static int flood(char **a)
{
	struct tt_rng_seeded seed;
	struct tt_rng rng = tt_rng_seeded_init(&seed, 1);
	struct sockaddr_in to = wg_client_address(a[1], a[2]);
	struct sockaddr_in net = wg_client_address(a[3], "1");
	double rate = atof(a[4]), seconds = atof(a[5]);
	uint8_t peer[WG_KEY_LEN];
	struct wg_cookie_keys keys;
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0)
		wg_client_die("raw socket");
	wg_client_read_key(a[0], peer);
	wg_cookie_keys_init(&keys, peer);
	signal(SIGTERM, end);
	struct tt_mono start = plat_clock_mono();
	while (!ended && since_ms(start) < seconds * 1e3) {
		double due = since_ms(start) / 1e3 * rate - (double)tally.sent;
		if (due < 1) {
			usleep(500);
			continue;
		}
		flood_burst(fd, &to, ntohl(net.sin_addr.s_addr) & 0xffff0000,
			    due > FLOOD_BATCH ? FLOOD_BATCH : (unsigned)due,
			    strcmp(a[6], "mac1") == 0 ? &keys : NULL, &rng);
	}
	tally.took_ms = since_ms(start);
	report();
	return 0;
}

/* --- a peer ----------------------------------------------------------------------------------- */

/* Takes what has come; true where one of it was the answer to the last initiation. */
static bool take(struct wg_client *c, struct wg_session *s, int timeout_ms)
{
	uint8_t buf[2048];
	bool answered = false;
	size_t n;

	while ((n = wg_client_receive(c, buf, sizeof(buf), timeout_ms)) > 0) {
		timeout_ms = 0;
		enum wg_message_type type = wg_message_type_of(buf, n);
		if (type == WG_MSG_RESPONSE) {
			tally.responses++;
			answered |= wg_client_response(c, buf, n, s);
		} else if (type == WG_MSG_COOKIE) {
			tally.cookies++;
			tally.cookies_taken += wg_client_cookie(c, buf, n);
		} else {
			tally.other++;
		}
	}
	return answered;
}

static void initiate(struct wg_client *c, struct wg_msg_initiation *msg)
{
	wg_client_initiation(c, msg);
	wg_client_send(c, msg, sizeof(*msg));
	tally.sent++;
}

/* One initiation; until it is answered, a cookie has come for it, or the time is over. */
static bool ask(struct wg_client *c, struct wg_session *s, struct wg_msg_initiation *msg,
		double wait_ms)
{
	unsigned long long taken = tally.cookies_taken;
	bool answered = false;

	initiate(c, msg);
	struct tt_mono start = plat_clock_mono();
	for (double left = wait_ms; !answered && tally.cookies_taken == taken && left > 0;
	     left = wait_ms - since_ms(start))
		answered = take(c, s, (int)left + 1);
	return answered;
}

/* A handshake, repeated until it is answered; then a keepalive, which confirms it. */
static bool join(struct wg_client *c, struct wg_session *s, struct wg_msg_initiation *msg,
		 double seconds)
{
	struct tt_mono start = plat_clock_mono();

	for (double wait = FIRST_WAIT_MS; since_ms(start) < seconds * 1e3;
	     wait = TT_MIN(wait * 2, PATIENCE_MS)) {
		if (ask(c, s, msg, wait)) {
			tally.first_ms = since_ms(start);
			wg_client_seal(c, s, NULL, 0);
			return true;
		}
	}
	return false;
}

/* What proves the address, where that is asked for. */
static void get_cookie(struct wg_client *c)
{
	struct tt_mono start = plat_clock_mono();
	struct wg_msg_initiation msg;
	struct wg_session s;
	bool answered = false;

	for (double wait = FIRST_WAIT_MS;
	     !answered && !tally.cookies_taken && since_ms(start) < COOKIE_SECONDS * 1e3;
	     wait = TT_MIN(wait * 2, PATIENCE_MS))
		answered = ask(c, &s, &msg, wait);
	memset(&tally, 0, sizeof(tally));
}

static int do_join(char **a)
{
	struct wg_msg_initiation msg;
	struct wg_session s;
	struct wg_client c;

	wg_client_open(&c, a[0], a[1], a[2], a[3]);
	bool done = join(&c, &s, &msg, atof(a[4]));
	report();
	return done ? 0 : 1;
}

static int hammer(char **a)
{
	struct wg_msg_initiation msg;
	struct wg_session s;
	struct wg_client c;
	double rate = atof(a[4]), seconds = atof(a[5]);

	wg_client_open(&c, a[0], a[1], a[2], a[3]);
	get_cookie(&c);
	struct tt_mono start = plat_clock_mono();
	while (since_ms(start) < seconds * 1e3) {
		if ((double)tally.sent < since_ms(start) / 1e3 * rate)
			initiate(&c, &msg);
		take(&c, &s, 1);
	}
	take(&c, &s, 200);
	tally.took_ms = since_ms(start);
	report();
	return 0;
}

static int capture(char **a)
{
	struct wg_msg_initiation msg;
	struct wg_session s;
	struct wg_client c;

	wg_client_open(&c, a[0], a[1], a[2], a[3]);
	bool done = join(&c, &s, &msg, 5);
	FILE *f = fopen(a[4], "w");
	if (!f || fwrite(&msg, sizeof(msg), 1, f) != 1 || fclose(f) != 0)
		wg_client_die(a[4]);
	report();
	return done ? 0 : 1;
}

static int replay(char **a)
{
	struct wg_msg_initiation msg;
	struct wg_session s;
	struct wg_client c = {.to = wg_client_address(a[1], a[2])};
	FILE *f = fopen(a[0], "r");

	c.fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (c.fd < 0 || !f || fread(&msg, sizeof(msg), 1, f) != 1)
		wg_client_die(a[0]);
	for (int i = 0; i < 2; i++) {
		wg_client_send(&c, &msg, sizeof(msg));
		tally.sent++;
		take(&c, &s, 300);
	}
	report();
	return 0;
}

/* One socket is the peer's; the other one, with another udp_port, is anybody's. */
static int cookies(char **a)
{
	struct tt_rng rng = plat_rng();
	struct wg_msg_initiation msg;
	struct wg_msg_cookie forged;
	struct wg_session s;
	struct wg_client c, stranger;

	wg_client_open(&c, a[0], a[1], a[2], a[3]);
	stranger = c;
	stranger.fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool done = join(&c, &s, &msg, 5);
	for (int i = 0; i < 100; i++) {
		tt_rng_fill(&rng, &forged, sizeof(forged));
		tt_store_le32((uint8_t *)&forged, WG_MSG_COOKIE);
		tt_store_le32(forged.receiver_index, i < 50 ? s.remote_index : tt_rng_u32(&rng));
		wg_client_send(i % 2 ? &c : &stranger, &forged, sizeof(forged));
		usleep(1000);
	}
	take(&c, &s, 300);
	take(&stranger, &s, 300);
	report();
	return done ? 0 : 1;
}

static const struct command {
	const char *name;
	int args;
	int (*run)(char **args);
} commands[] = {
	{"flood", 7, flood},	 {"join", 5, do_join},	{"hammer", 6, hammer},
	{"capture", 5, capture}, {"replay", 3, replay}, {"cookies", 4, cookies},
};

int main(int argc, char **argv)
{
	const char *backend;

	if (crypto_aead_select(NULL, &backend) != CRYPTO_AEAD_CHOSEN)
		wg_client_die("aead");
	for (size_t i = 0; argc > 1 && i < TT_ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 == commands[i].args)
			return commands[i].run(argv + 2);
	fprintf(stderr, "usage: hsflood flood|join|hammer|capture|replay|cookies ARGUMENTS; see "
			"the top of hsflood.c\n");
	return 2;
}
