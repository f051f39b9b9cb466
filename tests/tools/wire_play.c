/* SPDX-License-Identifier: MIT
 *
 * Plays one list of outer packets into a wire and notes which inner packets come out of the TUN at
 * its other end, so that two runs over two data paths can be compared. Each run shakes hands
 * itself: inner packets and outer shapes are the same in every run with the same seed, keys are
 * not.
 *
 *	wire_play PRIVATE_KEY_FILE PEER_KEY_FILE INTERFACE MAC NETNS TUN PATH SEED REPORT
 *
 * INTERFACE (10.8.0.2, fd08::2) is ours, MAC the other end's, whose node has 10.8.0.1 and fd08::1,
 * udp_port 51820, in namespace NETNS; TUN is its tunnel interface. It lets 10.9.8.1 and
 * 2020:2020:2020:2020:2020:2020:2020:2001 come from us. PATH: socket or xdp, for what is expected.
 *
 * REPORT gets a line "SHAPE.FLOW NUMBER HASH" for each inner packet, in the order of arrival.
 * Printed: a line "SHAPE SENT ARRIVED WANTED" for each shape, then one JSON object.
 */
#include "wg_client.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stddef.h>
#include "datapath/segment.h"
#include "packets.h"
#include "plat/netns.h"
#include "plat/thread.h"

enum {
	EACH = 24,     /* packets of a shape */
	FLOWS = 4,     /* of a shape: UDP and TCP, IPv4 and IPv6 inside */
	BURST = 16,    /* between two barriers */
	PATIENCE = 20, /* tries of a barrier, a quarter of a second each */
	PAYLOAD_MAX = 1200,
	FRAME_MAX = 2048,
	UDP_PORT = 51820,
	MARK = 0x77617265,
	BARRIER = 1 << 30, /* numbers from here on are barriers */
};

enum extension { EXTENSION_NONE, EXTENSION_HOP_BY_HOP, EXTENSION_DESTINATION };

enum checksum { CHECKSUM_RIGHT, CHECKSUM_ZERO, CHECKSUM_WRONG };

/* What is done to the message of a shape. */
enum message {
	MESSAGE_SEALED,
	MESSAGE_UNPADDED, /* of odd length */
	MESSAGE_KEEPALIVE,
	MESSAGE_SHORT, /* 31 bytes */
	MESSAGE_TYPE,  /* another type; to */
	MESSAGE_RESERVED,
	MESSAGE_INDEX, /* nobody's */
	MESSAGE_TAG,   /* not ours */
	MESSAGE_TWICE,
};

/* On which path it arrives. */
enum arrives { NEVER, BOTH, XDP_ONLY };

struct shape {
	const char *name;
	enum arrives arrives;
	bool taken; /* by the pinhole */
	bool v6;
	enum checksum checksum;
	enum message message;
	uint8_t to;	 /* MESSAGE_TYPE */
	uint8_t tags;	 /* VLAN */
	uint16_t vlan;	 /* identifier */
	uint8_t options; /* bytes of IPv4 options */
	enum extension extension;
	uint8_t fragments; /* 0, 2, 3 */
	bool backwards;	   /* the last fragment first */
	bool ip_wrong;	   /* header checksum */
	bool ce;	   /* congestion met outside, inner packet that can say so */
	int udp_len;	   /* added to what the UDP header says */
	uint8_t trailer;   /* bytes behind the datagram, within the IP packet */
	uint8_t padding;   /* bytes behind the IP packet */
	uint8_t cut;	   /* bytes missing at the end of the frame */
	const char *mac, *from, *address;
	uint16_t udp_port;
};

