/* SPDX-License-Identifier: MIT
 *
 * The steering program packet by packet, through BPF_PROG_TEST_RUN: what it does, and for which
 * reason. Needs root.
 */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include "steer/shared.h"
#include "tt_netns.h"
#include "tt_test.h"

#define TUNNEL_PORT 51820
#define FRAME_LIMIT 1518
#define INDEX	    0x5a5a1234u
#define SLOT_MASK   (STEER_SLOTS - 1)

static const uint8_t our_v4[4] = {192, 0, 2, 1};
static const uint8_t our_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

/* --- the program under test ------------------------------------------------------------------- */

static struct {
	struct bpf_object *object;
	int prog, xsk, xsks, addrs, counters;
	struct steer_config *config;
	uint32_t *index;
	uint64_t *ports;
	int cpus;
} t;

static int map_fd(const char *name)
{
	return bpf_object__find_map_fd_by_name(t.object, name);
}

static void *map_memory(const char *name, size_t len)
{
	void *p = mmap(NULL, (len + 4095) & ~(size_t)4095, PROT_READ | PROT_WRITE, MAP_SHARED,
		       map_fd(name), 0);

	return p == MAP_FAILED ? NULL : p;
}

static void set_port(uint16_t udp_port, bool on)
{
	uint64_t bit = UINT64_C(1) << (udp_port & 63);

	t.ports[udp_port >> 6] = on ? t.ports[udp_port >> 6] | bit : t.ports[udp_port >> 6] & ~bit;
}

static void add_address(const uint8_t key[16])
{
	uint8_t one = 1;

	CU_ASSERT_EQUAL(bpf_map_update_elem(t.addrs, key, &one, BPF_ANY), 0);
}

static int set_socket(bool on)
{
	uint32_t queue = 0;

	return on ? bpf_map_update_elem(t.xsks, &queue, &t.xsk, BPF_ANY)
		  : bpf_map_delete_elem(t.xsks, &queue);
}

static int silent(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level;
	(void)format;
	(void)ap;
	return 0;
}

static int set_up(void)
{
	const char *path = getenv("TALTUN_STEER_OBJECT");
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
	int err;

	libbpf_set_print(silent);
	t.object = bpf_object__open_file(path ? path : "build/bpf/steer.bpf.o", NULL);
	if (!t.object)
		return -errno;
	err = bpf_object__load(t.object);
	if (err)
		return err;
	t.prog = bpf_program__fd(bpf_object__find_program_by_name(t.object, "taltun_steer"));
	t.xsks = map_fd("steer_xsks");
	t.addrs = map_fd("steer_addrs");
	t.counters = map_fd("steer_counters");
	t.config = map_memory("steer_config", sizeof(*t.config));
	t.index = map_memory("steer_index", STEER_SLOTS * sizeof(uint32_t));
	t.ports = map_memory("steer_ports", STEER_UDP_PORT_WORDS * sizeof(uint64_t));
	t.cpus = libbpf_num_possible_cpus();
	t.xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (!t.config || !t.index || !t.ports || t.cpus < 1 || t.xsk < 0)
		return -EIO;
	*t.config = (struct steer_config){.frame_limit = FRAME_LIMIT, .slot_mask = SLOT_MASK};
	t.index[INDEX & SLOT_MASK] = INDEX;
	set_port(TUNNEL_PORT, true);
	memcpy(mapped + 12, our_v4, 4);
	add_address(mapped);
	add_address(our_v6);
	return set_socket(true);
}

/* Once for all tests. False, and a skip counted, where the kernel does not let us. */
static bool ready(void)
{
	static int state = 1;

	if (state == 1)
		state = set_up();
	if (state == -EPERM || state == -EACCES) {
		tt_test_skip(1, "no right to load BPF programs");
		return false;
	}
	CU_ASSERT_EQUAL_FATAL(state, 0);
	return true;
}

/* --- packets ---------------------------------------------------------------------------------- */

