/* SPDX-License-Identifier: MIT
 *
 * A seeded WAN between two network namespaces. Opens one TUN device in each and carries IP packets
 * from one to the other with delay, jitter, loss, duplication, reordering, a rate limit behind a
 * bounded queue, a smaller MTU, filtered ICMP, one-way traffic or a black hole. The same seed and
 * the same packets meet the same fate.
 *
 *	wan --left NETNS:IFNAME:ADDR/LEN[,ADDR/LEN] --right NETNS:IFNAME:ADDR/LEN[,…] [OPTION]...
 *
 * A value holds for both directions; "lr:5" or "rl:5" sets one. Lines on a Unix socket
 * (--control PATH) change it at run time: "set NAME VALUE", "stats", "quit".
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/heap.h"
#include "base/rng.h"
#include "base/types.h"
#include "wan_ip.h"
#include "wan_setting.h"
#include "wan_tun.h"

enum {
	LR = 0, /* direction left to right, and the left side */
	RL = 1,
	MAX_PACKETS = WAN_PACKETS_MAX,
	MAX_CLIENTS = 8,
	MAX_PACKET = 65536,
	MAX_BYTES = 64 << 20,
	READ_BATCH = 64,
};

#define COUNTERS(X)     \
	X(in)           \
	X(out)          \
	X(bytes_in)     \
	X(bytes_out)    \
	X(lost)         \
	X(duplicated)   \
	X(reordered)    \
	X(too_big)      \
	X(too_big_sent) \
	X(fragmented)   \
	X(queue_full)   \
	X(icmp_dropped) \
	X(blackholed)   \
	X(no_memory)    \
	X(write_failed)

struct counters {
#define X(name) uint64_t name;
	COUNTERS(X)
#undef X
};

struct direction {
	struct wan_impairment imp;
	struct counters n;
	struct tt_rng_seeded rng_state;
	struct tt_rng rng;
	uint64_t link_free_ns; /* when the rate limiter has sent all it holds */
	uint64_t last_due_ns;  /* jitter alone never reorders */
	uint32_t queued;       /* packets the rate limiter holds */
};

struct packet {
	struct tt_heap_item item;
	uint8_t dir;
	bool queueing; /* still behind the rate limiter */
	bool reorder;
	uint64_t extra_ns; /* on the wire */
	uint32_t len;
	uint8_t data[];
};

struct client {
	int fd; /* -1: free */
	size_t fill;
	char line[256];
};

static struct wan {
	int tun[2];
	int epoll, timer, listener, signals;
	bool quit;
	const char *control_path;
	uint64_t start_ns;
	uint64_t seq; /* makes heap keys unique, so that equal times keep their order */
	size_t bytes_held;
	struct tt_heap heap;
	struct tt_heap_item *slots[MAX_PACKETS];
	struct direction dir[2];
	struct client client[MAX_CLIENTS];
} wan = {.tun = {-1, -1}, .listener = -1};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * TT_NS_PER_SEC + (uint64_t)ts.tv_nsec - wan.start_ns;
}

/* --- packets in flight --- */

/* Nanoseconds since the start above, a running number below: 2^52 ns are 52 days. */
static void schedule(struct packet *p, uint64_t due_ns)
{
	tt_heap_set(&wan.heap, &p->item, due_ns << 12 | (wan.seq++ & 0xfff));
}

static struct packet *packet_new(unsigned dir, const void *data, uint32_t len)
{
	struct packet *p = NULL;

	if (wan.heap.count < MAX_PACKETS && wan.bytes_held + len <= MAX_BYTES)
		p = malloc(sizeof(*p) + len);
	if (!p) {
		wan.dir[dir].n.no_memory++;
		return NULL;
	}
	memset(p, 0, sizeof(*p));
	p->dir = (uint8_t)dir;
	p->len = len;
	memcpy(p->data, data, len);
	wan.bytes_held += len;
	return p;
}

static void packet_free(struct packet *p)
{
	wan.bytes_held -= p->len;
	free(p);
}