/* clang-format off */
static const struct shape shapes[] = {
	{.name = "plain", .arrives = BOTH, .taken = true},
	{.name = "plain-v6", .arrives = BOTH, .taken = true, .v6 = true},
	{.name = "unpadded", .arrives = BOTH, .taken = true, .message = MESSAGE_UNPADDED},
	{.name = "no-checksum", .arrives = BOTH, .taken = true, .checksum = CHECKSUM_ZERO},
	{.name = "padded-frame", .arrives = BOTH, .taken = true, .padding = 9},
	{.name = "priority-tag", .arrives = BOTH, .taken = true, .tags = 1},
	{.name = "congestion", .arrives = BOTH, .taken = true, .ce = true},
	{.name = "twice", .arrives = BOTH, .taken = true, .message = MESSAGE_TWICE},
	/* by the socket on both paths */
	{.name = "options", .arrives = BOTH, .options = 8},
	{.name = "fragments", .arrives = BOTH, .fragments = 2},
	{.name = "fragments-3-backwards", .arrives = BOTH, .fragments = 3, .backwards = true},
	{.name = "fragments-v6", .arrives = BOTH, .v6 = true, .fragments = 2},
	{.name = "hop-by-hop", .arrives = BOTH, .v6 = true, .extension = EXTENSION_HOP_BY_HOP},
	{.name = "destination-options", .arrives = BOTH, .v6 = true, .extension = EXTENSION_DESTINATION},
	{.name = "two-priority-tags", .arrives = BOTH, .tags = 2},
	{.name = "trailer", .arrives = BOTH, .trailer = 4},
	{.name = "multicast-mac", .arrives = BOTH, .mac = "01:00:5e:00:00:01"},
	{.name = "broadcast-mac", .arrives = BOTH, .mac = "ff:ff:ff:ff:ff:ff"},
	{.name = "broadcast-address", .arrives = BOTH, .address = "10.8.0.255"},
	/* nobody's */
	{.name = "keepalive", .taken = true, .message = MESSAGE_KEEPALIVE},
	{.name = "short", .message = MESSAGE_SHORT},
	{.name = "type-0", .message = MESSAGE_TYPE, .to = 0},
	{.name = "type-1", .message = MESSAGE_TYPE, .to = 1},
	{.name = "type-2", .message = MESSAGE_TYPE, .to = 2},
	{.name = "type-3", .message = MESSAGE_TYPE, .to = 3},
	{.name = "type-5", .message = MESSAGE_TYPE, .to = 5},
	{.name = "type-255", .message = MESSAGE_TYPE, .to = 255},
	{.name = "reserved", .message = MESSAGE_RESERVED},
	{.name = "other-index", .message = MESSAGE_INDEX},
	{.name = "other-tag", .taken = true, .message = MESSAGE_TAG},
	{.name = "two-tags", .tags = 2, .vlan = 7},
	{.name = "udp-length-beyond", .udp_len = 3},
	{.name = "truncated", .cut = 5},
	{.name = "truncated-v6", .v6 = true, .cut = 21},
	{.name = "other-address", .address = "10.8.0.77"},
	{.name = "other-address-v6", .v6 = true, .address = "fd08::77"},
	{.name = "other-udp-port", .udp_port = 51821},
	/* What the kernel looks at and AF_XDP does not: docs/datapath.md. */
	{.name = "wrong-checksum", .arrives = XDP_ONLY, .taken = true, .checksum = CHECKSUM_WRONG},
	{.name = "wrong-checksum-v6", .arrives = XDP_ONLY, .taken = true, .v6 = true, .checksum = CHECKSUM_WRONG},
	{.name = "no-checksum-v6", .arrives = XDP_ONLY, .taken = true, .v6 = true, .checksum = CHECKSUM_ZERO},
	{.name = "wrong-ip-checksum", .arrives = XDP_ONLY, .taken = true, .ip_wrong = true},
	{.name = "foreign-vlan", .arrives = XDP_ONLY, .taken = true, .tags = 1, .vlan = 7},
	{.name = "other-mac", .arrives = XDP_ONLY, .taken = true, .mac = "02:77:00:00:00:77"},
	{.name = "from-loopback", .arrives = XDP_ONLY, .taken = true, .from = "127.0.0.1"},
};
/* clang-format on */

#define SHAPES TT_ARRAY_LEN(shapes)
#define ITEMS  (SHAPES * EACH)

struct item {
	uint16_t shape, flow;
	uint16_t len;
	uint8_t arrived;
	uint8_t packet[40 + 20 + PAYLOAD_MAX];
};

static struct play {
	struct wg_client client;
	struct wg_session session;
	int wire, tap;
	struct sockaddr_ll wire_to;
	uint8_t mac[6], own_mac[6];
	struct pk_rng rng;
	struct item item[ITEMS];
	uint16_t order[ITEMS];
	uint32_t tcp_seq[SHAPES][FLOWS];
	uint16_t ip_id;
	unsigned barrier, barrier_seen; /* bits: by the pinhole, by the socket */
	uint64_t taken, altered, disordered, twice;
	uint32_t last[SHAPES][FLOWS]; /* place + 1 of the newest in the order of sending */
	uint32_t place[ITEMS];
	FILE *report;
} play;

static const struct shape barrier_shape[2] = {{.name = "barrier", .taken = true},
					      {.name = "barrier", .options = 4}};

