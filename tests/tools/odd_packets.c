/* SPDX-License-Identifier: MIT
 *
 * A peer whose outer packets are odd: with options, extension headers, VLAN tags, in fragments.
 *
 *	odd_packets PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT INNER_SOURCE INNER_DESTINATION KIND
 *		COUNT [INTERFACE SOURCE_MAC DESTINATION_MAC SOURCE_IP]
 *
 * Shakes hands, sends COUNT pings, and prints how many were answered as one JSON object. KIND:
 *	plain, big             nothing odd; big ones are in fragments where the route's MTU is small
 *	options                an IPv4 header of 24 bytes
 *	destination, hop       an IPv6 extension header
 *	tag, two-tags, padded  made by hand, sent by INTERFACE: one or two VLAN tags, or bytes
 *	                       behind the end of the packet
 */
#include "wg_client.h"

#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include "datapath/link.h"

enum {
	SMALL_BYTES = 100, /* of an inner packet */
	BIG_BYTES = 1400,
	ANSWER_MS = 1000,
	PAD = 40,
	VLAN_TAG_LEN = 4,
};

static struct odd {
	struct wg_client client;
	struct wg_session session;
	struct tt_endpoint to;
	uint8_t ping[BIG_BYTES];
	size_t ping_len;
	uint16_t seq;
	unsigned received;

	/* frames made by hand */
	int raw; /* -1: none */
	struct sockaddr_ll raw_to;
	struct dp_link link;
	unsigned tags, pad;
} odd;

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
	uint8_t *p = odd.ping;

	p[0] = 0x45;
	tt_store_be16(p + 2, (uint16_t)odd.ping_len);
	p[8] = 64;
	p[9] = IPPROTO_ICMP;
	if (inet_pton(AF_INET, source, p + 12) != 1 || inet_pton(AF_INET, destination, p + 16) != 1)
		wg_client_die("inner addresses");
	tt_store_be16(p + 10, checksum(p, 20));
	p[20] = 8; /* echo request */
}

/* --- sending ---------------------------------------------------------------------------------- */

/* The message behind its headers; a second tag goes before the first. */
static void send_frame(const uint8_t *message, size_t len)
{
	uint8_t buf[2048] = {0}, *frame = buf + VLAN_TAG_LEN;
	uint8_t *at = frame + odd.link.header_len;

	memcpy(at, message, len);
	dp_link_write(&odd.link, at, (uint32_t)len, 0, odd.seq);
	size_t total = odd.link.header_len + len + odd.pad;
	if (odd.tags == 2) {
		memmove(buf, frame, 12);
		frame = buf;
		tt_store_be16(frame + 12, 0x88a8);
		tt_store_be16(frame + 14, 7);
		total += VLAN_TAG_LEN;
	}
	if (sendto(odd.raw, frame, total, 0, (struct sockaddr *)&odd.raw_to, sizeof(odd.raw_to)) <
	    0)
		wg_client_die("frame");
}

static void send_message(const void *message, size_t len, bool by_hand)
{
	if (by_hand && odd.raw >= 0)
		send_frame(message, len);
	else if (send(odd.client.fd, message, len, 0) < 0)
		wg_client_die("send");
}

static void ping_send(void)
{
	uint8_t *icmp = odd.ping + 20, out[2048];

	tt_store_be16(icmp + 2, 0);
	tt_store_be16(icmp + 6, odd.seq++);
	tt_store_be16(icmp + 2, checksum(icmp, odd.ping_len - 20));
	if (wg_data_seal(&odd.session, plat_clock_mono(), odd.ping, odd.ping_len, 1420, out) ==
	    WG_SESSION_DEAD)
		wg_client_die("session");
	send_message(out, wg_data_padded_len(odd.ping_len, 1420) + WG_DATA_OVERHEAD, true);
}

/* --- receiving -------------------------------------------------------------------------------- */

static void take(int timeout_ms)
{
	uint8_t buf[65536], out[65536];
	struct wg_data_opened opened;
	size_t n = wg_client_receive(&odd.client, buf, sizeof(buf), timeout_ms);

	if (n < WG_DATA_MIN || wg_message_type_of(buf, n) != WG_MSG_DATA)
		return;
	if (wg_data_open(&odd.session, plat_clock_mono(), buf, n, out, &opened) == TT_DROP_NONE &&
	    opened.len >= odd.ping_len && out[20] == 0)
		odd.received++;
}

static void shake_hands(void)
{
	struct tt_mono start = plat_clock_mono();
	struct wg_msg_initiation msg;
	uint8_t buf[2048];

	do {
		wg_client_initiation(&odd.client, &msg);
		send_message(&msg, sizeof(msg), false);
		size_t n = wg_client_receive(&odd.client, buf, sizeof(buf), 300);
		if (wg_client_response(&odd.client, buf, n, &odd.session))
			return;
	} while (tt_mono_since(plat_clock_mono(), start) < 5 * TT_NS_PER_SEC);
	wg_client_die("no handshake");
}

/* --- what is odd ------------------------------------------------------------------------------ */

static void option(int level, int name, const void *value, socklen_t len)
{
	if (setsockopt(odd.client.fd, level, name, value, len) < 0)
		wg_client_die("setsockopt");
}