/* One draw decides one question; every packet draws the same number of times, so that changing
 * one setting leaves the fate of the others as it was. */
static bool chance(struct direction *d, uint32_t ppm)
{
	return tt_rng_below(&d->rng, 1000000) < ppm;
}

static void fly(struct packet *p, uint64_t leave_ns)
{
	struct direction *d = &wan.dir[p->dir];
	uint64_t due = leave_ns + p->extra_ns;

	p->queueing = false;
	if (!p->reorder) {
		due = TT_MAX(due, d->last_due_ns);
		d->last_due_ns = due;
	}
	schedule(p, due);
}

/* Behind the rate limiter, or straight onto the wire where there is none. */
static void enqueue(struct packet *p, uint64_t now)
{
	struct direction *d = &wan.dir[p->dir];

	if (!d->imp.rate_bps) {
		fly(p, now);
		return;
	}
	if (d->queued >= d->imp.queue_packets) {
		d->n.queue_full++;
		packet_free(p);
		return;
	}
	uint64_t took = (uint64_t)p->len * 8 * TT_NS_PER_SEC / d->imp.rate_bps;
	d->link_free_ns = TT_MAX(d->link_free_ns, now) + took;
	d->queued++;
	p->queueing = true;
	schedule(p, d->link_free_ns);
}

static void deliver(struct packet *p)
{
	struct direction *d = &wan.dir[p->dir];
	int out = wan.tun[p->dir == LR ? RL : LR];

	if (write(out, p->data, p->len) == (ssize_t)p->len) {
		d->n.out++;
		d->n.bytes_out += p->len;
	} else {
		d->n.write_failed++;
	}
	packet_free(p);
}

static void run_due(uint64_t now)
{
	struct tt_heap_item *item;

	while ((item = tt_heap_min(&wan.heap)) && item->key >> 12 <= now) {
		struct packet *p = TT_CONTAINER_OF(item, struct packet, item);

		tt_heap_remove(&wan.heap, item);
		if (p->queueing) {
			wan.dir[p->dir].queued--;
			fly(p, item->key >> 12);
		} else {
			deliver(p);
		}
	}
}

static void arm_timer(void)
{
	const struct tt_heap_item *item = tt_heap_min(&wan.heap);
	struct itimerspec its = {0};

	if (item) {
		uint64_t at = (item->key >> 12) + wan.start_ns;
		its.it_value.tv_sec = (time_t)(at / TT_NS_PER_SEC);
		its.it_value.tv_nsec = (long)(at % TT_NS_PER_SEC);
	}
	timerfd_settime(wan.timer, TFD_TIMER_ABSTIME, &its, NULL);
}

/* --- what happens to a packet --- */

static void answer_too_big(unsigned dir, const uint8_t *ip, size_t len)
{
	struct direction *d = &wan.dir[dir];
	uint8_t out[1280];
	size_t n;

	d->n.too_big++;
	if (d->imp.drop_icmp || wan_ip_is_icmp_error(ip, len))
		return;
	n = wan_ip_is4(ip, len) ? wan_ip4_too_big(out, ip, len, d->imp.mtu)
				: wan_ip6_too_big(out, ip, len, d->imp.mtu);
	if (write(wan.tun[dir], out, n) == (ssize_t)n)
		d->n.too_big_sent++;
}

static void impair(unsigned dir, const uint8_t *data, uint32_t len, uint64_t now);

/* What a router does to a larger IPv4 packet without DF. Options stay in every fragment. */
static void fragment4(unsigned dir, const uint8_t *ip, uint32_t len, uint64_t now)
{
	static uint8_t out[MAX_PACKET];
	uint32_t hl = (uint32_t)wan_ip4_header_len(ip);
	uint32_t step = (wan.dir[dir].imp.mtu - hl) & ~7u;
	uint16_t first = tt_load_be16(ip + 6);

	wan.dir[dir].n.fragmented++;
	for (uint32_t off = 0; off < len - hl; off += step) {
		uint32_t part = TT_MIN(step, len - hl - off);
		bool more = off + part < len - hl || (first & 0x2000);

		memcpy(out, ip, hl);
		memcpy(out + hl, ip + hl + off, part);
		tt_store_be16(out + 2, (uint16_t)(hl + part));
		tt_store_be16(out + 6,
			      (uint16_t)(((first & 0x1fff) + off / 8) | (more ? 0x2000 : 0)));
		tt_store_be16(out + 10, 0);
		tt_store_be16(out + 10, wan_ip_fold(wan_ip_sum(out, hl, 0)));
		impair(dir, out, hl + part, now);
	}
}

