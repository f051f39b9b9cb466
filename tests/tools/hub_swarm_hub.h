/* SPDX-License-Identifier: MIT
 *
 * hub_swarm: the hub's process, and a database with all nodes in it. Each function ends the program
 * where it fails.
 */
#ifndef TT_TESTS_HUB_SWARM_HUB_H
#define TT_TESTS_HUB_SWARM_HUB_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hub/config.h"
#include "hub/db_impl.h"
#include "hub/file.h"
#include "plat/clock.h"
#include "hub_swarm.h"

static pid_t hub_run(const char *const argv[], const char *log)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		swarm_die("cannot fork");
	if (pid)
		return pid;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0)
		_exit(127);
	dup2(fd, 1);
	dup2(fd, 2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* --- nodes without enrolment ------------------------------------------------------------------ */

static bool insert_node(struct hub_db *db, const struct swarm_node *n, const struct hub_settings *s)
{
	char name[MESH_HUB_NAME_MAX + 1];
	uint8_t b[16];
	struct hub_query q = hub_query_begin(
		db, "INSERT INTO nodes (id, name, wg_public_key, role, groups, version, hostname,"
		    " enrolled_s, cert_serial, cert_until_s) VALUES (?, ?, ?, ?, '', '', '', 1, "
		    "x'01', ?)");

	snprintf(name, sizeof(name), "n%u", n->number);
	hub_query_int(&q, 1, n->number + 1);
	hub_query_text(&q, 2, name);
	hub_query_blob(&q, 3, n->wg_public_key, 32);
	hub_query_int(&q, 4, swarm_is_gateway(n) ? HUB_ROLE_GATEWAY : HUB_ROLE_CLIENT);
	hub_query_int(&q, 5, (uint64_t)time(NULL) + 86400);
	if (hub_query_do(&q) != HUB_DB_OK)
		return false;
	memcpy(b, s->pool4.ip.b, 4);
	tt_store_be32(b, tt_load_be32(b) + n->number + 1);
	q = hub_query_begin(db,
			    "INSERT INTO addresses (family, address, node_id) VALUES (?, ?, ?)");
	hub_query_int(&q, 1, TT_FAMILY_V4);
	hub_query_blob(&q, 2, b, 4);
	hub_query_int(&q, 3, n->number + 1);
	return hub_query_do(&q) == HUB_DB_OK;
}

static void insert_all(const struct hub_paths *p)
{
	struct hub_settings s;
	struct hub_db *db;

	if (hub_db_open(p->db, false, &db) != HUB_DB_OK ||
	    hub_db_settings_load(db, &s) != HUB_DB_OK || hub_db_write_begin(db) != HUB_DB_OK)
		swarm_die("cannot open the hub's database");
	bool ok = true;
	for (uint32_t i = 0; i < swarm.nodes && ok; i++)
		ok = insert_node(db, &swarm.node[i], &s);
	if (hub_db_write_end(db, ok ? HUB_DB_OK : HUB_DB_FAILED) != HUB_DB_OK)
		swarm_die("cannot write nodes to the hub's database");
	hub_db_close(db);
}

/* One key for all of them, and each its own certificate. */
static void certify_all(const struct hub_paths *p)
{
	struct tls_der ca, ca_key, key, csr, cert;
	struct tt_rng rng = plat_rng();

	if (hub_file_read_cert(p->ca_cert, &ca) != 0 ||
	    hub_file_read_key(p->ca_key, &ca_key) != 0 || tls_key_generate(&key) != 0 ||
	    tls_csr_create(&key, &csr) != 0)
		swarm_die("cannot read the hub's CA");
	for (uint32_t i = 0; i < swarm.nodes; i++) {
		struct swarm_node *n = &swarm.node[i];
		char name[MESH_HUB_NAME_MAX + 1];
		struct tls_cert_request r = {.role = TLS_CERT_NODE,
					     .name = name,
					     .wg_public_key = n->wg_public_key,
					     .csr = csr.bytes,
					     .csr_len = csr.len,
					     .not_before_s = (uint64_t)time(NULL) - 3600,
					     .not_after_s = (uint64_t)time(NULL) + 86400};
		struct tls_context_options o = {.cert = &cert, .key = &key, .ca = &ca};

		snprintf(name, sizeof(name), "n%u", n->number);
		tt_rng_fill(&rng, r.serial, sizeof(r.serial));
		if (tls_cert_issue(&ca, &ca_key, &r, &cert) != 0 ||
		    tls_context_create(&o, &n->tls) != 0)
			swarm_die("cannot make certificates");
	}
}

static void write_config(const struct hub_paths *p)
{
	FILE *f = fopen(p->config, "w");

	if (!f)
		swarm_die("cannot write the hub's configuration");
	fprintf(f,
		"[hub]\nlisten = [\"127.0.0.1:%u\"]\n[stun]\nudp_port = 0\n"
		"[relay]\nudp_port = 0\n",
		swarm.tcp_port);
	fclose(f);
}

static void swarm_hub_make(void)
{
	char name[32], log[HUB_PATH_MAX];
	const char *argv[] = {swarm.hub, "--dir", swarm.dir, "init", "--name", name, NULL};
	struct hub_paths p;
	struct tt_rng rng = plat_rng();
	int status;

	if (!hub_paths_make(swarm.dir, &p))
		swarm_die("the directory's name is too long");
	snprintf(name, sizeof(name), "127.0.0.1:%u", swarm.tcp_port);
	snprintf(log, sizeof(log), "%.400s/init.log", swarm.dir);
	if (waitpid(hub_run(argv, log), &status, 0) < 0 || status != 0)
		swarm_die("taltun-hub init failed; init.log says why");
	write_config(&p);
	for (uint32_t i = 0; i < swarm.nodes; i++)
		tt_rng_fill(&rng, swarm.node[i].wg_public_key, 32);
	insert_all(&p);
	certify_all(&p);
}

/* --- the process ------------------------------------------------------------------------------ */

static void swarm_hub_start(void)
{
	char log[HUB_PATH_MAX];
	const char *argv[] = {swarm.hub, "--dir", swarm.dir, "serve", NULL};

	snprintf(log, sizeof(log), "%.400s/hub.log", swarm.dir);
	swarm.pid = hub_run(argv, log);
}

/* True: it has ended, and was waited for. */
static bool swarm_hub_is_gone(void)
{
	if (swarm.pid && waitpid(swarm.pid, NULL, WNOHANG) == swarm.pid)
		swarm.pid = 0;
	return swarm.pid == 0;
}

/* A line "KEY: n kB" of its status, in bytes. The signer is another process. */
static uint64_t swarm_hub_memory(const char *key)
{
	char path[64], line[128];
	unsigned long long kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)swarm.pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtoull(line + strlen(key) + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Time on a CPU of all its threads. */
static uint64_t swarm_hub_cpu_ns(void)
{
	char path[320];
	unsigned long long ns, sum = 0;
	struct dirent *e;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)swarm.pid);
	DIR *d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.200s/schedstat", (int)swarm.pid,
			 e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (f && fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

#endif
