/* SPDX-License-Identifier: MIT
 *
 * UDP as fast as one thread can send it, 64 KiB a system call where the kernel cuts it up.
 *
 *	udp_flood IP UDP_PORT SECONDS BYTES [plain|junk [PPS]]
 *	                               BYTES of payload each, PPS or what can be sent; prints one
 *	                               JSON object
 *	udp_flood sink UDP_PORT        a socket that is never read: what comes is dropped at the
 *	                               least cost
 *
 * junk: WireGuard data messages of sessions that nobody has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { SEGMENTS = 64, LOOK_EVERY = 16 };

static uint8_t buf[65536];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "udp_flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *ip, const char *udp_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(udp_port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

static int sink(const char *udp_port)
{
	struct sockaddr_in a = address("0.0.0.0", udp_port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), least = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("bind");
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}

/* Type 4, reserved bytes zero, an index of its own each. */
static void fill_junk(unsigned bytes, unsigned segments)
{
	for (unsigned i = 0; i < segments; i++) {
		uint8_t *m = buf + (size_t)i * bytes;
		uint32_t index = 0x9e3779b9u * (i + 1);

		memset(m, 0x5a, bytes);
		memcpy(m, (uint8_t[]){4, 0, 0, 0}, 4);
		memcpy(m + 4, &index, 4);
	}
}

/* Not earlier than `sent` datagrams are due. */
static void pace(double start, uint64_t sent, double pps)
{
	double early = start + (double)sent / pps - now();

	if (early > 0.0001)
		usleep((unsigned)(early * 1e6));
}

/* pps: 0: what can be sent. */
static uint64_t flood(int fd, unsigned bytes, unsigned segments, double seconds, double pps,
		      double *took)
{
	double start = now(), end = start + seconds;
	uint64_t sent = 0;

	for (unsigned i = 0; i % LOOK_EVERY || now() < end; i++) {
		if (pps > 0)
			pace(start, sent, pps);
		ssize_t n = send(fd, buf, (size_t)bytes * segments, 0);

		if (n > 0)
			sent += segments;
		else if (errno == EIO || errno == EINVAL)
			die("no UDP segmentation here");
		else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			die("send");
	}
	*took = now() - start;
	return sent;
}

int main(int argc, char **argv)
{
	bool junk = argc >= 6 && argc <= 7 && strcmp(argv[5], "junk") == 0;

	if (argc == 3 && strcmp(argv[1], "sink") == 0)
		return sink(argv[2]);
	if (argc != 5 && !junk && !(argc == 7 && strcmp(argv[5], "plain") == 0)) {
		fprintf(stderr, "usage: udp_flood IP UDP_PORT SECONDS BYTES [plain|junk [PPS]]\n"
				"       udp_flood sink UDP_PORT\n");
		return 64;
	}
	struct sockaddr_in to = address(argv[1], argv[2]);
	int bytes = atoi(argv[4]), fd = socket(AF_INET, SOCK_DGRAM, 0);
	double took;

	if (bytes < 32 || bytes > 1472)
		return fprintf(stderr, "udp_flood: 32 to 1472 bytes\n"), 64;
	unsigned segments = (unsigned)(65000 / bytes);
	segments = segments < SEGMENTS ? segments : SEGMENTS;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof(bytes)) < 0)
		die("socket");
	if (junk)
		fill_junk((unsigned)bytes, segments);
	uint64_t sent = flood(fd, (unsigned)bytes, segments, atof(argv[3]),
			      argc == 7 ? atof(argv[6]) : 0, &took);

	printf("{\"sent\": %llu, \"seconds\": %.3f, \"pps\": %.0f}\n", (unsigned long long)sent,
	       took, (double)sent / took);
	return 0;
}