/* What is said here differs from a valid data packet to us. */
struct spec {
	bool v6;
	unsigned vlans;
	uint16_t vlan_proto; /* 0: 0x8100 */
	uint16_t ethertype;  /* 0: by family */
	uint8_t mac0;	     /* first byte of the destination */
	uint8_t ip_version;  /* 0: right */
	uint8_t ihl;	     /* 0: 5, without options behind it */
	unsigned options;    /* bytes of real IPv4 options */
	uint8_t protocol;    /* 0: UDP */
	uint8_t extension;   /* IPv6: an 8-byte header of this type */
	uint16_t fragment;   /* the flags-and-offset field */
	int ip_len_delta, udp_len_delta;
	int ip_len, udp_len; /* -1: zero; otherwise instead of the right one, where not 0 */
	unsigned padding;    /* behind the packet */
	unsigned payload;    /* 0: 128 */
	bool empty;	     /* no payload at all */
	uint16_t udp_port, source_port;
	const uint8_t *to;
	uint32_t type; /* first four bytes of the message; 0: data */
	bool zero_type;
	uint32_t index; /* 0: the known one */
	bool zero_index;
	uint8_t tos;
};

struct packet {
	uint8_t b[4096];
	uint32_t len;
};

static uint16_t length_field(int right, int delta, int instead)
{
	if (instead)
		return instead < 0 ? 0 : (uint16_t)instead;
	return (uint16_t)(right + delta);
}

static uint8_t *put_ethernet(uint8_t *p, const struct spec *s)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

	memcpy(p, macs, sizeof(macs));
	if (s->mac0)
		p[0] = s->mac0;
	p += 12;
	for (unsigned i = 0; i < s->vlans; i++, p += 4) {
		tt_store_be16(p, s->vlan_proto ? s->vlan_proto : ETH_P_8021Q);
		tt_store_be16(p + 2, 7);
	}
	tt_store_be16(p, s->ethertype ? s->ethertype : s->v6 ? ETH_P_IPV6 : ETH_P_IP);
	return p + 2;
}

static uint8_t *put_v4(uint8_t *p, const struct spec *s, unsigned behind)
{
	unsigned header = 20 + s->options;

	p[0] = (uint8_t)((s->ip_version ? s->ip_version : 4) << 4 | (s->ihl ? s->ihl : header / 4));
	p[1] = s->tos;
	tt_store_be16(p + 2, length_field((int)(header + behind), s->ip_len_delta, s->ip_len));
	tt_store_be16(p + 6, s->fragment);
	p[8] = 64;
	p[9] = s->protocol ? s->protocol : 17;
	memcpy(p + 12, (uint8_t[]){198, 51, 100, 7}, 4);
	memcpy(p + 16, s->to ? s->to : our_v4, 4);
	memset(p + 20, 1, s->options);
	return p + header;
}

static uint8_t *put_v6(uint8_t *p, const struct spec *s, unsigned behind)
{
	uint8_t next = s->protocol ? s->protocol : 17;

	if (s->extension)
		behind += 8;
	tt_store_be32(p, (uint32_t)(s->ip_version ? s->ip_version : 6) << 28 |
				 (uint32_t)s->tos << 20 | 0xabcde);
	tt_store_be16(p + 4, length_field((int)behind, s->ip_len_delta, s->ip_len));
	p[6] = s->extension ? s->extension : next;
	p[7] = 64;
	memcpy(p + 8, our_v6, 16);
	p[8 + 15] = 9;
	memcpy(p + 24, s->to ? s->to : our_v6, 16);
	p += 40;
	if (s->extension) {
		p[0] = next;
		p += 8;
	}
	return p;
}

static void put_message(uint8_t *p, const struct spec *s, unsigned payload)
{
	uint8_t m[8];

	for (unsigned i = 0; i < payload; i++)
		p[i] = (uint8_t)(i * 7);
	tt_store_le32(m, s->type || s->zero_type ? s->type : 4);
	tt_store_le32(m + 4, s->index || s->zero_index ? s->index : INDEX);
	memcpy(p, m, TT_MIN(payload, sizeof(m)));
}

static void build(struct packet *k, const struct spec *s)
{
	unsigned payload = s->empty ? 0 : s->payload ? s->payload : 128;
	uint8_t *p;

	memset(k, 0, sizeof(*k));
	p = put_ethernet(k->b, s);
	p = s->v6 ? put_v6(p, s, 8 + payload) : put_v4(p, s, 8 + payload);
	tt_store_be16(p, s->source_port ? s->source_port : 40000);
	tt_store_be16(p + 2, s->udp_port ? s->udp_port : TUNNEL_PORT);
	tt_store_be16(p + 4, length_field((int)(8 + payload), s->udp_len_delta, s->udp_len));
	put_message(p + 8, s, payload);
	k->len = (uint32_t)(p + 8 + payload + s->padding - k->b);
}

/* --- running ---------------------------------------------------------------------------------- */

