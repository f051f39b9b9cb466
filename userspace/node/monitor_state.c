/* SPDX-License-Identifier: MIT
 *
 * The files that outlive the daemon: state and map in STATE_DIR, and the certificate of [hub].
 * Written by a child, because a disk may hang; what is in them is the engine's business.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_CHUNK	65536
#define STATE_FINISH_MS 1000

static const char *const state_suffix[] = {".state", ".map"};

/* Folder and path of the file. -EPERM: there is none of this kind. */
static int state_path(const struct node_monitor *m, enum node_state_kind kind,
		      char dir[MONITOR_PATH_MAX], char path[MONITOR_PATH_MAX])
{
	const char *file;
	char *slash;

	if (kind != NODE_STATE_KIND_STATE && !node_monitor_hub_is_allowed(m))
		return -EPERM;
	if (kind != NODE_STATE_KIND_CERT) {
		snprintf(dir, MONITOR_PATH_MAX, "%s", m->state_dir);
		return node_monitor_path(path, m->state_dir, m->name, state_suffix[kind]);
	}
	file = node_monitor_certificate_file(m);
	snprintf(path, MONITOR_PATH_MAX, "%s", file);
	snprintf(dir, MONITOR_PATH_MAX, "%s", file);
	slash = strrchr(dir, '/');
	if (!slash)
		snprintf(dir, MONITOR_PATH_MAX, ".");
	else
		slash[slash == dir] = 0;
	return 0;
}

/* One certificate in PEM and nothing else, as far as that can be said without parsing. */
static bool looks_like_certificate(const char *text, size_t len)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
	static const char end[] = "-----END CERTIFICATE-----\n";
	const size_t first = sizeof(begin) - 1, last = sizeof(end) - 1;

	if (len < first + last || memcmp(text, begin, first) != 0 ||
	    memcmp(text + len - last, end, last) != 0)
		return false;
	for (size_t i = first; i < len - last; i++)
		if (text[i] != '\n' && (text[i] <= ' ' || text[i] == '-' || text[i] > '~'))
			return false;
	return true;
}

/* The engine could change the memory file while it is read: what is judged is what is written. */
static int state_copy(int from, int to, enum node_state_kind kind, uint32_t len)
{
	static char buf[STATE_CHUNK];

	for (uint32_t at = 0; at < len;) {
		ssize_t n = pread(from, buf, TT_MIN(sizeof(buf), (size_t)(len - at)), at);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		/* shorter than announced */
		if (n <= 0)
			return n < 0 ? -errno : -EINVAL;
		if (kind == NODE_STATE_KIND_CERT &&
		    ((uint32_t)n != len || !looks_like_certificate(buf, (size_t)n)))
			return -EINVAL;
		err = node_monitor_write(to, buf, (size_t)n);
		if (err)
			return err;
		at += (uint32_t)n;
	}
	return 0;
}

static int state_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	/* some file systems have no fsync for directories */
	err = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return err;
}

static int state_write_file(const struct node_monitor *m, enum node_state_kind kind, int from,
			    uint32_t len, char path[MONITOR_PATH_MAX])
{
	char dir[MONITOR_PATH_MAX], temp[MONITOR_PATH_MAX + 8];
	mode_t mode = kind == NODE_STATE_KIND_CERT ? 0644 : 0600;
	int to, err = state_path(m, kind, dir, path);

	/* the folder of a certificate is the administrator's */
	if (!err && kind != NODE_STATE_KIND_CERT)
		err = node_monitor_mkdir(dir, 0700);
	if (err)
		return err;
	snprintf(temp, sizeof(temp), "%s.new", path);
	to = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (to < 0)
		return -errno;
	/* whatever umask the daemon was started with */
	err = fchmod(to, mode) < 0 ? -errno : 0;
	if (!err)
		err = state_copy(from, to, kind, len);
	if (!err && fsync(to) < 0)
		err = -errno;
	if (close(to) < 0 && !err)
		err = -errno;
	if (!err && rename(temp, path) < 0)
		err = -errno;
	if (err)
		unlink(temp);
	return err ? err : state_sync_dir(dir);
}

static void state_work(struct node_monitor *m, const struct node_monitor_job *job,
		       enum node_state_kind kind, uint32_t len,
		       struct node_monitor_job_result *result)
{
	char path[MONITOR_PATH_MAX] = "";

	result->result = state_write_file(m, kind, job->fd, len, path);
	if (result->result)
		snprintf(result->error, sizeof(result->error), "cannot save %s: %s", path,
			 strerror(-result->result));
}

/* In the saver children. */
static void state_work_state(struct node_monitor *m, const struct node_monitor_job *job,
			     uint32_t len, struct node_monitor_job_result *result)
{
	state_work(m, job, NODE_STATE_KIND_STATE, len, result);
}

static void state_work_map(struct node_monitor *m, const struct node_monitor_job *job, uint32_t len,
			   struct node_monitor_job_result *result)
{
	state_work(m, job, NODE_STATE_KIND_MAP, len, result);
}

static void state_work_cert(struct node_monitor *m, const struct node_monitor_job *job,
			    uint32_t len, struct node_monitor_job_result *result)
{
	state_work(m, job, NODE_STATE_KIND_CERT, len, result);
}

static int state_start(struct node_monitor *m, enum node_state_kind kind, uint32_t id, int fd,
		       uint32_t len)
{
	static const node_monitor_work work[] = {state_work_state, state_work_map, state_work_cert};

	return node_monitor_job_start(m, &m->save[kind].job, "saver", work[kind], id, fd, len);
}

