/* SPDX-License-Identifier: MIT
 *
 * The part of udp_io that runs once: opening, steering, and the probe of what the kernel can do.
 */
#include "plat/udp_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>

/* A result that is as good with or without: what the kernel refuses shows in the daily work. */
static void udp_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static int udp_option_needed(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static void udp_set_buffers(int fd, int bytes)
{
	if (bytes <= 0)
		return;
	if (udp_option_needed(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes))
		udp_option(fd, SOL_SOCKET, SO_RCVBUF, bytes);
	if (udp_option_needed(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes))
		udp_option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

static int udp_set_family_options(int fd, enum tt_family family)
{
	int err;

	if (family == TT_FAMILY_V4) {
		udp_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
		udp_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
		return udp_option_needed(fd, IPPROTO_IP, IP_PKTINFO, 1);
	}
	udp_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	udp_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	err = udp_option_needed(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return err ? err : udp_option_needed(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static int udp_bind(int fd, const struct plat_udp_options *opt)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(opt->udp_port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(opt->udp_port)};
	int r;

	if (opt->local.family != TT_FAMILY_NONE && opt->local.family != opt->family)
		return -EINVAL;
	memcpy(&v4.sin_addr, opt->local.b, 4); /* zero: any */
	memcpy(&v6.sin6_addr, opt->local.b, 16);
	v6.sin6_scope_id = opt->local.scope_id;
	if (opt->family == TT_FAMILY_V4)
		r = bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	else
		r = bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	return r < 0 ? -errno : 0;
}

static int udp_port_of(int fd, uint16_t *udp_port)
{
	/* sin_port and sin6_port lie at the same place. */
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	*udp_port = ntohs(a.sin6_port);
	return 0;
}

int plat_udp_open(const struct plat_udp_options *opt, uint16_t *bound_port)
{
	int domain = opt->family == TT_FAMILY_V4 ? AF_INET : AF_INET6, err = 0, fd;

	if (opt->family != TT_FAMILY_V4 && opt->family != TT_FAMILY_V6)
		return -EINVAL;
	fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	if (opt->reuseport)
		err = udp_option_needed(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!err && opt->fwmark)
		err = plat_udp_set_fwmark(fd, opt->fwmark);
	if (!err)
		err = udp_set_family_options(fd, opt->family);
	udp_set_buffers(fd, opt->buffer_bytes);
	if (!err)
		err = udp_bind(fd, opt);
	if (!err)
		err = udp_port_of(fd, bound_port);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int plat_udp_set_fwmark(int fd, uint32_t fwmark)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark)) < 0 ? -errno : 0;
}

int plat_udp_enable_gro(int fd, bool on)
{
	return udp_option_needed(fd, IPPROTO_UDP, UDP_GRO, on);
}

/*
 * The kernel runs the program with the UDP payload at offset 0. A load beyond the end would end the
 * program with member 0, hence the length first.
 */
#define STEER_OTHERS_MAX 32 /* workers whose share goes elsewhere */
#define STEER_INDEX	 13 /* instructions of steer_index() */
#define STEER_HEAD	 (13 + STEER_INDEX + 1 + STEER_INDEX + 1)
#define STEER_MAX	 (STEER_HEAD + 2 * STEER_OTHERS_MAX + 1)
#define STEER_DATA	 0x04000000 /* WireGuard type 4 */
#define STEER_RELAY	 0xa7000000 /* relay datagram of type 0: the same 8 bytes further on */

#define STMT(op, value)		 ((struct sock_filter)BPF_STMT(op, value))
#define JUMP(op, value, yes, no) ((struct sock_filter)BPF_JUMP(op, value, yes, no))
#define UNLESS(value, skip)	 JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(value)		 STMT(BPF_RET | BPF_K, value)

/* A = the receiver index of the message at this offset. Little-endian: byte 7 is the highest. */
static unsigned steer_index(struct sock_filter *code, unsigned message)
{
	unsigned n = 0;

	code[n++] = STMT(BPF_LD | BPF_B | BPF_ABS, message + 7);
	for (unsigned byte = 7; byte-- > 4;) {
		code[n++] = STMT(BPF_ALU | BPF_LSH | BPF_K, 8);
		code[n++] = STMT(BPF_MISC | BPF_TAX, 0);
		code[n++] = STMT(BPF_LD | BPF_B | BPF_ABS, message + byte);
		code[n++] = STMT(BPF_ALU | BPF_OR | BPF_X, 0);
	}
	return n;
}

/* A = the receiver index of a data message, whether a relay header is in front of it or not. */
static unsigned steer_head(struct sock_filter *code, unsigned workers)
{
	const struct sock_filter head[] = {
		STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		JUMP(BPF_JMP | BPF_JGE | BPF_K, 8, 1, 0),
		RETURN(workers),
		STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, STEER_DATA, 8 + STEER_INDEX + 1, 0),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, STEER_RELAY, 1, 0),
		RETURN(workers),
		STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		JUMP(BPF_JMP | BPF_JGE | BPF_K, 16, 1, 0),
		RETURN(workers),
		STMT(BPF_LD | BPF_W | BPF_ABS, 8),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, STEER_DATA, 1, 0),
		RETURN(workers),
	};
	unsigned n = TT_ARRAY_LEN(head);

	memcpy(code, head, sizeof(head));
	n += steer_index(code + n, 8);
	code[n++] = STMT(BPF_JMP | BPF_JA, STEER_INDEX);
	n += steer_index(code + n, 0);
	code[n++] = STMT(BPF_ALU | BPF_MOD | BPF_K, workers);
	tt_assert(n == STEER_HEAD);
	return n;
}