struct verdict {
	int action;
	int reason; /* -1: not exactly one was counted */
	uint32_t ns;
};

static void read_counters(uint64_t sum[STEER_REASON_COUNT])
{
	uint64_t per_cpu[256];

	for (uint32_t r = 0; r < STEER_REASON_COUNT; r++) {
		sum[r] = 0;
		if (t.cpus > 256 || bpf_map_lookup_elem(t.counters, &r, per_cpu))
			continue;
		for (int c = 0; c < t.cpus; c++)
			sum[r] += per_cpu[c];
	}
}

static struct verdict run(const struct packet *k, unsigned repeat)
{
	uint64_t before[STEER_REASON_COUNT], after[STEER_REASON_COUNT];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = k->b, .data_size_in = k->len,
		    .repeat = (int)repeat);
	struct verdict v = {.action = -1, .reason = -1};

	read_counters(before);
	if (bpf_prog_test_run_opts(t.prog, &o))
		return v;
	read_counters(after);
	v.action = (int)o.retval;
	v.ns = o.duration;
	for (int r = 0; r < STEER_REASON_COUNT; r++) {
		if (after[r] == before[r])
			continue;
		v.reason = v.reason == -1 && after[r] - before[r] == repeat ? r : -2;
	}
	return v;
}

static int action_of(enum steer_reason r)
{
	return r == STEER_REDIRECTED	  ? XDP_REDIRECT
	       : r == STEER_UNKNOWN_INDEX ? XDP_DROP
					  : XDP_PASS;
}

static void expect(const char *name, const struct packet *k, enum steer_reason reason)
{
	struct verdict v = run(k, 1);

	if (v.reason != (int)reason || v.action != action_of(reason))
		printf("  %s: action %d, reason %d; expected %d, %d\n", name, v.action, v.reason,
		       action_of(reason), reason);
	CU_ASSERT_EQUAL(v.reason, (int)reason);
	CU_ASSERT_EQUAL(v.action, action_of(reason));
}

static void expect_spec(const char *name, const struct spec *s, enum steer_reason reason)
{
	struct packet k;

	build(&k, s);
	expect(name, &k, reason);
}

/* --- the table -------------------------------------------------------------------------------- */

static const uint8_t other_v4[4] = {192, 0, 2, 2};
static const uint8_t multicast_v4[4] = {224, 0, 0, 1};
static const uint8_t broadcast_v4[4] = {255, 255, 255, 255};
static const uint8_t loopback_v4[4] = {127, 0, 0, 1};
static const uint8_t other_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};
static const uint8_t multicast_v6[16] = {0xff, 0x02, [15] = 1};
static const uint8_t mapped_v6[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};

struct steer_case {
	const char *name;
	enum steer_reason reason;
	struct spec s;
};

#define STUN 0x2c000100u /* binding request, length 44, as it lies in the packet */