static void impair(unsigned dir, const uint8_t *data, uint32_t len, uint64_t now)
{
	struct direction *d = &wan.dir[dir];
	bool lost = chance(d, d->imp.loss_ppm);
	bool dup = chance(d, d->imp.dup_ppm);
	bool reorder = chance(d, d->imp.reorder_ppm);
	uint64_t jitter = d->imp.jitter_ns * tt_rng_below(&d->rng, 1000001) / 1000000;

	if (lost) {
		d->n.lost++;
		return;
	}
	d->n.duplicated += dup;
	d->n.reordered += reorder;
	for (int copies = dup ? 2 : 1; copies; copies--) {
		struct packet *p = packet_new(dir, data, len);

		if (!p)
			return;
		p->reorder = reorder;
		p->extra_ns = d->imp.delay_ns + jitter + (reorder ? d->imp.reorder_ns : 0);
		enqueue(p, now);
	}
}

static void receive(unsigned dir, const uint8_t *data, uint32_t len, uint64_t now)
{
	struct direction *d = &wan.dir[dir];

	d->n.in++;
	d->n.bytes_in += len;
	if (d->imp.blackhole) {
		d->n.blackholed++;
	} else if (d->imp.drop_icmp && wan_ip_is_icmp_error(data, len)) {
		d->n.icmp_dropped++;
	} else if (len > d->imp.mtu) {
		if (wan_ip_is4(data, len) && !(data[6] & 0x40))
			fragment4(dir, data, len, now);
		else
			answer_too_big(dir, data, len);
	} else {
		impair(dir, data, len, now);
	}
}

static void read_tun(unsigned dir)
{
	static uint8_t buf[MAX_PACKET];
	uint64_t now = now_ns();

	for (int i = 0; i < READ_BATCH; i++) {
		ssize_t n = read(wan.tun[dir], buf, sizeof(buf));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			fprintf(stderr, "wan: a TUN device went away: %s\n", strerror(errno));
			wan.quit = true;
			return;
		}
		receive(dir, buf, (uint32_t)n, now);
	}
}

/* --- settings --- */

/* NULL, or what is wrong. */
static const char *apply(const char *name, const char *value)
{
	bool left = strncmp(value, "rl:", 3) != 0, right = strncmp(value, "lr:", 3) != 0;

	if (!left || !right)
		value += 3;
	return wan_setting_apply(left ? &wan.dir[LR].imp : NULL, right ? &wan.dir[RL].imp : NULL,
				 name, value);
}

/* --- control --- */

static size_t put(char *out, size_t size, size_t at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out + at, size - at, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= size - at ? size - 1 : at + (size_t)n;
}

static size_t stats_json(char *out, size_t size)
{
	size_t at = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct direction *d = &wan.dir[i];

		at = put(out, size, at, "%s\"%s\":{\"queued\":%u", i ? "," : "{", i ? "rl" : "lr",
			 d->queued);
#define X(name) at = put(out, size, at, ",\"" #name "\":%llu", (unsigned long long)d->n.name);
		COUNTERS(X)
#undef X
		at = put(out, size, at, "}");
	}
	return put(out, size, at, ",\"in_flight\":%u}\n", wan.heap.count);
}

static void print_stats(void)
{
	char buf[2048];

	stats_json(buf, sizeof(buf));
	fputs(buf, stdout);
	fflush(stdout);
}