/* --- inner packets ---------------------------------------------------------------------------- */

static size_t inner_make(uint8_t *out, unsigned shape, unsigned flow, uint32_t number, size_t len,
			 uint8_t tos)
{
	struct pk k = flow & 1 ? pk_tcp(flow & 2) : pk_udp(flow & 2);
	uint8_t payload[PAYLOAD_MAX];

	k.sport = (uint16_t)(10000 + shape * FLOWS + flow);
	k.tos = tos;
	k.id = (uint16_t)number;
	if (flow & 1) {
		k.seq = play.tcp_seq[shape][flow];
		play.tcp_seq[shape][flow] += (uint32_t)len;
	}
	tt_store_be32(payload, MARK);
	tt_store_be32(payload + 4, number);
	for (size_t i = 8; i < len; i++)
		payload[i] = (uint8_t)(number + i * 7);
	return pk_build(out, &k, payload, len, false);
}

/* Runs of one length, as GRO finds them, and others in between. */
static size_t payload_len(unsigned turn)
{
	if (turn % 7 == 6)
		return 8 + pk_rand(&play.rng) % (PAYLOAD_MAX - 8);
	return turn % 14 < 7 ? 600 : 65;
}

static void items_make(void)
{
	for (uint16_t i = 0; i < ITEMS; i++) {
		struct item *it = &play.item[i];

		it->shape = i / EACH;
		it->flow = i % FLOWS;
		it->len = (uint16_t)inner_make(it->packet, it->shape, it->flow, i,
					       payload_len(i % EACH / FLOWS),
					       shapes[it->shape].ce ? 2 : 0);
		play.order[i] = i;
	}
}

/* Shapes are mixed; within a shape the order stays. */
static void order_make(void)
{
	uint16_t next[SHAPES], left[SHAPES], shape;
	unsigned n = SHAPES;

	for (uint16_t s = 0; s < SHAPES; s++) {
		next[s] = (uint16_t)(s * EACH);
		left[s] = s;
	}
	for (uint16_t i = 0; i < ITEMS; i++) {
		unsigned at = pk_rand(&play.rng) % n;

		shape = left[at];
		play.place[next[shape]] = i;
		play.order[i] = next[shape]++;
		if (next[shape] == (shape + 1) * EACH)
			left[at] = left[--n];
	}
}

/* --- outer packets ---------------------------------------------------------------------------- */

static uint16_t sum_of(const uint8_t *p, size_t len)
{
	return (uint16_t)~pk_naive_fold(pk_naive_sum(p, len, 0));
}

static void put_address(bool v6, const char *text, uint8_t *out)
{
	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, out) != 1)
		wg_client_die(text);
}

/* Addresses as they stand in the IP header: 8 or 32 bytes. */
static size_t addresses(const struct shape *s, uint8_t out[32])
{
	put_address(s->v6, s->from ? s->from : s->v6 ? "fd08::2" : "10.8.0.2", out);
	put_address(s->v6,
		    s->address ? s->address
		    : s->v6    ? "fd08::1"
			       : "10.8.0.1",
		    out + (s->v6 ? 16 : 4));
	return s->v6 ? 32 : 8;
}

static size_t udp_make(uint8_t *out, const struct shape *s, const uint8_t *message, size_t len)
{
	uint8_t pseudo[40];
	size_t n = addresses(s, pseudo), udp_len = 8 + len;

	tt_store_be16(out, 40000);
	tt_store_be16(out + 2, s->udp_port ? s->udp_port : UDP_PORT);
	tt_store_be16(out + 4, (uint16_t)((int)udp_len + s->udp_len));
	tt_store_be16(out + 6, 0);
	memcpy(out + 8, message, len);
	memset(out + udp_len, 0xee, s->trailer);
	uint64_t sum = pk_naive_sum(pseudo, n, IPPROTO_UDP + udp_len);
	uint16_t c = (uint16_t)~pk_naive_fold(pk_naive_sum(out, udp_len, sum));
	c = c ? c : 0xffff;
	if (s->checksum == CHECKSUM_WRONG)
		c = c == 0x1234 ? 0x4321 : 0x1234;
	tt_store_be16(out + 6, s->checksum == CHECKSUM_ZERO ? 0 : c);
	return udp_len + s->trailer;
}