static const struct steer_case cases[] = {
	/* what is ours */
	{"v4", STEER_REDIRECTED, {0}},
	{"v6", STEER_REDIRECTED, {.v6 = true}},
	{"v4 keepalive", STEER_REDIRECTED, {.payload = 32}},
	{"v6 keepalive", STEER_REDIRECTED, {.v6 = true, .payload = 32}},
	{"v4 33 bytes", STEER_REDIRECTED, {.payload = 33}},
	{"v6 33 bytes", STEER_REDIRECTED, {.v6 = true, .payload = 33}},
	{"v4 1451 bytes", STEER_REDIRECTED, {.payload = 1451}},
	{"v6 1451 bytes", STEER_REDIRECTED, {.v6 = true, .payload = 1451}},
	{"v4 1452 bytes", STEER_REDIRECTED, {.payload = 1452}},
	{"v6 1452 bytes", STEER_REDIRECTED, {.v6 = true, .payload = 1452}},
	{"v4 VLAN", STEER_REDIRECTED, {.vlans = 1}},
	{"v6 VLAN", STEER_REDIRECTED, {.v6 = true, .vlans = 1}},
	{"v4 service VLAN", STEER_REDIRECTED, {.vlans = 1, .vlan_proto = ETH_P_8021AD}},
	{"v6 service VLAN", STEER_REDIRECTED, {.v6 = true, .vlans = 1, .vlan_proto = ETH_P_8021AD}},
	{"v4 full with VLAN", STEER_REDIRECTED, {.vlans = 1, .payload = 1472}},
	{"v4 Ethernet padding", STEER_REDIRECTED, {.payload = 32, .padding = 6}},
	{"v6 Ethernet padding", STEER_REDIRECTED, {.v6 = true, .payload = 32, .padding = 1}},
	{"v4 DF", STEER_REDIRECTED, {.fragment = 0x4000}},
	{"v4 CE and DSCP", STEER_REDIRECTED, {.tos = 0xbb}},
	{"v6 CE and DSCP", STEER_REDIRECTED, {.v6 = true, .tos = 0xbb}},
	{"v4 frame at the limit", STEER_REDIRECTED, {.payload = FRAME_LIMIT - 42}},
	/* length */
	{"v4 31 bytes", STEER_PASS_LENGTH, {.payload = 31}},
	{"v6 31 bytes", STEER_PASS_LENGTH, {.v6 = true, .payload = 31}},
	{"v4 one byte", STEER_PASS_LENGTH, {.payload = 1}},
	{"v6 one byte", STEER_PASS_LENGTH, {.v6 = true, .payload = 1}},
	{"v4 no payload", STEER_PASS_LENGTH, {.empty = true}},
	{"v6 no payload", STEER_PASS_LENGTH, {.v6 = true, .empty = true}},
	{"v4 31 bytes and padding", STEER_PASS_LENGTH, {.payload = 31, .padding = 20}},
	{"v4 total length too long", STEER_PASS_LENGTH, {.ip_len_delta = 1}},
	{"v4 total length too short", STEER_PASS_LENGTH, {.ip_len_delta = -1}},
	{"v4 total length beyond the frame",
	 STEER_PASS_LENGTH,
	 {.ip_len_delta = 1, .udp_len_delta = 1}},
	{"v4 total length zero", STEER_PASS_LENGTH, {.ip_len = -1}},
	{"v4 total length below the header", STEER_PASS_LENGTH, {.ip_len = 19}},
	{"v4 total length at most", STEER_PASS_LENGTH, {.ip_len = 65535, .udp_len = 65515}},
	{"v4 UDP length too long", STEER_PASS_LENGTH, {.udp_len_delta = 1}},
	{"v4 UDP length too short", STEER_PASS_LENGTH, {.udp_len_delta = -1}},
	{"v4 UDP length zero", STEER_PASS_LENGTH, {.udp_len = -1}},
	{"v4 UDP length 7", STEER_PASS_LENGTH, {.udp_len = 7}},
	{"v4 UDP length that is in the padding",
	 STEER_PASS_LENGTH,
	 {.padding = 8, .udp_len_delta = 8}},
	{"v6 payload length too long", STEER_PASS_LENGTH, {.v6 = true, .ip_len_delta = 1}},
	{"v6 payload length too short", STEER_PASS_LENGTH, {.v6 = true, .ip_len_delta = -1}},
	{"v6 lengths beyond the frame",
	 STEER_PASS_LENGTH,
	 {.v6 = true, .ip_len_delta = 1, .udp_len_delta = 1}},
	{"v6 jumbogram", STEER_PASS_LENGTH, {.v6 = true, .ip_len = -1}},
	{"v6 jumbogram in UDP too", STEER_PASS_LENGTH, {.v6 = true, .ip_len = -1, .udp_len = -1}},
	{"v6 UDP length too short", STEER_PASS_LENGTH, {.v6 = true, .udp_len_delta = -1}},
	/* super-packets */
	{"v4 one byte beyond the limit", STEER_PASS_TOO_LONG, {.payload = FRAME_LIMIT - 41}},
	{"v6 one byte beyond the limit",
	 STEER_PASS_TOO_LONG,
	 {.v6 = true, .payload = FRAME_LIMIT - 61}},
	{"v4 two datagrams joined", STEER_PASS_TOO_LONG, {.payload = 2904}},
	/* what is no data message */
	{"initiation", STEER_PASS_TYPE, {.type = 1, .payload = 148}},
	{"response", STEER_PASS_TYPE, {.type = 2, .payload = 92}},
	{"cookie reply", STEER_PASS_TYPE, {.type = 3, .payload = 64}},
	{"v6 initiation", STEER_PASS_TYPE, {.v6 = true, .type = 1, .payload = 148}},
	{"v6 response", STEER_PASS_TYPE, {.v6 = true, .type = 2, .payload = 92}},
	{"v6 cookie reply", STEER_PASS_TYPE, {.v6 = true, .type = 3, .payload = 64}},
	{"type 0", STEER_PASS_TYPE, {.zero_type = true}},
	{"type 5", STEER_PASS_TYPE, {.type = 5}},
	{"type 255", STEER_PASS_TYPE, {.type = 255}},
	{"reserved byte 1", STEER_PASS_TYPE, {.type = 0x00000104}},
	{"reserved byte 2", STEER_PASS_TYPE, {.type = 0x00010004}},
	{"reserved byte 3", STEER_PASS_TYPE, {.type = 0x80000004}},
	{"v6 reserved bytes", STEER_PASS_TYPE, {.v6 = true, .type = 0xffffff04}},
	{"STUN", STEER_PASS_TYPE, {.type = STUN, .index = 0x42a41221, .payload = 64}},
	{"relay", STEER_PASS_TYPE, {.type = 0x000001a7}},
	{"big-endian type", STEER_PASS_TYPE, {.type = 0x04000000}},
	/* not to the tunnel */
	{"other udp_port", STEER_PASS_UDP_PORT, {.udp_port = 53}},
	{"udp_port beside", STEER_PASS_UDP_PORT, {.udp_port = TUNNEL_PORT + 1}},
	{"udp_port 64 above", STEER_PASS_UDP_PORT, {.udp_port = TUNNEL_PORT + 64}},
	{"only from the tunnel's udp_port",
	 STEER_PASS_UDP_PORT,
	 {.udp_port = 40000, .source_port = TUNNEL_PORT}},
	{"byte-swapped udp_port", STEER_PASS_UDP_PORT, {.udp_port = 0x6cca}},
	{"other udp_port, no payload", STEER_PASS_UDP_PORT, {.udp_port = 53, .empty = true}},
	{"v6 other udp_port", STEER_PASS_UDP_PORT, {.v6 = true, .udp_port = 443}},
	{"v4 other address", STEER_PASS_ADDRESS, {.to = other_v4}},
	{"v4 multicast", STEER_PASS_ADDRESS, {.to = multicast_v4}},
	{"v4 broadcast", STEER_PASS_ADDRESS, {.to = broadcast_v4}},
	{"v4 loopback", STEER_PASS_ADDRESS, {.to = loopback_v4}},
	{"v6 other address", STEER_PASS_ADDRESS, {.v6 = true, .to = other_v6}},
	{"v6 multicast", STEER_PASS_ADDRESS, {.v6 = true, .to = multicast_v6}},
	{"v6 to a mapped IPv4 address", STEER_PASS_ADDRESS, {.v6 = true, .to = mapped_v6}},
	{"multicast MAC", STEER_PASS_MULTICAST, {.mac0 = 0x01}},
	{"broadcast MAC", STEER_PASS_MULTICAST, {.mac0 = 0xff}},
	/* not plain UDP over IP */
	{"v4 first fragment", STEER_PASS_FRAGMENT, {.fragment = 0x2000}},
	{"v4 later fragment", STEER_PASS_FRAGMENT, {.fragment = 0x00b9}},
	{"v4 middle fragment", STEER_PASS_FRAGMENT, {.fragment = 0x20b9}},
	{"v4 highest offset", STEER_PASS_FRAGMENT, {.fragment = 0x1fff}},
	{"v4 DF and offset 1", STEER_PASS_FRAGMENT, {.fragment = 0x4001}},
	{"v4 options", STEER_PASS_OPTIONS, {.options = 4}},
	{"v4 most options", STEER_PASS_OPTIONS, {.options = 40}},
	{"v4 header length 4", STEER_PASS_OPTIONS, {.ihl = 4}},
	{"v4 header length lies", STEER_PASS_OPTIONS, {.ihl = 6}},
	{"v4 version 6", STEER_PASS_NOT_IP, {.ip_version = 6}},
	{"v6 version 4", STEER_PASS_NOT_IP, {.v6 = true, .ip_version = 4}},
	{"v4 under the IPv6 ethertype", STEER_PASS_NOT_UDP, {.ethertype = ETH_P_IPV6}},
	{"v6 hop-by-hop", STEER_PASS_NOT_UDP, {.v6 = true, .extension = 255}},
	{"v6 routing", STEER_PASS_NOT_UDP, {.v6 = true, .extension = 43}},
	{"v6 fragment", STEER_PASS_NOT_UDP, {.v6 = true, .extension = 44}},
	{"v6 authentication", STEER_PASS_NOT_UDP, {.v6 = true, .extension = 51}},
	{"v6 destination options", STEER_PASS_NOT_UDP, {.v6 = true, .extension = 60}},
	{"v4 TCP", STEER_PASS_NOT_UDP, {.protocol = 6}},
	{"v4 ICMP", STEER_PASS_NOT_UDP, {.protocol = 1}},
	{"v4 UDP-Lite", STEER_PASS_NOT_UDP, {.protocol = 136}},
	{"v4 GRE", STEER_PASS_NOT_UDP, {.protocol = 47}},
	{"v6 TCP", STEER_PASS_NOT_UDP, {.v6 = true, .protocol = 6}},
	{"v6 ICMP", STEER_PASS_NOT_UDP, {.v6 = true, .protocol = 58}},
	{"two VLAN tags", STEER_PASS_NOT_IP, {.vlans = 2}},
	{"three VLAN tags", STEER_PASS_NOT_IP, {.vlans = 3}},
	{"v6 two VLAN tags",
	 STEER_PASS_NOT_IP,
	 {.v6 = true, .vlans = 2, .vlan_proto = ETH_P_8021AD}},
	{"ARP", STEER_PASS_NOT_IP, {.ethertype = ETH_P_ARP}},
	{"LLDP", STEER_PASS_NOT_IP, {.ethertype = 0x88cc}},
	{"MPLS", STEER_PASS_NOT_IP, {.ethertype = ETH_P_MPLS_UC}},
	{"802.3 length", STEER_PASS_NOT_IP, {.ethertype = 0x0100}},
	/* nobody's session */
	{"unknown index", STEER_UNKNOWN_INDEX, {.index = 0x11111111}},
	{"v6 unknown index", STEER_UNKNOWN_INDEX, {.v6 = true, .index = 0x11111111}},
	{"right slot, other high bits", STEER_UNKNOWN_INDEX, {.index = INDEX ^ 0x80000000}},
	{"index 0 and an empty slot", STEER_UNKNOWN_INDEX, {.zero_index = true}},
	{"last slot", STEER_UNKNOWN_INDEX, {.index = 0xffffffff}},
	{"neighbour slot", STEER_UNKNOWN_INDEX, {.index = INDEX ^ 1}},
};