static unsigned steer_program(struct sock_filter *code, unsigned workers, uint32_t without)
{
	unsigned n = steer_head(code, workers);

	for (unsigned w = 0; w < TT_MIN(workers, STEER_OTHERS_MAX); w++) {
		unsigned to = w;

		while (without & (1u << to))
			to = (to + 1) % TT_MIN(workers, STEER_OTHERS_MAX);
		if (to == w)
			continue;
		code[n++] = UNLESS(w, 1);
		code[n++] = RETURN(to);
	}
	code[n++] = STMT(BPF_RET | BPF_A, 0);
	return n;
}

int plat_udp_steer_without(int fd, unsigned workers, uint32_t without)
{
	struct sock_filter code[STEER_MAX];
	struct sock_fprog program = {.filter = code};
	uint32_t all = workers >= 32 ? UINT32_MAX : (1u << workers) - 1;

	if (workers < 1 || workers > 255 || (without & all) == all)
		return -EINVAL;
	program.len = (unsigned short)steer_program(code, workers, without & all);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
		return errno == ENOPROTOOPT ? -ENOTSUP : -errno;
	return 0;
}

int plat_udp_steer(int fd, unsigned workers)
{
	return plat_udp_steer_without(fd, workers, 0);
}

/* --- probe ----------------------------------------------------------------------------------- */

#define PROBE_SEGMENT 1000u
#define PROBE_LEN     2500u /* 1000, 1000, 500 */
#define PROBE_WAIT_MS 50

struct udp_probe {
	int tx, rx;
	struct plat_udp_dest dest;
};

static bool udp_probe_open(struct udp_probe *p)
{
	struct plat_udp_options opt = {.family = TT_FAMILY_V4};
	uint16_t tx_port, rx_port;

	p->rx = plat_udp_open(&opt, &rx_port);
	if (p->rx < 0)
		return false;
	p->tx = plat_udp_open(&opt, &tx_port);
	if (p->tx < 0) {
		close(p->rx);
		return false;
	}
	p->dest = (struct plat_udp_dest){0};
	p->dest.to.ip = tt_ip_v4_host(INADDR_LOOPBACK);
	p->dest.to.udp_port = rx_port;
	plat_udp_dest_prepare(&p->dest);
	return true;
}

