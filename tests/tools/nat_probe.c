/* SPDX-License-Identifier: MIT
 *
 * What a NAT does with UDP, measured as RFC 5780 has it: how it maps, what it lets in, whether it
 * carries from one of its hosts to another by their outside addresses.
 *
 *	nat_probe serve ADDRESS OTHER_ADDRESS UDP_PORT OTHER_UDP_PORT
 *	    Four sockets; says "ready" when it serves, until SIGTERM.
 *	nat_probe ask ADDRESS OTHER_ADDRESS UDP_PORT OTHER_UDP_PORT OWN_UDP_PORT
 *	    Asks that server from three udp_ports of its own, OWN_UDP_PORT and the next two, and
 *	    prints one JSON object.
 *
 * A request is one letter, whence the answer shall come: s the socket that was asked, p the other
 * udp_port of its address, a the other address and udp_port. The answer is the letter, and the
 * address and udp_port that the request came from.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What does not come is known by what was asked after it and has come, and a moment for a machine
 * with other things to do. Only where nothing comes at all is it waited for. */
enum { TRIES = 2, WAIT_MS = 1000, MOMENT_MS = 60 };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "nat_probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in address(const char *ip, const char *udp_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(udp_port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		errno = EINVAL;
		die(ip);
	}
	return a;
}

static int open_at(struct sockaddr_in a)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("bind");
	return fd;
}

static int open_own(unsigned udp_port)
{
	return open_at(
		(struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)udp_port)});
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool readable(int fd, int64_t until_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left = until_ms - now_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

/* --- server --------------------------------------------------------------------------------- */

/* fd[address * 2 + udp_port] */
static void serve_one(const int fd[4], int which)
{
	uint8_t buf[64];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int out = which;

	if (recvfrom(fd[which], buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) < 1)
		return;
	if (buf[0] == 'p')
		out = which ^ 1;
	else if (buf[0] == 'a')
		out = which ^ 3;
	memcpy(buf + 1, &from.sin_addr, 4);
	memcpy(buf + 5, &from.sin_port, 2);
	sendto(fd[out], buf, 7, 0, (struct sockaddr *)&from, len);
}

static _Noreturn void serve(char **arg)
{
	struct pollfd p[4];
	int fd[4];

	for (int i = 0; i < 4; i++) {
		fd[i] = open_at(address(arg[i / 2], arg[2 + i % 2]));
		p[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		poll(p, 4, -1);
		for (int i = 0; i < 4; i++)
			if (p[i].revents & POLLIN)
				serve_one(fd, i);
	}
}

/* --- client --------------------------------------------------------------------------------- */

/* Whether the answer comes, and where from the server saw us. */
static bool ask(int fd, const struct sockaddr_in *to, char how, struct sockaddr_in *seen)
{
	uint8_t buf[64];

	for (int i = 0; i < TRIES; i++) {
		int64_t until = now_ms() + WAIT_MS;

		sendto(fd, &how, 1, 0, (const struct sockaddr *)to, sizeof(*to));
		if (how != 's')
			sendto(fd, "s", 1, 0, (const struct sockaddr *)to, sizeof(*to));
		while (readable(fd, until)) {
			if (recv(fd, buf, sizeof(buf), 0) != 7)
				continue;
			if (buf[0] != (uint8_t)how) {
				if (buf[0] == 's')
					until = now_ms() + MOMENT_MS;
				continue;
			}
			*seen = (struct sockaddr_in){.sin_family = AF_INET};
			memcpy(&seen->sin_addr, buf + 1, 4);
			memcpy(&seen->sin_port, buf + 5, 2);
			return true;
		}
	}
	return false;
}

static bool same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

/* One socket that asks server[0] only: what else comes in is the NAT's leniency. */
static const char *filtering(int fd, const struct sockaddr_in server[4])
{
	struct sockaddr_in seen;

	if (!ask(fd, &server[0], 's', &seen))
		return "blocked";
	if (ask(fd, &server[0], 'a', &seen))
		return "endpoint_independent";
	return ask(fd, &server[0], 'p', &seen) ? "address_dependent" : "address_and_port_dependent";
}

/* Another, that asks from everywhere: whether it looks the same from there. */
static const char *mapping(int fd, const struct sockaddr_in server[4], struct sockaddr_in *seen)
{
	struct sockaddr_in address_seen, port_seen;

	if (!ask(fd, &server[0], 's', seen) || !ask(fd, &server[2], 's', &address_seen) ||
	    !ask(fd, &server[3], 's', &port_seen))
		return "blocked";
	if (same(seen, &address_seen))
		return "endpoint_independent";
	return same(&address_seen, &port_seen) ? "address_dependent" : "address_and_port_dependent";
}

/* The third socket sends to where the second is seen. The second hears it where the NAT turns
 * it round. */
static bool hairpin(int from, int to, const struct sockaddr_in *mapped,
		    const struct sockaddr_in *server)
{
	struct sockaddr_in seen;
	uint8_t buf[64];

	if (!ask(from, server, 's', &seen))
		return false;
	for (int i = 0; i < TRIES; i++) {
		struct sockaddr_in again;

		/* both at once, as nodes do: each opens the way for the other */
		sendto(to, "h", 1, 0, (const struct sockaddr *)&seen, sizeof(seen));
		sendto(from, "h", 1, 0, (const struct sockaddr *)mapped, sizeof(*mapped));
		if (!ask(from, server, 's', &again))
			return false;
		int64_t until = now_ms() + MOMENT_MS;
		while (readable(to, until))
			if (recv(to, buf, sizeof(buf), 0) == 1 && buf[0] == 'h')
				return true;
	}
	return false;
}

static int ask_all(char **arg)
{
	unsigned own = (unsigned)atoi(arg[4]);
	struct sockaddr_in server[4], seen = {0};
	int fd[3];

	for (int i = 0; i < 4; i++)
		server[i] = address(arg[i / 2], arg[2 + i % 2]);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = open_own(own + i);
	const char *filter = filtering(fd[0], server), *map = mapping(fd[1], server, &seen);
	bool turned = seen.sin_port != 0 && hairpin(fd[2], fd[1], &seen, &server[0]);
	printf("{\"mapping\":\"%s\",\"filtering\":\"%s\",\"seen\":\"%s:%u\","
	       "\"udp_port_kept\":%s,\"hairpin\":%s}\n",
	       map, filter, inet_ntoa(seen.sin_addr), ntohs(seen.sin_port),
	       ntohs(seen.sin_port) == own + 1 ? "true" : "false", turned ? "true" : "false");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "serve") == 0)
		serve(argv + 2);
	if (argc == 7 && strcmp(argv[1], "ask") == 0)
		return ask_all(argv + 2);
	fprintf(stderr, "usage: nat_probe serve A1 A2 P1 P2 | ask A1 A2 P1 P2 OWN\n");
	return 2;
}