static void table(void)
{
	if (!ready())
		return;
	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++)
		expect_spec(cases[i].name, &cases[i].s, cases[i].reason);
	printf("  %zu cases\n", TT_ARRAY_LEN(cases));
}

/* --- what a table cannot say ------------------------------------------------------------------ */

/* A packet cut off anywhere is the kernel's, whatever the reason. */
static void truncations(void)
{
	static const struct spec whole[] = {
		{0}, {.v6 = true}, {.vlans = 1}, {.v6 = true, .vlans = 1}, {.payload = 32}};
	unsigned n = 0;

	if (!ready())
		return;
	for (size_t i = 0; i < TT_ARRAY_LEN(whole); i++) {
		struct packet k;

		build(&k, &whole[i]);
		expect("whole", &k, STEER_REDIRECTED);
		while (--k.len >= ETH_HLEN) {
			struct verdict v = run(&k, 1);

			CU_ASSERT_EQUAL(v.action, XDP_PASS);
			CU_ASSERT_TRUE(v.reason == STEER_PASS_NOT_IP ||
				       v.reason == STEER_PASS_LENGTH);
			n++;
		}
	}
	printf("  %u truncated packets\n", n);
}

/* Every single bit of the headers: what is still taken differs in nothing that matters. */
static void flipped_bits(void)
{
	static const struct spec s = {.payload = 64};
	unsigned taken = 0;

	if (!ready())
		return;
	for (unsigned bit = 0; bit < (14 + 20 + 8 + 8) * 8; bit++) {
		struct packet k;
		unsigned at = bit / 8;
		bool ignored = at < 12 || at == 15 || at == 18 || at == 19 || at == 22 ||
			       (at >= 24 && at < 30) || at == 34 || at == 35 || at == 40 ||
			       at == 41;

		build(&k, &s);
		k.b[at] ^= (uint8_t)(1u << bit % 8);
		int action = run(&k, 1).action;

		taken += action == XDP_REDIRECT;
		if (action != XDP_REDIRECT || ignored)
			continue;
		/* DF and the evil bit are no fragment. */
		CU_ASSERT_TRUE(at == 20 && (k.b[20] == 0x40 || k.b[20] == 0x80));
	}
	CU_ASSERT_TRUE(taken > 0);
}