static void udp_probe_close(struct udp_probe *p)
{
	close(p->tx);
	close(p->rx);
}

/* True where it went as one super-datagram, and not one by one after a refusal. */
static bool udp_probe_send(struct udp_probe *p, const uint8_t *buf, uint32_t len)
{
	struct plat_udp_tx tx = {
		.buf = buf, .len = len, .segment = TT_MIN(len, PROBE_SEGMENT), .dest = &p->dest};
	bool lost;

	return plat_udp_send(p->tx, &tx, 1, &lost) == 1 && !tx.gso_refused;
}

/* True where exactly these bytes arrive, cut as they should be: in one message, or one by one. */
static bool udp_probe_receive(struct udp_probe *p, const uint8_t *want, uint32_t len,
			      bool coalesced)
{
	uint8_t buf[2 * PROBE_LEN];
	uint32_t at = 0, messages = 0;

	for (; at < len; messages++) {
		struct pollfd wait = {.fd = p->rx, .events = POLLIN};
		struct plat_udp_rx rx = {.buf = buf, .cap = sizeof(buf)};
		uint32_t expect = TT_MIN(len - at, PROBE_SEGMENT);

		if (poll(&wait, 1, PROBE_WAIT_MS) != 1 || plat_udp_recv(p->rx, &rx, 1) != 1)
			return false;
		if (rx.len > len - at || rx.segment != expect || (!coalesced && rx.len != expect) ||
		    memcmp(buf, want + at, rx.len) != 0)
			return false;
		at += rx.len;
	}
	return !coalesced || messages == 1;
}

/* What the kernel says it can, where nothing can be shown. */
static void udp_probe_claimed(struct udp_probe *p, struct plat_udp_offloads *out)
{
	if (!udp_option_needed(p->tx, IPPROTO_UDP, UDP_SEGMENT, PROBE_SEGMENT))
		out->gso = PLAT_OFFLOAD_UNPROVED;
	if (!plat_udp_enable_gro(p->rx, true))
		out->gro = PLAT_OFFLOAD_UNPROVED;
}

static void udp_probe_run(struct udp_probe *p, struct plat_udp_offloads *out)
{
	uint8_t data[PROBE_LEN];

	for (unsigned i = 0; i < PROBE_LEN; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	/* Loopback may be down, as in a new network namespace, or closed by a firewall. */
	if (!udp_probe_send(p, data, 1) || !udp_probe_receive(p, data, 1, false)) {
		udp_probe_claimed(p, out);
		return;
	}
	if (!udp_probe_send(p, data, PROBE_LEN))
		return;
	out->gso = PLAT_OFFLOAD_BROKEN;
	if (!udp_probe_receive(p, data, PROBE_LEN, false))
		return;
	out->gso = PLAT_OFFLOAD_PROVED;
	if (plat_udp_enable_gro(p->rx, true))
		return;
	out->gro = udp_probe_send(p, data, PROBE_LEN) && udp_probe_receive(p, data, PROBE_LEN, true)
			   ? PLAT_OFFLOAD_PROVED
			   : PLAT_OFFLOAD_BROKEN;
}

unsigned plat_udp_probe_offloads(struct plat_udp_offloads *out)
{
	struct udp_probe p;

	*out = (struct plat_udp_offloads){PLAT_OFFLOAD_REFUSED, PLAT_OFFLOAD_REFUSED};
	if (udp_probe_open(&p)) {
		udp_probe_run(&p, out);
		udp_probe_close(&p);
	}
	return (plat_offload_is_on(out->gso) ? PLAT_UDP_GSO : 0u) |
	       (plat_offload_is_on(out->gro) ? PLAT_UDP_GRO : 0u);
}

unsigned plat_udp_probe(void)
{
	struct plat_udp_offloads offloads;

	return plat_udp_probe_offloads(&offloads);
}