static size_t run_line(char *line, char *out, size_t size)
{
	char *save = NULL;
	const char *verb = strtok_r(line, " \t\r", &save);
	const char *name = strtok_r(NULL, " \t\r", &save);
	const char *value = strtok_r(NULL, " \t\r", &save);
	const char *wrong = "say: set NAME VALUE | stats | quit";

	if (verb && !strcmp(verb, "stats") && !name)
		return stats_json(out, size);
	if (verb && !strcmp(verb, "quit") && !name) {
		wan.quit = true;
		wrong = NULL;
	} else if (verb && !strcmp(verb, "set") && value) {
		wrong = apply(name, value);
	}
	return wrong ? put(out, size, 0, "error: %s\n", wrong) : put(out, size, 0, "ok\n");
}

static void client_close(struct client *c)
{
	epoll_ctl(wan.epoll, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	c->fd = -1;
}

static void client_lines(struct client *c)
{
	char out[2048], *end;

	while ((end = memchr(c->line, '\n', c->fill))) {
		*end = 0;
		size_t used = (size_t)(end - c->line) + 1;
		size_t n = run_line(c->line, out, sizeof(out));
		/* A client that does not read its answers loses them. */
		(void)!write(c->fd, out, n);
		memmove(c->line, c->line + used, c->fill - used);
		c->fill -= used;
	}
}

static void client_read(struct client *c)
{
	ssize_t n = read(c->fd, c->line + c->fill, sizeof(c->line) - c->fill);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		c->fill += (size_t)n;
		client_lines(c);
	}
	if (n <= 0 || c->fill == sizeof(c->line))
		client_close(c);
}

/* --- start-up --- */

static void watch(int fd, uint32_t id)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = id};

	if (epoll_ctl(wan.epoll, EPOLL_CTL_ADD, fd, &ev))
		wan_die("epoll_ctl");
}