static void unknown_policy(void)
{
	static const struct spec unknown = {.index = 0x11111111}, known = {0};

	if (!ready())
		return;
	t.config->unknown_pass = 1;
	expect_spec("unknown index passes", &unknown, STEER_PASS_UNKNOWN_INDEX);
	expect_spec("known index with policy pass", &known, STEER_REDIRECTED);
	t.config->unknown_pass = 0;
	expect_spec("unknown index drops", &unknown, STEER_UNKNOWN_INDEX);
}

static void slots(void)
{
	static const struct spec even = {.index = 0xabcc0000}, odd = {.index = 0xabcc0001};
	static const struct spec last = {.index = 0xffffffff}, beyond = {.index = STEER_SLOTS | 5};

	if (!ready())
		return;
	t.index[0] = 0xabcc0000;
	t.index[1] = 0xabcc0001;
	t.index[STEER_SLOTS - 1] = 0xffffffff;
	expect_spec("even slot", &even, STEER_REDIRECTED);
	expect_spec("odd slot", &odd, STEER_REDIRECTED);
	expect_spec("last slot", &last, STEER_REDIRECTED);
	t.index[0] = 0;
	expect_spec("removed, its pair stays", &even, STEER_UNKNOWN_INDEX);
	expect_spec("the pair", &odd, STEER_REDIRECTED);
	t.index[1] = t.index[STEER_SLOTS - 1] = 0;

	t.config->slot_mask = 2 * STEER_SLOTS - 1;
	expect_spec("slot beyond the map", &beyond, STEER_PASS_SLOT);
	t.config->slot_mask = 255;
	t.index[0xfe & 255] = 0x123456fe;
	expect_spec("small table", &(struct spec){.index = 0x123456fe}, STEER_REDIRECTED);
	t.index[0xfe & 255] = 0;
	t.config->slot_mask = SLOT_MASK;
}