/* One IP packet with these bytes at `off` of the datagram. */
static size_t ipv4_make(uint8_t *out, const struct shape *s, const uint8_t *part, size_t len,
			size_t off, bool more)
{
	size_t header = 20u + s->options;

	memset(out, 0, header);
	out[0] = (uint8_t)(0x40 | header / 4);
	out[1] = s->ce ? 3 : 0;
	tt_store_be16(out + 2, (uint16_t)(header + len));
	tt_store_be16(out + 4, play.ip_id);
	tt_store_be16(out + 6, (uint16_t)(off / 8 | (more ? 0x2000 : 0)));
	out[8] = 64;
	out[9] = IPPROTO_UDP;
	addresses(s, out + 12);
	memset(out + 20, 1, s->options); /* no operation */
	tt_store_be16(out + 10, sum_of(out, header));
	if (s->ip_wrong)
		out[10] ^= 0x55;
	memcpy(out + header, part, len);
	return header + len;
}

static size_t ipv6_make(uint8_t *out, const struct shape *s, const uint8_t *part, size_t len,
			size_t off, bool more)
{
	static const uint8_t next_header[] = {IPPROTO_UDP, IPPROTO_HOPOPTS, IPPROTO_DSTOPTS};
	size_t extra = s->extension || s->fragments ? 8 : 0;
	uint8_t *x = out + 40;

	memset(out, 0, 48);
	tt_store_be32(out, 6u << 28);
	tt_store_be16(out + 4, (uint16_t)(extra + len));
	out[6] = s->fragments ? IPPROTO_FRAGMENT : next_header[s->extension];
	out[7] = 64;
	addresses(s, out + 8);
	if (extra)
		x[0] = IPPROTO_UDP;
	if (s->fragments) {
		tt_store_be16(x + 2, (uint16_t)(off | more));
		tt_store_be32(x + 4, play.ip_id);
	} else if (extra) {
		x[2] = 1; /* PadN over the rest */
		x[3] = 4;
	}
	memcpy(out + 40 + extra, part, len);
	return 40 + extra + len;
}

static void frame_send(const struct shape *s, const uint8_t *packet, size_t len)
{
	uint8_t f[FRAME_MAX], *p = f + 12;

	memcpy(f, play.mac, 6);
	if (s->mac && sscanf(s->mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", f, f + 1, f + 2, f + 3, f + 4,
			     f + 5) != 6)
		wg_client_die(s->mac);
	memcpy(f + 6, play.own_mac, 6);
	for (unsigned i = 0; i < s->tags; i++, p += 4) {
		tt_store_be16(p, ETH_P_8021Q);
		tt_store_be16(p + 2, s->vlan);
	}
	tt_store_be16(p, s->v6 ? ETH_P_IPV6 : ETH_P_IP);
	memcpy(p + 2, packet, len);
	memset(p + 2 + len, 0xaa, s->padding);
	len += (size_t)(p + 2 - f) + s->padding - s->cut;
	if (sendto(play.wire, f, len, 0, (struct sockaddr *)&play.wire_to, sizeof(play.wire_to)) !=
	    (ssize_t)len)
		wg_client_die("send");
	play.taken += s->taken;
}

static void datagram_send(const struct shape *s, const uint8_t *message, size_t len)
{
	uint8_t datagram[FRAME_MAX], packet[FRAME_MAX];
	size_t total = udp_make(datagram, s, message, len);
	unsigned parts = s->fragments ? s->fragments : 1;
	size_t each = TT_ALIGN_UP(total / parts, (size_t)8);

	play.ip_id++;
	for (unsigned i = 0; i < parts; i++) {
		unsigned n = s->backwards ? parts - 1 - i : i;
		size_t off = n * each, part = n == parts - 1 ? total - off : each;
		bool more = n < parts - 1;
		size_t ip = s->v6 ? ipv6_make(packet, s, datagram + off, part, off, more)
				  : ipv4_make(packet, s, datagram + off, part, off, more);

		frame_send(s, packet, ip);
	}
}

static void inner_send(const struct shape *s, const uint8_t *inner, size_t len)
{
	uint8_t m[FRAME_MAX];
	size_t mtu = s->message == MESSAGE_UNPADDED ? len : 1420;

	if (s->message == MESSAGE_KEEPALIVE)
		len = 0;
	if (wg_data_seal(&play.session, plat_clock_mono(), inner, len, mtu, m) == WG_SESSION_DEAD)
		wg_client_die("the session is dead");
	len = wg_data_padded_len(len, mtu) + WG_DATA_OVERHEAD;
	if (s->message == MESSAGE_SHORT)
		len = 31;
	if (s->message == MESSAGE_TYPE)
		m[0] = s->to;
	if (s->message == MESSAGE_RESERVED)
		m[2] = 1;
	if (s->message == MESSAGE_INDEX)
		m[7] ^= 0x80;
	if (s->message == MESSAGE_TAG)
		m[len - 1] ^= 1;
	datagram_send(s, m, len);
	if (s->message == MESSAGE_TWICE)
		datagram_send(s, m, len);
}