static void connect_to(const char *ip, const char *udp_port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)atoi(udp_port))};
	struct sockaddr_in four = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)atoi(udp_port))};
	bool v6 = inet_pton(AF_INET6, ip, &six.sin6_addr) == 1;
	int never = IP_PMTUDISC_DONT;

	if (!v6 && inet_pton(AF_INET, ip, &four.sin_addr) != 1)
		wg_client_die(ip);
	close(odd.client.fd);
	odd.client.fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	if (connect(odd.client.fd, v6 ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		    v6 ? sizeof(six) : sizeof(four)) < 0)
		wg_client_die("connect");
	if (v6)
		option(IPPROTO_IPV6, IPV6_MTU_DISCOVER, &never, sizeof(never));
	else
		option(IPPROTO_IP, IP_MTU_DISCOVER, &never, sizeof(never));
	odd.to.ip = v6 ? tt_ip_v6((uint8_t *)&six.sin6_addr) : tt_ip_v4((uint8_t *)&four.sin_addr);
	odd.to.udp_port = (uint16_t)atoi(udp_port);
}

static void read_mac(const char *text, uint8_t mac[6])
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5]) != 6)
		wg_client_die(text);
}

/* Headers for frames from the port of the UDP socket, which gets the answers. */
static void open_raw(char **argv)
{
	struct plat_nexthop hop = {.verdict = PLAT_NEXTHOP_RESOLVED, .path_mtu = 1500};
	struct sockaddr_in me;
	socklen_t len = sizeof(me);
	struct in_addr from;

	hop.ifindex = if_nametoindex(argv[0]);
	read_mac(argv[1], hop.src_mac);
	read_mac(argv[2], hop.dst_mac);
	if (odd.to.ip.family != TT_FAMILY_V4 || inet_pton(AF_INET, argv[3], &from) != 1)
		wg_client_die("frames are made for IPv4 only");
	hop.from = tt_ip_v4((uint8_t *)&from);
	if (odd.tags) {
		hop.vlan_proto = 0x8100;
		hop.vlan_id = 5;
	}
	if (getsockname(odd.client.fd, (struct sockaddr *)&me, &len) < 0 ||
	    !dp_link_build(&odd.link, &hop, &odd.to, ntohs(me.sin_port)))
		wg_client_die("headers");
	odd.raw_to = (struct sockaddr_ll){
		.sll_family = AF_PACKET, .sll_ifindex = (int)hop.ifindex, .sll_halen = 6};
	odd.raw = socket(AF_PACKET, SOCK_RAW, 0);
	if (odd.raw < 0)
		wg_client_die("packet socket");
}

static void make_odd(const char *kind, int argc, char **argv)
{
	static const uint8_t nops[4] = {1, 1, 1, 0};
	static const uint8_t padn[8] = {0, 0, 1, 4};

	odd.raw = -1;
	if (!strcmp(kind, "options"))
		option(IPPROTO_IP, IP_OPTIONS, nops, sizeof(nops));
	else if (!strcmp(kind, "destination"))
		option(IPPROTO_IPV6, IPV6_DSTOPTS, padn, sizeof(padn));
	else if (!strcmp(kind, "hop"))
		option(IPPROTO_IPV6, IPV6_HOPOPTS, padn, sizeof(padn));
	odd.tags = !strcmp(kind, "tag") ? 1 : !strcmp(kind, "two-tags") ? 2 : 0;
	odd.pad = !strcmp(kind, "padded") ? PAD : 0;
	if ((odd.tags || odd.pad) && argc < 4)
		wg_client_die("interface and addresses are missing");
	if (odd.tags || odd.pad)
		open_raw(argv);
}

int main(int argc, char **argv)
{
	const char *backend;

	if (argc < 9) {
		fprintf(stderr, "usage: odd_packets PRIVATE_KEY_FILE PEER_KEY_FILE IP UDP_PORT "
				"INNER_SOURCE INNER_DESTINATION KIND COUNT\n"
				"       [INTERFACE SOURCE_MAC DESTINATION_MAC SOURCE_IP]\n");
		return 2;
	}
	if (crypto_aead_select(NULL, &backend) != CRYPTO_AEAD_CHOSEN)
		wg_client_die("aead");
	unsigned wanted = (unsigned)atoi(argv[8]);
	wg_client_open(&odd.client, argv[1], argv[2], "127.0.0.1", argv[4]);
	connect_to(argv[3], argv[4]);
	odd.ping_len = strcmp(argv[7], "big") ? SMALL_BYTES : BIG_BYTES;
	ping_make(argv[5], argv[6]);
	shake_hands();
	make_odd(argv[7], argc - 9, argv + 9);
	for (unsigned i = 0; i < wanted; i++) {
		ping_send();
		take(20);
	}
	struct tt_mono end = plat_clock_mono();
	while (odd.received < wanted &&
	       tt_mono_since(plat_clock_mono(), end) < ANSWER_MS * TT_NS_PER_MS)
		take(50);
	printf("{\"sent\":%u,\"answered\":%u}\n", wanted, odd.received);
	return 0;
}