static void udp_ports(void)
{
	static const uint16_t edges[] = {1, 63, 64, 127, 4096, 32768, 65472, 65535};

	if (!ready())
		return;
	for (size_t i = 0; i < TT_ARRAY_LEN(edges); i++) {
		const struct spec s = {.udp_port = edges[i]};

		expect_spec("not a tunnel's", &s, STEER_PASS_UDP_PORT);
		set_port(edges[i], true);
		expect_spec("one more tunnel", &s, STEER_REDIRECTED);
		set_port(edges[i], false);
		expect_spec("no longer", &s, STEER_PASS_UDP_PORT);
	}
}

static void limits_and_sockets(void)
{
	static const struct spec big = {.payload = 2904}, plain = {0};

	if (!ready())
		return;
	t.config->frame_limit = 3000;
	expect_spec("larger MTU", &big, STEER_REDIRECTED);
	t.config->frame_limit = 0;
	expect_spec("nothing fits", &plain, STEER_PASS_TOO_LONG);
	t.config->frame_limit = FRAME_LIMIT;
	CU_ASSERT_EQUAL(set_socket(false), 0);
	expect_spec("no worker for the queue", &plain, STEER_PASS_NO_SOCKET);
	expect_spec("junk is still dropped", &(struct spec){.index = 1}, STEER_UNKNOWN_INDEX);
	CU_ASSERT_EQUAL(set_socket(true), 0);
	expect_spec("worker again", &plain, STEER_REDIRECTED);
}

static uint64_t row_sum(uint32_t row, enum steer_reason reason)
{
	uint32_t key = row * STEER_REASON_COUNT + reason;
	uint64_t per_cpu[256], sum = 0;

	if (t.cpus > 256 || bpf_map_lookup_elem(t.counters, &key, per_cpu))
		return UINT64_MAX;
	for (int c = 0; c < t.cpus; c++)
		sum += per_cpu[c];
	return sum;
}

static bool run_at(uint32_t ifindex, uint32_t queue, const struct packet *k)
{
	struct xdp_md md = {
		.data_end = (uint32_t)k->len, .ingress_ifindex = ifindex, .rx_queue_index = queue};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = k->b, .data_size_in = (uint32_t)k->len,
		    .ctx_in = &md, .ctx_size_in = sizeof(md), .repeat = 1);

	return bpf_prog_test_run_opts(t.prog, &o) == 0;
}