/* --- requests -----------------------------------------------------------------------------------
 */

void node_monitor_state_init(struct node_monitor *m)
{
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT; k++)
		m->save[k] =
			(struct node_monitor_save){.job = {.pipe = -1, .fd = -1}, .next_fd = -1};
}

/* Behind the save that runs. A map or certificate that waits already is out of date now. */
static int state_queue(struct node_monitor *m, const struct node_priv_request *req, int fd,
		       struct node_priv_reply *reply)
{
	struct node_monitor_save *s = &m->save[req->u.state.kind];

	if (s->next_fd >= 0 && req->u.state.kind == NODE_STATE_KIND_STATE) {
		close(fd);
		return node_monitor_fail(reply, -EBUSY, "the state is being saved already");
	}
	if (s->next_fd >= 0) {
		struct node_priv_reply replaced = {0};

		close(s->next_fd);
		s->next_fd = -1;
		node_monitor_reply(m, NODE_PRIV_STATE_SAVE, s->next_id, &replaced, NULL, 0, false);
	}
	s->next_fd = fd;
	s->next_id = req->id;
	s->next_len = req->u.state.len;
	return 0;
}

int node_monitor_state_save(struct node_monitor *m, const struct node_priv_request *req, int fd,
			    struct node_priv_reply *reply)
{
	enum node_state_kind kind = (enum node_state_kind)req->u.state.kind;
	char dir[MONITOR_PATH_MAX], path[MONITOR_PATH_MAX];
	struct stat st;
	int err;

	if (!m->name[0] || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return node_monitor_fail(reply, -EINVAL, "not a memory file");
	}
	err = state_path(m, kind, dir, path);
	if (err) {
		close(fd);
		return node_monitor_fail(reply, err, "there is no file to save to: %s",
					 strerror(-err));
	}
	if (node_monitor_job_runs(&m->save[kind].job))
		return state_queue(m, req, fd, reply);
	err = state_start(m, kind, req->id, fd, req->u.state.len);
	if (err)
		return node_monitor_fail(reply, err, "cannot start the saver: %s", strerror(-err));
	return 0;
}

/* The reply to the save, then the one that waited. */
void node_monitor_state_saved(struct node_monitor *m, enum node_state_kind kind)
{
	struct node_monitor_job_result result;
	struct node_priv_reply reply = {0};
	struct node_monitor_save *s = &m->save[kind];
	struct node_monitor_job *job = &s->job;
	uint32_t id = job->id;
	bool wanted = job->wanted;
	int err = 0;

	node_monitor_job_finish(m, job, &result);
	close(job->fd);
	job->fd = -1;
	if (result.result)
		node_monitor_fail(&reply, result.result, "%s", result.error);
	if (s->next_fd >= 0) {
		int fd = s->next_fd;

		s->next_fd = -1;
		err = state_start(m, kind, s->next_id, fd, s->next_len);
		if (err)
			tt_log(TT_LOG_WARN, "state.not_saved",
			       TT_F_STR("reason", "cannot start the saver"));
	}
	if (wanted && m->channel.fd >= 0)
		node_monitor_reply(m, NODE_PRIV_STATE_SAVE, id, &reply, NULL, 0, false);
	if (err && wanted && m->channel.fd >= 0 && !m->channel.blocked) {
		node_monitor_fail(&reply, err, "cannot start the saver: %s", strerror(-err));
		node_monitor_reply(m, NODE_PRIV_STATE_SAVE, s->next_id, &reply, NULL, 0, false);
	}
}

int node_monitor_state_load(struct node_monitor *m, const struct node_priv_request *req,
			    struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	char dir[MONITOR_PATH_MAX], path[MONITOR_PATH_MAX];
	struct stat st;
	int fd, err = -ENOENT;

	if (m->name[0])
		err = state_path(m, (enum node_state_kind)req->u.state.kind, dir, path);
	if (err)
		return node_monitor_fail(reply, err, "no such file");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return node_monitor_fail(reply, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return node_monitor_fail(reply, -EINVAL, "%s is no file", path);
	}
	fds[0] = fd;
	*nfds = 1;
	return 0;
}

/* --- ends ---------------------------------------------------------------------------------------
 */

void node_monitor_state_reaped(struct node_monitor *m, pid_t pid)
{
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT; k++)
		if (m->save[k].job.pid == pid)
			m->save[k].job.pid = 0;
}

void node_monitor_state_orphan(struct node_monitor *m)
{
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT; k++)
		m->save[k].job.wanted = false;
}

void node_monitor_state_drop_queued(struct node_monitor *m)
{
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT; k++) {
		if (m->save[k].next_fd >= 0)
			close(m->save[k].next_fd);
		m->save[k].next_fd = -1;
	}
}

void node_monitor_state_finish(struct node_monitor *m)
{
	for (unsigned k = 0; k < NODE_STATE_KIND_COUNT; k++) {
		struct node_monitor_job *job = &m->save[k].job;

		for (int turn = 0; turn < 2 && node_monitor_job_runs(job); turn++) {
			struct pollfd p = {job->pipe, POLLIN, 0};

			job->wanted = false;
			if (poll(&p, 1, STATE_FINISH_MS) != 1)
				break;
			node_monitor_state_saved(m, (enum node_state_kind)k);
		}
		node_monitor_job_abandon(job);
	}
	node_monitor_state_drop_queued(m);
}
