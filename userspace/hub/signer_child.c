/* SPDX-License-Identifier: MIT
 *
 * The process that has the CA's key.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "hub/file.h"
#include "hub/signer_impl.h"
#include "plat/clock.h"
#include "plat/process.h"
#include "plat/sandbox.h"

#define CLOCK_SLACK_S 600 /* not_before may be so far from now */
#define DEATHS_MAX    5	  /* of who signs, within */
#define DEATHS_S      60

bool hub_signer_allows(const struct hub_sign_request *req, uint64_t now_s)
{
	const uint64_t longest = HUB_SIGNER_DAYS_MAX * UINT64_C(86400) + CLOCK_SLACK_S;
	uint64_t from = req->not_before_s, to = req->not_after_s;

	if (memchr(req->name, 0, sizeof(req->name)) == NULL ||
	    !mesh_hub_name_is_valid(req->name, strlen(req->name)))
		return false;
	if (crypto_is_zero(req->wg_public_key, sizeof(req->wg_public_key)))
		return false;
	return from + CLOCK_SLACK_S >= now_s && from <= now_s + CLOCK_SLACK_S && to > now_s &&
	       to > from && to - from <= longest;
}

struct authority {
	struct tls_der cert, key;
};

static int read_authority(struct authority *a, const char *cert_path, const char *key_path)
{
	int err = hub_file_read_cert(cert_path, &a->cert);

	if (!err)
		err = hub_file_read_key(key_path, &a->key);
	if (!err && !tls_cert_has_key(&a->cert, &a->key)) {
		tt_log(TT_LOG_ERROR, "signer.wrong_key", TT_F_STR("file", key_path),
		       TT_F_STR("hint", "the CA's certificate is of another key"));
		err = -EINVAL;
	}
	return err;
}

static enum hub_sign_outcome serve(const struct authority *a, const struct hub_sign_request *req,
				   struct tls_der *cert)
{
	struct tls_cert_request r = {.role = TLS_CERT_NODE,
				     .name = req->name,
				     .wg_public_key = req->wg_public_key,
				     .csr = req->csr,
				     .csr_len = req->csr_len,
				     .not_before_s = req->not_before_s,
				     .not_after_s = req->not_after_s};

	if (req->csr_len > sizeof(req->csr) || tls_csr_check(req->csr, req->csr_len) != 0)
		return HUB_SIGN_BAD_REQUEST;
	if (!hub_signer_allows(req, plat_clock_wall().sec))
		return HUB_SIGN_POLICY;
	memcpy(r.serial, req->serial, sizeof(r.serial));
	int err = tls_cert_issue(&a->cert, &a->key, &r, cert);

	return err == 0 ? HUB_SIGN_OK : err == -EINVAL ? HUB_SIGN_BAD_REQUEST : HUB_SIGN_FAILED;
}

/* What keeper and worker share: the request that is being worked on. */
struct at_hand {
	_Atomic uint32_t busy;
	uint8_t serial[16];
};

static void work(int fd, const struct authority *a, struct at_hand *now)
{
	static struct hub_sign_request req;
	static struct hub_signer_answer ans;

	for (;;) {
		/* first noted, then taken: a death in between loses nothing */
		ssize_t n = recv(fd, &req, sizeof(req), MSG_PEEK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		memcpy(now->serial, req.serial, sizeof(now->serial));
		atomic_store(&now->busy, 1);
		if (recv(fd, &req, sizeof(req), MSG_DONTWAIT) != n)
			return;
		memset(&ans, 0, sizeof(ans));
		memcpy(ans.serial, req.serial, sizeof(ans.serial));
		ans.outcome = n == sizeof(req) ? serve(a, &req, &ans.cert) : HUB_SIGN_BAD_REQUEST;
		while (send(fd, &ans, sizeof(ans), MSG_NOSIGNAL) < 0)
			if (errno != EINTR)
				return;
		atomic_store(&now->busy, 0);
	}
}

/* True where another one is to go on: it died, rather than came to an end. */
static bool work_in_child(int fd, const struct authority *a, struct at_hand *now)
{
	pid_t keeper = getpid(), pid = fork();
	int status = 0;

	if (pid == 0) {
		plat_process_die_with_parent(keeper);
		work(fd, a, now);
		_exit(0);
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFSIGNALED(status);
}

static void answer_for_the_dead(int fd, struct at_hand *now)
{
	static struct hub_signer_answer ans;
	static struct hub_sign_request next;

	if (!atomic_exchange(&now->busy, 0))
		return;
	/* not taken yet: the next one does */
	if (recv(fd, &next, sizeof(next), MSG_PEEK | MSG_DONTWAIT) == sizeof(next) &&
	    memcmp(next.serial, now->serial, sizeof(next.serial)) == 0)
		return;
	memset(&ans, 0, sizeof(ans));
	ans.outcome = HUB_SIGN_FAILED;
	memcpy(ans.serial, now->serial, sizeof(ans.serial));
	while (send(fd, &ans, sizeof(ans), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void keep_working(int fd, const struct authority *a)
{
	struct at_hand *now =
		mmap(NULL, sizeof(*now), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t first_s = 0;
	unsigned deaths = 0;

	while (now != MAP_FAILED && work_in_child(fd, a, now)) {
		uint64_t s = plat_clock_wall().sec;

		if (s - first_s > DEATHS_S) {
			first_s = s;
			deaths = 0;
		}
		tt_log(TT_LOG_ERROR, "signer.died", TT_F_U64("times", deaths + 1));
		answer_for_the_dead(fd, now);
		if (++deaths == DEATHS_MAX)
			return;
	}
}

void hub_signer_child(int fd, const char *ca_cert_path, const char *ca_key_path, pid_t parent,
		      uid_t uid, gid_t gid)
{
	struct authority a = {0};
	uint8_t ready = 1;

	plat_process_die_with_parent(parent);
	plat_process_name("taltun-signer");
	/* what ends the hub comes to its whole group: the signer ends after it, with the descriptor
	 */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	plat_process_keep_fds(&fd, 1);
	tt_log_process("signer");
	if (read_authority(&a, ca_cert_path, ca_key_path) != 0)
		_exit(1);
	if (plat_sandbox_drop(uid, gid) != 0) {
		crypto_wipe(&a, sizeof(a));
		_exit(1);
	}
	plat_process_die_with_parent(parent);
	if (send(fd, &ready, 1, MSG_NOSIGNAL) == 1)
		keep_working(fd, &a);
	crypto_wipe(&a, sizeof(a));
	_exit(0);
}
