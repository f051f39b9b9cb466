/* SPDX-License-Identifier: MIT
 *
 * Does the kernel cut super-packets as it says? They are written to one TUN that was granted the
 * offload and forwarded to one that was not, where the pieces have to come out.
 */
#include "plat/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/types.h"
#include "plat/netcfg.h"

#define PROBE_SEGMENT 1000u
#define PROBE_LEN     2500u /* 1000, 1000, 500 */
#define PROBE_WAIT_MS 100
#define PROBE_MAX_MS  2000 /* of the whole, in its own process */
#define PROBE_STRAYS  64   /* packets of others, such as router solicitations, that are skipped */

enum { PROTO_TCP = 6, PROTO_UDP = 17 };

struct tun_probe {
	const struct plat_tun_info *from, *to;
	bool v6;
	uint8_t proto;
	uint32_t head; /* both headers */
	uint8_t sent[60 + PROBE_LEN];
};

static uint32_t probe_sum(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += tt_load_be16(p + i);
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t probe_ip_head(const struct tun_probe *p)
{
	return p->v6 ? 40 : 20;
}

/* Of the pseudo header, for an upper layer of l4 bytes. */
static uint32_t probe_pseudo(const struct tun_probe *p, const uint8_t *packet, uint32_t l4)
{
	return p->v6 ? probe_sum(packet + 8, 32, p->proto + l4)
		     : probe_sum(packet + 12, 8, p->proto + l4);
}

static void probe_write_ip(struct tun_probe *p, uint32_t len)
{
	static const uint8_t v4[] = {198, 18, 0, 2, 198, 19, 0, 2};
	uint8_t *ip = p->sent;

	memset(ip, 0, p->head);
	if (p->v6) {
		ip[0] = 0x60;
		tt_store_be16(ip + 4, (uint16_t)(len - 40));
		ip[6] = p->proto;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[15] = 1;
		ip[31] = ip[23] = ip[39] = 2;
		return;
	}
	ip[0] = 0x45;
	tt_store_be16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = p->proto;
	memcpy(ip + 12, v4, sizeof(v4));
	tt_store_be16(ip + 10, (uint16_t)~probe_sum(ip, 20, 0));
}

/* A packet with payload bytes of data, and a checksum that only says the pseudo header. */
static uint32_t probe_write(struct tun_probe *p, uint32_t payload)
{
	uint32_t ip = probe_ip_head(p), len;
	uint8_t *l4 = p->sent + ip;

	p->head = ip + (p->proto == PROTO_TCP ? 20 : 8);
	len = p->head + payload;
	probe_write_ip(p, len);
	for (uint32_t i = 0; i < payload; i++)
		p->sent[p->head + i] = (uint8_t)(i * 7 + i / 251);
	tt_store_be16(l4, 9); /* discard */
	tt_store_be16(l4 + 2, 9);
	if (p->proto == PROTO_TCP) {
		tt_store_be32(l4 + 4, 0x12345678);
		l4[12] = 5 << 4;
		l4[13] = 0x10; /* ACK */
		tt_store_be16(l4 + 16, (uint16_t)probe_pseudo(p, p->sent, len - ip));
	} else {
		tt_store_be16(l4 + 4, (uint16_t)(len - ip));
		tt_store_be16(l4 + 6, (uint16_t)probe_pseudo(p, p->sent, len - ip));
	}
	return len;
}

static bool probe_send(struct tun_probe *p, uint32_t payload)
{
	struct plat_vnet_hdr h = {.flags = PLAT_VNET_F_NEEDS_CSUM};
	uint32_t len = probe_write(p, payload);
	struct iovec iov[] = {{&h, sizeof(h)}, {p->sent, len}};

	h.csum_start = (uint16_t)probe_ip_head(p);
	h.csum_offset = p->proto == PROTO_TCP ? 16 : 6;
	h.hdr_len = (uint16_t)p->head;
	if (payload > PROBE_SEGMENT) {
		h.gso_size = PROBE_SEGMENT;
		h.gso_type = p->proto == PROTO_UDP ? PLAT_VNET_GSO_UDP_L4
			     : p->v6		   ? PLAT_VNET_GSO_TCPV6
						   : PLAT_VNET_GSO_TCPV4;
	}
	return plat_tun_writev(p->from->fd[0], iov, 2) == (ssize_t)(sizeof(h) + len);
}

static bool probe_is_ours(const struct tun_probe *p, const uint8_t *got, uint32_t len)
{
	uint32_t ip = probe_ip_head(p);

	if (len < p->head || got[0] >> 4 != (p->v6 ? 6 : 4) || got[p->v6 ? 6 : 9] != p->proto)
		return false;
	return memcmp(got + (p->v6 ? 8 : 12), p->sent + (p->v6 ? 8 : 12), ip - (p->v6 ? 8 : 12)) ==
	       0;
}

/* The piece that carries the payload from `at` on: lengths, numbers, checksums, bytes. */
static bool probe_is_right(const struct tun_probe *p, const uint8_t *got, uint32_t len, uint32_t at,
			   uint32_t want)
{
	uint32_t ip = probe_ip_head(p), l4 = len - ip;

	if (len != p->head + want || tt_load_be16(got + (p->v6 ? 4 : 2)) != (p->v6 ? l4 : len) ||
	    (!p->v6 && probe_sum(got, 20, 0) != 0xffff) ||
	    probe_sum(got + ip, l4, probe_pseudo(p, got, l4)) != 0xffff)
		return false;
	if (memcmp(got + ip, p->sent + ip, 4) != 0) /* ports */
		return false;
	if (p->proto == PROTO_TCP ? tt_load_be32(got + ip + 4) != 0x12345678 + at
				  : tt_load_be16(got + ip + 4) != l4)
		return false;
	return memcmp(got + p->head, p->sent + p->head + at, want) == 0;
}

static bool probe_receive(struct tun_probe *p, uint32_t payload)
{
	uint8_t got[2 * PROBE_LEN];
	uint32_t at = 0;

	for (unsigned i = 0; at < payload && i < PROBE_STRAYS; i++) {
		struct pollfd wait = {.fd = p->to->fd[0], .events = POLLIN};
		uint32_t want = TT_MIN(payload - at, PROBE_SEGMENT);
		ssize_t n;

		if (poll(&wait, 1, PROBE_WAIT_MS) != 1)
			return false;
		n = plat_tun_read(p->to->fd[0], got, sizeof(got));
		if (n < 0)
			return false;
		if (!probe_is_ours(p, got, (uint32_t)n))
			continue;
		if (!probe_is_right(p, got, (uint32_t)n, at, want))
			return false;
		at += want;
	}
	return at == payload;
}

/* Pieces of one that was spoiled would be taken for those of the next. */
static void probe_drain(const struct plat_tun_info *to)
{
	uint8_t left[2 * PROBE_LEN];

	for (unsigned i = 0; i < PROBE_STRAYS && plat_tun_read(to->fd[0], left, sizeof(left)) >= 0;
	     i++)
		;
}

static enum plat_offload probe_one(const struct plat_tun_info *from, const struct plat_tun_info *to,
				   bool v6, uint8_t proto)
{
	struct tun_probe p = {.from = from, .to = to, .v6 = v6, .proto = proto};

	probe_drain(to);
	/* Where not even this comes through, nothing can be said. */
	if (!probe_send(&p, PROBE_SEGMENT) || !probe_receive(&p, PROBE_SEGMENT))
		return PLAT_OFFLOAD_UNPROVED;
	return probe_send(&p, PROBE_LEN) && probe_receive(&p, PROBE_LEN) ? PLAT_OFFLOAD_PROVED
									 : PLAT_OFFLOAD_BROKEN;
}

static enum plat_offload probe_both(const struct plat_tun_info *from,
				    const struct plat_tun_info *to, uint8_t proto)
{
	enum plat_offload v4 = probe_one(from, to, false, proto);
	enum plat_offload v6 = v4 == PLAT_OFFLOAD_BROKEN ? v4 : probe_one(from, to, true, proto);

	/* A host without IPv6 proves what it uses. */
	return v6 == PLAT_OFFLOAD_BROKEN ? v6 : v4;
}

void plat_tun_probe_between(const struct plat_tun_info *from, const struct plat_tun_info *to,
			    struct plat_tun_offloads *out)
{
	*out = (struct plat_tun_offloads){PLAT_OFFLOAD_REFUSED, PLAT_OFFLOAD_REFUSED};
	if (from->flags & PLAT_TUN_TSO)
		out->tso = probe_both(from, to, PROTO_TCP);
	if (from->flags & PLAT_TUN_USO)
		out->uso = probe_both(from, to, PROTO_UDP);
}

/* --- in a namespace of its own --------------------------------------------------------------- */

static void probe_sysctl(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* One that cannot be written shows in the first packet. */
	if (fd >= 0 && write(fd, "1", 1) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
}

static int probe_device(const char *name, unsigned want, const char *v4, const char *v6,
			struct plat_tun_info *t)
{
	struct plat_netcfg *c = NULL;
	struct tt_cidr addr;
	int err = plat_tun_create(name, 1, want, t);

	if (!err)
		err = plat_netcfg_open(t->ifindex, NULL, &c);
	if (!err)
		err = plat_netcfg_set_up(c, true);
	if (!err && tt_cidr_parse(v4, &addr) == 0)
		err = plat_netcfg_addr_add(c, &addr);
	if (!err && tt_cidr_parse(v6, &addr) == 0)
		(void)plat_netcfg_addr_add(c, &addr);
	plat_netcfg_close(c);
	return err;
}

static void probe_apart(struct plat_tun_offloads *out)
{
	struct plat_tun_info from, to;

	if (unshare(CLONE_NEWNET) < 0 ||
	    probe_device("from", PLAT_TUN_VNET_HDR | PLAT_TUN_TSO | PLAT_TUN_USO, "198.18.0.1/24",
			 "fd00:0:0:1::1/64", &from) ||
	    probe_device("to", 0, "198.19.0.1/24", "fd00:0:0:2::1/64", &to))
		return;
	probe_sysctl("/proc/sys/net/ipv4/ip_forward");
	probe_sysctl("/proc/sys/net/ipv6/conf/all/forwarding");
	plat_tun_probe_between(&from, &to, out);
}

/* A grandchild: taking the namespace down lasts ten times as long as the proof, and nobody waits.
 */
static void probe_start(int result)
{
	struct plat_tun_offloads o = {PLAT_OFFLOAD_UNPROVED, PLAT_OFFLOAD_UNPROVED};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (fork() != 0)
			_exit(0);
		alarm(PROBE_MAX_MS / 1000);
		probe_apart(&o);
		_exit(write(result, &o, sizeof(o)) == sizeof(o) ? 0 : 1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

void plat_tun_probe(struct plat_tun_offloads *out)
{
	struct plat_tun_offloads got;
	int result[2];

	*out = (struct plat_tun_offloads){PLAT_OFFLOAD_UNPROVED, PLAT_OFFLOAD_UNPROVED};
	if (pipe2(result, O_CLOEXEC) < 0)
		return;
	probe_start(result[1]);
	close(result[1]);
	struct pollfd wait = {.fd = result[0], .events = POLLIN};

	/* An end without a word counts as well: it makes the descriptor readable. */
	if (poll(&wait, 1, PROBE_MAX_MS) == 1 && read(result[0], &got, sizeof(got)) == sizeof(got))
		*out = got;
	close(result[0]);
}