/* Each queue has counters of its own, those that the daemon cannot have share theirs. */
static int counters_of_queues(void)
{
	static const struct {
		uint32_t queue, row;
	} at[] = {{1, 1}, {63, 63}, {64, 64}, {79, 64}};
	struct packet k;
	uint32_t ifindex;

	if (unshare(CLONE_NEWNET) || tt_sh("ip link add qa numrxqueues 80 numtxqueues 80 type veth "
					   "peer name qb numrxqueues 80 numtxqueues 80"))
		return 1;
	ifindex = if_nametoindex("qa");
	build(&k, &(struct spec){0});
	for (size_t i = 0; i < TT_ARRAY_LEN(at); i++) {
		uint64_t own = row_sum(at[i].row, STEER_PASS_NO_SOCKET);
		uint64_t first = row_sum(0, STEER_PASS_NO_SOCKET);

		if (!run_at(ifindex, at[i].queue, &k))
			return 2;
		if (row_sum(at[i].row, STEER_PASS_NO_SOCKET) != own + 1 ||
		    row_sum(0, STEER_PASS_NO_SOCKET) != first)
			return 3;
	}
	return 0;
}

static void queues(void)
{
	int status;
	pid_t child;

	if (!ready())
		return;
	child = fork();
	if (child == 0)
		_exit(counters_of_queues());
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

/* The program changes no byte. */
static void packets_unchanged(void)
{
	static const struct spec s[] = {{0}, {.v6 = true}, {.vlans = 1}, {.type = 1}};

	if (!ready())
		return;
	for (size_t i = 0; i < TT_ARRAY_LEN(s); i++) {
		struct packet k, out = {0};

		build(&k, &s[i]);
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = k.b, .data_size_in = k.len,
			    .data_out = out.b, .data_size_out = sizeof(out.b));
		CU_ASSERT_EQUAL(bpf_prog_test_run_opts(t.prog, &o), 0);
		CU_ASSERT_EQUAL(o.data_size_out, k.len);
		CU_ASSERT_EQUAL(memcmp(k.b, out.b, k.len), 0);
	}
}

static int load_with_rights(uint64_t rights)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {
		{.effective = (uint32_t)rights, .permitted = (uint32_t)rights},
		{.effective = (uint32_t)(rights >> 32), .permitted = (uint32_t)(rights >> 32)}};
	const char *path = getenv("TALTUN_STEER_OBJECT");
	struct bpf_object *o;
	int err;

	if (syscall(SYS_capset, &h, d) < 0)
		return -errno;
	o = bpf_object__open_file(path ? path : "build/bpf/steer.bpf.o", NULL);
	err = o ? bpf_object__load(o) : -errno;
	bpf_object__close(o);
	return err;
}

/* The monitor's rights are enough: the verifier needs none to see pointers (CAP_PERFMON). */
static void few_rights(void)
{
	uint64_t rights = UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_NET_ADMIN;
	int status;
	pid_t child;

	if (!ready())
		return;
	child = fork();
	if (child == 0)
		_exit(load_with_rights(rights) ? 1 : 0);
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Told, not judged: the machine may be busy. */
static void timing(void)
{
	static const struct {
		const char *name;
		struct spec s;
	} kinds[] = {
		{"passed: ARP", {.ethertype = ETH_P_ARP}},
		{"passed: TCP", {.protocol = 6}},
		{"passed: other UDP", {.udp_port = 443}},
		{"passed: v6 TCP", {.v6 = true, .protocol = 6}},
		{"passed: handshake", {.type = 1, .payload = 148}},
		{"junk: unknown index", {.index = 0x11111111}},
		{"junk: v6 unknown index", {.v6 = true, .index = 0x11111111}},
		{"junk: other address", {.to = other_v4}},
		{"redirected", {0}},
	};

	if (!ready())
		return;
	for (size_t i = 0; i < TT_ARRAY_LEN(kinds); i++) {
		struct packet k;
		uint32_t best = UINT32_MAX;

		build(&k, &kinds[i].s);
		for (unsigned round = 0; round < 7; round++) {
			struct verdict v = run(&k, 20000);

			CU_ASSERT_TRUE(v.action >= 0);
			best = TT_MIN(best, v.ns);
		}
		printf("  %-26s %3u ns\n", kinds[i].name, best);
	}
}

TT_TESTS("steer", {"table", table}, {"truncations", truncations}, {"flipped bits", flipped_bits},
	 {"policy for unknown indices", unknown_policy}, {"slots", slots}, {"udp_ports", udp_ports},
	 {"limits and sockets", limits_and_sockets}, {"queues", queues},
	 {"packets unchanged", packets_unchanged}, {"few rights", few_rights}, {"timing", timing})
