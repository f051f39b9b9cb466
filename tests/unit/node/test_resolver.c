/* SPDX-License-Identifier: MIT */
#include "node/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tt_test.h"

struct fixture {
	int fd;
	pid_t pid;
};

/* prepare runs in the process before it serves. */
static struct fixture start_with(void (*prepare)(void))
{
	struct fixture f;
	int p[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), 0);
	fflush(NULL);
	f.pid = fork();
	if (f.pid == 0) {
		close(p[0]);
		if (prepare)
			prepare();
		node_resolver_run(p[1]);
	}
	close(p[1]);
	f.fd = p[0];
	return f;
}

static struct fixture start(void)
{
	return start_with(NULL);
}

/* Exit status of the process once nobody asks any more, or -1. */
static int stop(struct fixture *f)
{
	int status = 0;

	close(f->fd);
	for (int i = 0; i < 500; i++) {
		if (waitpid(f->pid, &status, WNOHANG) == f->pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		poll(NULL, 0, 10);
	}
	kill(f->pid, SIGKILL);
	waitpid(f->pid, &status, 0);
	return -1;
}

static int ask(const struct fixture *f, uint32_t id, const char *host)
{
	struct node_resolver_query q = {.id = id, .udp_port = 51820};

	snprintf(q.host, sizeof(q.host), "%s", host);
	return node_resolver_ask(f->fd, &q);
}

static int answer(const struct fixture *f, int wait_ms, struct node_resolver_answer *a)
{
	struct pollfd p = {f->fd, POLLIN, 0};

	if (poll(&p, 1, wait_ms) != 1)
		return -ETIMEDOUT;
	return node_resolver_read(f->fd, a);
}

/* How it logs is not answered, and what comes after it is. */
static void log_is_told(void)
{
	struct node_resolver_answer a;
	struct fixture f = start();

	CU_ASSERT_EQUAL(node_resolver_tell_log(f.fd, TT_LOG_DEBUG, TT_LOG_JSON), 0);
	CU_ASSERT_EQUAL(ask(&f, 5, "192.0.2.7"), 0);
	CU_ASSERT_EQUAL(answer(&f, 5000, &a), 0);
	CU_ASSERT_EQUAL(a.id, 5);
	CU_ASSERT_EQUAL(stop(&f), 0);
	f = start();
	CU_ASSERT_EQUAL(node_resolver_tell_log(f.fd, TT_LOG_DEBUG + 1, 0), 0);
	CU_ASSERT_EQUAL(stop(&f), 1);
}

static void numeric_hosts(void)
{
	static const char *const hosts[] = {"192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"};
	static const char *const want[] = {"192.0.2.7:51820", "[2001:db8::7]:51820",
					   "192.0.2.7:51820"};
	struct fixture f = start();

	for (uint32_t i = 0; i < TT_ARRAY_LEN(hosts); i++) {
		struct node_resolver_answer a;
		char text[TT_ENDPOINT_TEXT_MAX];

		CU_ASSERT_EQUAL(ask(&f, i, hosts[i]), 0);
		CU_ASSERT_EQUAL_FATAL(answer(&f, 2000, &a), 0);
		CU_ASSERT_EQUAL(a.id, i);
		CU_ASSERT_EQUAL(a.result, 0);
		CU_ASSERT_EQUAL(a.count, 1);
		CU_ASSERT_STRING_EQUAL(tt_endpoint_format(&a.addr[0], text), want[i]);
	}
	CU_ASSERT_EQUAL(stop(&f), 0);
}

static void localhost(void)
{
	struct fixture f = start();
	struct node_resolver_answer a;

	CU_ASSERT_EQUAL(ask(&f, 1, "localhost"), 0);
	CU_ASSERT_EQUAL_FATAL(answer(&f, 15000, &a), 0);
	CU_ASSERT_EQUAL(a.result, 0);
	CU_ASSERT_TRUE(a.count >= 1 && a.count <= NODE_RESOLVER_ADDRS_MAX);
	for (uint32_t i = 0; i < a.count; i++)
		CU_ASSERT_EQUAL(a.addr[i].udp_port, 51820);
	CU_ASSERT_EQUAL(stop(&f), 0);
}

static void names_that_do_not_exist(void)
{
	char long_label[128], many_dots[200];
	const char *const hosts[] = {
		"", "no-such-host.invalid", long_label, many_dots, "a\x01\xff b", "-", "."};
	struct fixture f = start();

	memset(long_label, 'a', sizeof(long_label) - 1);
	long_label[sizeof(long_label) - 1] = 0;
	memset(many_dots, '.', sizeof(many_dots) - 1);
	many_dots[sizeof(many_dots) - 1] = 0;
	for (uint32_t i = 0; i < TT_ARRAY_LEN(hosts); i++)
		CU_ASSERT_EQUAL(ask(&f, i, hosts[i]), 0);
	/* the order is the name server's; without one, -EAGAIN is an answer as well */
	for (uint32_t i = 0; i < TT_ARRAY_LEN(hosts); i++) {
		struct node_resolver_answer a;

		CU_ASSERT_EQUAL_FATAL(answer(&f, 40000, &a), 0);
		CU_ASSERT_TRUE(a.id < TT_ARRAY_LEN(hosts));
		CU_ASSERT_TRUE(a.result == -ENOENT || a.result == -EAGAIN);
		CU_ASSERT_EQUAL(a.count, 0);
		CU_ASSERT_TRUE(a.error[0] != 0);
	}
	CU_ASSERT_EQUAL(stop(&f), 0);
}

/* Names may hang for as long as they like: asking never blocks, and numbers get through. */
static void asking_never_blocks(void)
{
	struct fixture f = start();
	struct node_resolver_answer a = {0};
	unsigned asked = 0;
	int err = 0;

	/* a resolver that does not run at all: who waits for it waits for ever */
	kill(f.pid, SIGSTOP);
	while (asked < 100000 && (err = ask(&f, asked, "10.0.0.1")) == 0)
		asked++;
	CU_ASSERT_EQUAL(err, -EAGAIN);
	CU_ASSERT_EQUAL(node_resolver_read(f.fd, &a), -EAGAIN);
	kill(f.pid, SIGCONT);
	for (unsigned i = 0; i < asked; i++)
		if (answer(&f, 5000, &a) != 0 || a.id != i) {
			CU_FAIL("an answer is missing");
			break;
		}
	CU_ASSERT_EQUAL(stop(&f), 0);
}

static void many_names_at_once(void)
{
	struct fixture f = start();
	unsigned got = 0;

	for (uint32_t i = 0; i < 64; i++)
		CU_ASSERT_EQUAL(ask(&f, i, "localhost"), 0);
	for (struct node_resolver_answer a; got < 64 && answer(&f, 15000, &a) == 0;)
		got += a.result == 0;
	CU_ASSERT_EQUAL(got, 64);
	CU_ASSERT_EQUAL(stop(&f), 0);
}

/* --- a name service of our own, seen by this process alone
 * ------------------------------------------- */

static void replace_file(const char *path, void (*write_text)(FILE *f))
{
	char temp[] = "/tmp/tt-resolver.XXXXXX";
	int fd = mkstemp(temp);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		_exit(98);
	write_text(f);
	fclose(f);
	if (mount(temp, path, NULL, MS_BIND, NULL) < 0)
		_exit(98);
	unlink(temp);
}

static void write_hosts(FILE *f)
{
	for (int i = 1; i <= 60; i++)
		fprintf(f, "192.0.2.%d many.test\n", i);
	for (int i = 1; i <= 3; i++)
		fprintf(f, "192.0.2.7 same.test\n");
}

static void write_resolv_conf(FILE *f)
{
	fputs("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n", f);
}

/* 127.0.0.1:53 takes queries and never answers. */
static void open_black_hole(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (ioctl(fd, SIOCSIFFLAGS, &lo) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		_exit(98);
}

static void own_name_service(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(98);
	open_black_hole();
	replace_file("/etc/hosts", write_hosts);
	replace_file("/etc/resolv.conf", write_resolv_conf);
}

static bool own_name_service_possible(void)
{
	if (geteuid() == 0 && access("/etc/resolv.conf", F_OK) == 0)
		return true;
	tt_test_skip(1, "needs root and /etc/resolv.conf");
	return false;
}

static void sixty_addresses_are_cut(void)
{
	struct node_resolver_answer a;

	if (!own_name_service_possible())
		return;
	struct fixture f = start_with(own_name_service);
	CU_ASSERT_EQUAL(ask(&f, 1, "many.test"), 0);
	CU_ASSERT_EQUAL_FATAL(answer(&f, 10000, &a), 0);
	CU_ASSERT_EQUAL(a.result, 0);
	CU_ASSERT_EQUAL(a.count, NODE_RESOLVER_ADDRS_MAX);
	CU_ASSERT_EQUAL(ask(&f, 2, "same.test"), 0);
	CU_ASSERT_EQUAL_FATAL(answer(&f, 10000, &a), 0);
	CU_ASSERT_EQUAL(a.count, 1);
	CU_ASSERT_EQUAL(stop(&f), 0);
}

static void hanging_name_server_stalls_names_only(void)
{
	struct node_resolver_answer a;
	char name[32];

	if (!own_name_service_possible())
		return;
	struct fixture f = start_with(own_name_service);
	for (uint32_t i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "hangs-%u.test", i);
		CU_ASSERT_EQUAL(ask(&f, i, name), 0);
	}
	/* numbers pass, and so does a name that the eighth look-up can find */
	CU_ASSERT_EQUAL(ask(&f, 100, "192.0.2.9"), 0);
	CU_ASSERT_EQUAL_FATAL(answer(&f, 1500, &a), 0);
	CU_ASSERT_EQUAL(a.id, 100);
	CU_ASSERT_EQUAL(ask(&f, 101, "same.test"), 0);
	CU_ASSERT_EQUAL_FATAL(answer(&f, 1500, &a), 0);
	CU_ASSERT_EQUAL(a.id, 101);
	for (uint32_t i = 0; i < 7; i++) {
		CU_ASSERT_EQUAL_FATAL(answer(&f, 20000, &a), 0);
		CU_ASSERT_EQUAL(a.result, -EAGAIN);
		CU_ASSERT_TRUE(a.id < 7);
	}
	/* and it ends at once with look-ups under way */
	CU_ASSERT_EQUAL(ask(&f, 8, "hangs-8.test"), 0);
	CU_ASSERT_EQUAL(stop(&f), 0);
}

static void malformed_query_ends_it(void)
{
	struct node_resolver_query no_end;
	struct fixture f = start();
	struct node_resolver_answer a;

	memset(&no_end, 'a', sizeof(no_end));
	CU_ASSERT_EQUAL(node_resolver_ask(f.fd, &no_end), 0);
	CU_ASSERT_EQUAL(answer(&f, 5000, &a), -EPIPE);
	CU_ASSERT_EQUAL(stop(&f), 1);
	f = start();
	CU_ASSERT_EQUAL(send(f.fd, "short", 5, 0), 5);
	CU_ASSERT_EQUAL(answer(&f, 5000, &a), -EPIPE);
	CU_ASSERT_EQUAL(stop(&f), 1);
}

TT_TESTS("resolver", {"numeric hosts", numeric_hosts}, {"the log is told", log_is_told},
	 {"localhost", localhost}, {"case 40: names that do not exist", names_that_do_not_exist},
	 {"case 40: asking never blocks", asking_never_blocks},
	 {"many names at once", many_names_at_once},
	 {"case 40: sixty addresses are cut", sixty_addresses_are_cut},
	 {"case 40: hanging name server stalls names only", hanging_name_server_stalls_names_only},
	 {"malformed query ends it", malformed_query_ends_it})