static void client_add(int fd)
{
	for (uint32_t i = 0; fd >= 0 && i < MAX_CLIENTS; i++) {
		if (wan.client[i].fd >= 0)
			continue;
		wan.client[i] = (struct client){.fd = fd};
		watch(fd, 16 + i);
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void open_control(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (strlen(wan.control_path) >= sizeof(sa.sun_path))
		wan_usage_error("control path too long:", wan.control_path);
	strcpy(sa.sun_path, wan.control_path);
	unlink(sa.sun_path);
	wan.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (wan.listener < 0 || bind(wan.listener, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(wan.listener, MAX_CLIENTS))
		wan_die(wan.control_path);
	watch(wan.listener, 3);
}

static void usage(FILE *out)
{
	fputs("usage: wan --left NETNS:IFNAME:ADDR/LEN[,ADDR/LEN] --right "
	      "NETNS:IFNAME:ADDR/LEN[,...]\n"
	      "  --seed N            same seed and packets, same fate (1)\n"
	      "  --delay-ms N        one-way delay\n"
	      "  --jitter-ms N       up to N ms more, order kept\n"
	      "  --loss PERCENT      --dup PERCENT      --reorder PERCENT\n"
	      "  --reorder-ms N      extra delay of a reordered packet (10)\n"
	      "  --rate-mbit N       0: unlimited       --queue-packets N  (256)\n"
	      "  --mtu N             larger: fragmented or answered with packet-too-big (65535)\n"
	      "  --drop-icmp         no ICMP errors, neither own nor forwarded\n"
	      "  --one-way           nothing from right to left\n"
	      "  --blackhole on|off\n"
	      "  --control PATH      Unix socket: set NAME VALUE | stats | quit\n"
	      "A value of lr:N or rl:N sets one direction. SIGUSR1 prints the counters as JSON.\n",
	      out);
}

static void defaults(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct wan_impairment *imp = &wan.dir[i].imp;

		imp->reorder_ns = 10 * TT_NS_PER_MS;
		imp->queue_packets = 256;
		imp->mtu = 65535;
	}
	for (size_t i = 0; i < MAX_CLIENTS; i++)
		wan.client[i].fd = -1;
	tt_heap_init(&wan.heap, wan.slots, MAX_PACKETS);
}

static void seed(const char *text)
{
	double v;

	if (!wan_parse_number(text, 9e15, &v))
		wan_usage_error("bad seed", text);
	for (unsigned i = 0; i < 2; i++)
		wan.dir[i].rng = tt_rng_seeded_init(&wan.dir[i].rng_state, (uint64_t)v * 2 + i);
}

static void parse_options(int argc, char **argv, char *side[2])
{
	enum {
		OPT_LEFT = 256,
		OPT_RIGHT,
		OPT_SEED,
		OPT_ONE_WAY,
		OPT_CONTROL,
		OPT_HELP,
		OPT_SETTING
	};
	struct option options[6 + TT_ARRAY_LEN(wan_settings) + 1] = {
		{"left", required_argument, NULL, OPT_LEFT},
		{"right", required_argument, NULL, OPT_RIGHT},
		{"seed", required_argument, NULL, OPT_SEED},
		{"one-way", no_argument, NULL, OPT_ONE_WAY},
		{"control", required_argument, NULL, OPT_CONTROL},
		{"help", no_argument, NULL, OPT_HELP},
	};
	int opt, which = 0;

	for (size_t i = 0; i < TT_ARRAY_LEN(wan_settings); i++) {
		bool plain = !strcmp(wan_settings[i].name, "drop-icmp");
		options[6 + i] =
			(struct option){wan_settings[i].name,
					plain ? no_argument : required_argument, NULL, OPT_SETTING};
	}
	while ((opt = getopt_long(argc, argv, "", options, &which)) != -1) {
		const char *wrong = NULL;

		switch (opt) {
		case OPT_LEFT:
			side[LR] = optarg;
			break;
		case OPT_RIGHT:
			side[RL] = optarg;
			break;
		case OPT_SEED:
			seed(optarg);
			break;
		case OPT_ONE_WAY:
			wan.dir[RL].imp.blackhole = true;
			break;
		case OPT_CONTROL:
			wan.control_path = optarg;
			break;
		case OPT_HELP:
			usage(stdout);
			exit(0);
		case OPT_SETTING:
			wrong = apply(options[which].name, optarg ? optarg : "on");
			break;
		default:
			usage(stderr);
			exit(64);
		}
		if (wrong)
			wan_usage_error(wrong, argv[optind - 1]);
	}
	if (!side[LR] || !side[RL] || optind != argc) {
		usage(stderr);
		exit(64);
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void start(char *side[2])
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		wan_die("/proc/self/ns/net");
	wan.epoll = epoll_create1(EPOLL_CLOEXEC);
	wan.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	wan.signals = open_signals();
	wan.start_ns = now_ns();
	for (uint32_t i = 0; i < 2; i++) {
		wan.tun[i] = wan_tun_open(side[i], home);
		watch(wan.tun[i], i);
	}
	watch(wan.timer, 2);
	watch(wan.signals, 4);
	if (wan.control_path)
		open_control();
	close(home);
}

static void read_signals(void)
{
	struct signalfd_siginfo info;

	while (read(wan.signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			print_stats();
		else
			wan.quit = true;
	}
}

static void handle(uint32_t id)
{
	uint64_t ticks;

	if (id < 2)
		read_tun(id);
	else if (id == 2)
		(void)!read(wan.timer, &ticks, sizeof(ticks));
	else if (id == 3)
		client_add(accept4(wan.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	else if (id == 4)
		read_signals();
	else if (wan.client[id - 16].fd >= 0)
		client_read(&wan.client[id - 16]);
}

int main(int argc, char **argv)
{
	char *side[2] = {NULL, NULL};
	struct epoll_event ev[16];

	defaults();
	seed("1");
	parse_options(argc, argv, side);
	start(side);
	puts("ready");
	fflush(stdout);
	while (!wan.quit) {
		int n = epoll_wait(wan.epoll, ev, TT_ARRAY_LEN(ev), -1);

		for (int i = 0; i < n; i++)
			handle(ev[i].data.u32);
		run_due(now_ns());
		arm_timer();
	}
	print_stats();
	if (wan.control_path)
		unlink(wan.control_path);
	return 0;
}