/* --- the other end ---------------------------------------------------------------------------- */

static uint64_t hash_of(const uint8_t *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

/* As it has to come out. */
static bool is_intact(const struct item *it, const uint8_t *p, size_t len)
{
	uint8_t want[sizeof(it->packet)];

	memcpy(want, it->packet, it->len);
	if (shapes[it->shape].ce && want[0] >> 4 == 4) {
		want[1] |= 3;
		tt_store_be16(want + 10, 0);
		tt_store_be16(want + 10, sum_of(want, 20));
	} else if (shapes[it->shape].ce) {
		want[1] |= 0x30;
	}
	return len == it->len && memcmp(p, want, len) == 0;
}

static void inner_note(const uint8_t *p, size_t len)
{
	size_t l3 = p[0] >> 4 == 6 ? 40 : 20, l4 = p[l3 == 40 ? 6 : 9] == IPPROTO_TCP ? 20 : 8;
	const uint8_t *mark = p + l3 + l4;

	if (len < l3 + l4 + 8 || tt_load_be32(mark) != MARK)
		return; /* the host's own */
	uint32_t number = tt_load_be32(mark + 4);
	if (number >= BARRIER) {
		if ((number & ~1u) == (BARRIER | play.barrier << 1))
			play.barrier_seen |= 1u << (number & 1);
		return;
	}
	if (number >= ITEMS) {
		play.altered++;
		return;
	}
	struct item *it = &play.item[number];
	uint32_t *last = &play.last[it->shape][it->flow], at = play.place[number] + 1;

	play.altered += !is_intact(it, p, len);
	play.twice += it->arrived;
	play.disordered += at < *last;
	*last = TT_MAX(*last, at);
	it->arrived = 1;
	fprintf(play.report, "%s.%u %u %016llx\n", shapes[it->shape].name, it->flow, number,
		(unsigned long long)hash_of(p, len));
}

/* A super-packet is taken apart as the host would. */
static void tap_take(const uint8_t *buf, size_t len)
{
	static struct dp_segmenter sg;
	struct plat_vnet_hdr vnet;
	uint8_t segment[FRAME_MAX];
	struct dp_inner in;

	if (len <= sizeof(vnet))
		return;
	memcpy(&vnet, buf, sizeof(vnet));
	buf += sizeof(vnet);
	len -= sizeof(vnet);
	if (dp_inner_parse(buf, (uint32_t)len, &in) != TT_DROP_NONE)
		return;
	vnet.flags &= PLAT_VNET_F_NEEDS_CSUM;
	if (dp_segmenter_init(&sg, &vnet, buf, &in) != TT_DROP_NONE) {
		play.altered++;
		return;
	}
	while (sg.left) {
		if (dp_segmenter_len(&sg) > sizeof(segment)) {
			play.altered++;
			return;
		}
		len = dp_segmenter_next(&sg, segment);
		inner_note(segment, len);
	}
}

static void tap_drain(int timeout_ms)
{
	static uint8_t buf[1 << 17];
	struct pollfd p = {play.tap, POLLIN, 0};
	ssize_t n;

	while (poll(&p, 1, timeout_ms) > 0) {
		while ((n = recv(play.tap, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			tap_take(buf, (size_t)n);
		timeout_ms = 0;
	}
}

/* Until all that was sent before has come out, or never will: by both ways of the other end. */
static void barrier(void)
{
	uint8_t inner[256];

	play.barrier++;
	play.barrier_seen = 0;
	for (unsigned try = 0; play.barrier_seen != 3; try++) {
		if (try == PATIENCE)
			wg_client_die("the other end lets nothing through");
		for (unsigned way = 0; way < 2; way++) {
			size_t len =
				inner_make(inner, 0, 0, BARRIER | play.barrier << 1 | way, 64, 0);
			inner_send(&barrier_shape[way], inner, len);
		}
		for (unsigned i = 0; i < 25 && play.barrier_seen != 3; i++)
			tap_drain(10);
	}
}

/* --- start ------------------------------------------------------------------------------------ */

static int packet_socket(const char *interface, struct sockaddr_ll *a, uint16_t protocol)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, size = 32 << 20;

	*a = (struct sockaddr_ll){.sll_family = AF_PACKET,
				  .sll_protocol = htons(protocol),
				  .sll_ifindex = (int)if_nametoindex(interface)};
	if (fd < 0 || !a->sll_ifindex)
		wg_client_die(interface);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return fd;
}

/* The namespace is entered by a thread of its own: who enters stays there. */
struct tap {
	const char *netns, *interface;
	int fd;
};

static void tap_open(void *arg)
{
	struct tap *t = arg;
	struct sockaddr_ll a;
	int one = 1;

	if (plat_netns_enter(t->netns) != 0)
		wg_client_die(t->netns);
	t->fd = packet_socket(t->interface, &a, ETH_P_ALL);
	if (setsockopt(t->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    bind(t->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		wg_client_die("tap");
}

static void open_wire(const char *interface, const char *mac)
{
	char path[64];
	FILE *f;

	play.wire = packet_socket(interface, &play.wire_to, 0);
	play.wire_to.sll_halen = 6;
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", play.mac, play.mac + 1, play.mac + 2,
		   play.mac + 3, play.mac + 4, play.mac + 5) != 6)
		wg_client_die(mac);
	snprintf(path, sizeof(path), "/sys/class/net/%s/address", interface);
	f = fopen(path, "r");
	if (!f ||
	    fscanf(f, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", play.own_mac, play.own_mac + 1,
		   play.own_mac + 2, play.own_mac + 3, play.own_mac + 4, play.own_mac + 5) != 6)
		wg_client_die(path);
	fclose(f);
}

static void shake_hands(void)
{
	struct wg_msg_initiation msg;
	uint8_t buf[2048];
	size_t n;

	for (unsigned i = 0; i < 10; i++) {
		wg_client_initiation(&play.client, &msg);
		wg_client_send(&play.client, &msg, sizeof(msg));
		while ((n = wg_client_receive(&play.client, buf, sizeof(buf), 500)))
			if (wg_client_response(&play.client, buf, n, &play.session))
				return;
	}
	wg_client_die("no answer to the handshake");
}

static unsigned summarise(bool xdp)
{
	unsigned wrong = 0;

	for (unsigned s = 0; s < SHAPES; s++) {
		bool wanted = shapes[s].arrives == BOTH || (xdp && shapes[s].arrives == XDP_ONLY);
		unsigned arrived = 0;

		for (unsigned i = 0; i < EACH; i++)
			arrived += play.item[s * EACH + i].arrived;
		printf("%s %u %u %u\n", shapes[s].name, EACH, arrived, wanted ? EACH : 0);
		wrong += arrived != (wanted ? EACH : 0);
	}
	return wrong;
}

int main(int argc, char **argv)
{
	struct plat_thread thread;

	if (argc != 10) {
		fprintf(stderr, "usage: wire_play PRIVATE_KEY_FILE PEER_KEY_FILE INTERFACE MAC "
				"NETNS TUN PATH SEED REPORT\n");
		return 64;
	}
	struct tap tap = {.netns = argv[5], .interface = argv[6]};
	bool xdp = strcmp(argv[7], "xdp") == 0;

	play.rng.s = (uint32_t)strtoul(argv[8], NULL, 10) | 1;
	play.report = fopen(argv[9], "w");
	if (!play.report)
		wg_client_die(argv[9]);
	open_wire(argv[3], argv[4]);
	if (plat_thread_start(&thread, "tap", tap_open, &tap) != 0)
		wg_client_die("thread");
	plat_thread_join(&thread);
	play.tap = tap.fd;
	items_make();
	order_make();
	wg_client_open(&play.client, argv[1], argv[2], "10.8.0.1", "51820");
	shake_hands();
	barrier();
	for (unsigned i = 0; i < ITEMS; i++) {
		const struct item *it = &play.item[play.order[i]];

		inner_send(&shapes[it->shape], it->packet, it->len);
		if (i % BURST == BURST - 1)
			barrier();
	}
	barrier();
	tap_drain(50);
	unsigned wrong = summarise(xdp);
	printf("{\"sent\": %u, \"wrong_shapes\": %u, \"altered\": %llu, \"disordered\": %llu, "
	       "\"twice\": %llu, \"for_the_pinhole\": %llu}\n",
	       (unsigned)ITEMS, wrong, (unsigned long long)play.altered,
	       (unsigned long long)play.disordered, (unsigned long long)play.twice,
	       (unsigned long long)play.taken);
	return fclose(play.report) != 0;
}
