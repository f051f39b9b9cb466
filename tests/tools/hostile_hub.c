/* SPDX-License-Identifier: MIT
 *
 * A hub that means ill: it has the certificate of a real one, and plays one script to every node
 * that connects. For tests of what a node makes of it.
 *
 *	hostile_hub [OPTION]... ADDRESS:PORT SCRIPT
 *	  --dir DIR                       {ca,server}.{crt,key} of the real hub
 *(/var/lib/taltun-hub)
 *	  --seconds N                     how long a flood takes, and how long it listens afterwards
 *(3)
 *	  --name NAME                     the certificate is for another name
 *	  --life FROM UNTIL               and valid from now + FROM to now + UNTIL seconds
 *	  --peer NAME ID KEY ADDRESS      an honest node; the first is what maps go on naming
 *
 * Prints `on NODE` when a node has said hello, `sent COUNT` when the script is through, `heard
 * MESSAGE` for each kind of message once, and `closed` where the node ended it.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/b64.h"
#include "hostile_hub_scripts.h"
#include "hub/file.h"

/* --- serving ---------------------------------------------------------------------------------- */

static void serve(const char *name, struct tls_context *context)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(name, "mute_tcp") == 0) {
		pause();
		return;
	}
	if (strcmp(name, "close_tcp") == 0 || tls_session_create(context, NULL, &tls) != 0)
		return;
	mesh_frame_reader_init(&reader, reader_buffer, sizeof(reader_buffer),
			       MESH_FRAME_CONTROL_MAX, MESH_FRAME_RELAY_MAX);
	while (!closed && tls_session_state(tls) == TLS_HANDSHAKE) {
		turn(1000);
		push_out();
	}
	if (tls_session_state(tls) != TLS_OPEN)
		die("tls", tls_failure_name(tls_session_failure(tls)));
	for (size_t i = 0; i < TT_ARRAY_LEN(scripts); i++)
		if (strcmp(name, scripts[i].name) == 0) {
			scripts[i].before();
			scripts[i].play();
		}
	printf("sent %llu\n", (unsigned long long)sent);
	listen_on(seconds * 1000);
}

static void make_context(const char *name, const long life[2], struct tls_context **out)
{
	char path[512];
	struct tls_der cert, key, csr;
	struct tls_cert_request r = {.role = TLS_CERT_HUB, .name = name};

	snprintf(path, sizeof(path), "%s/ca.crt", dir);
	hub_file_read_cert(path, &ca);
	snprintf(path, sizeof(path), "%s/ca.key", dir);
	hub_file_read_key(path, &ca_key);
	snprintf(path, sizeof(path), "%s/server.crt", dir);
	hub_file_read_cert(path, &cert);
	snprintf(path, sizeof(path), "%s/server.key", dir);
	if (hub_file_read_key(path, &key) != 0)
		die("read", path);
	if (name) {
		RAND_bytes(r.serial, sizeof(r.serial));
		tls_csr_create(&key, &csr);
		r.csr = csr.bytes;
		r.csr_len = csr.len;
		r.not_before_s = (uint64_t)(time(NULL) + life[0]);
		r.not_after_s = (uint64_t)(time(NULL) + life[1]);
		if (tls_cert_issue(&ca, &ca_key, &r, &cert) != 0)
			die("issue", name);
	}
	struct tls_context_options opt = {.server = true, .cert = &cert, .key = &key, .ca = &ca};
	if (tls_context_create(&opt, out) != 0)
		die("context", "");
}

static void add_honest(char **argv)
{
	struct honest *h = &honest[honest_count++ % HONEST_MAX];

	h->name = argv[0];
	h->id = (uint32_t)atoi(argv[1]);
	if (tt_key_from_b64(argv[2], strlen(argv[2]), h->key) != 0)
		die("key", argv[2]);
	h->address = prefix(argv[3]);
}

int main(int argc, char **argv)
{
	const char *name = NULL;
	long life[2] = {-3600, 86400};
	struct tls_context *context;
	struct tt_endpoint at;
	struct sockaddr_in ss = {.sin_family = AF_INET};
	int on = 1, i = 1;

	for (; i < argc - 2; i++) {
		if (strcmp(argv[i], "--dir") == 0) {
			dir = argv[++i];
		} else if (strcmp(argv[i], "--seconds") == 0) {
			seconds = (unsigned)atoi(argv[++i]);
		} else if (strcmp(argv[i], "--name") == 0) {
			name = argv[++i];
		} else if (strcmp(argv[i], "--life") == 0) {
			life[0] = atol(argv[++i]);
			life[1] = atol(argv[++i]);
		} else if (strcmp(argv[i], "--peer") == 0 && i + 4 < argc) {
			add_honest(argv + i + 1);
			i += 4;
		}
	}
	if (argc - i != 2 || tt_endpoint_parse(argv[i], &at) != 0 || at.ip.family != TT_FAMILY_V4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGCHLD, SIG_IGN);
	make_context(name, life, &context);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&ss.sin_addr, at.ip.b, 4);
	ss.sin_port = htons(at.udp_port);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&ss, sizeof(ss)) < 0 || listen(listener, 64) < 0)
		die("listen", strerror(errno));
	printf("ready\n");
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (fork() == 0) {
			close(listener);
			serve(argv[i + 1], context);
			_exit(0);
		}
		close(fd);
	}
	return 1;
}
