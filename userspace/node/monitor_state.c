/* SPDX-License-Identifier: MIT
 *
 * The state file STATE_DIR/IFNAME.state. Written by a child, because a disk may hang; what is in it
 * is the engine's business.
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

static int state_path(const struct node_monitor *m, char out[MONITOR_PATH_MAX], const char *suffix)
{
	return node_monitor_path(out, m->state_dir, m->name, suffix);
}

static int state_write(int to, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(to, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int state_copy(int from, int to, uint32_t len)
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
		err = state_write(to, buf, (size_t)n);
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

static int state_write_file(const struct node_monitor *m, int from, uint32_t len)
{
	char temp[MONITOR_PATH_MAX], path[MONITOR_PATH_MAX];
	int to, err = node_monitor_mkdir(m->state_dir, 0700);

	if (!err)
		err = state_path(m, temp, ".state.new");
	if (!err)
		err = state_path(m, path, ".state");
	if (err)
		return err;
	to = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	err = state_copy(from, to, len);
	if (!err && fsync(to) < 0)
		err = -errno;
	if (close(to) < 0 && !err)
		err = -errno;
	if (!err && rename(temp, path) < 0)
		err = -errno;
	if (err)
		unlink(temp);
	return err ? err : state_sync_dir(m->state_dir);
}

/* In the saver child. */
static void state_work(struct node_monitor *m, const struct node_monitor_job *job, uint32_t len,
		       struct node_monitor_job_result *result)
{
	result->result = state_write_file(m, job->fd, len);
	if (result->result)
		snprintf(result->error, sizeof(result->error), "cannot save %s/%s.state: %s",
			 m->state_dir, m->name, strerror(-result->result));
}

static int state_start(struct node_monitor *m, uint32_t id, int fd, uint32_t len)
{
	return node_monitor_job_start(m, &m->save, "saver", state_work, id, fd, len);
}

int node_monitor_state_save(struct node_monitor *m, const struct node_priv_request *req, int fd,
			    struct node_priv_reply *reply)
{
	struct stat st;
	int err;

	if (!m->name[0] || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return node_monitor_fail(reply, -EINVAL, "not a memory file");
	}
	if (node_monitor_job_runs(&m->save) && m->save_next.fd >= 0) {
		close(fd);
		return node_monitor_fail(reply, -EBUSY, "the state is being saved already");
	}
	if (node_monitor_job_runs(&m->save)) {
		m->save_next.fd = fd;
		m->save_next.id = req->id;
		m->save_next.len = req->u.state.len;
		return 0;
	}
	err = state_start(m, req->id, fd, req->u.state.len);
	if (err)
		return node_monitor_fail(reply, err, "cannot start the saver: %s", strerror(-err));
	return 0;
}

/* The reply to `id`, then the save that waited. */
void node_monitor_state_saved(struct node_monitor *m)
{
	struct node_monitor_job_result result;
	struct node_priv_reply reply = {0};
	struct node_monitor_job *job = &m->save;
	uint32_t id = job->id;
	bool wanted = job->wanted;

	node_monitor_job_finish(m, job, &result);
	close(job->fd);
	job->fd = -1;
	if (result.result)
		node_monitor_fail(&reply, result.result, "%s", result.error);
	if (m->save_next.fd >= 0) {
		int fd = m->save_next.fd;

		m->save_next.fd = -1;
		if (state_start(m, m->save_next.id, fd, m->save_next.len) < 0)
			tt_log(TT_LOG_WARN, "state.not_saved",
			       TT_F_STR("reason", "cannot start the saver"));
	}
	if (wanted && m->channel.fd >= 0)
		node_monitor_reply(m, NODE_PRIV_STATE_SAVE, id, &reply, NULL, 0, false);
}

int node_monitor_state_load(struct node_monitor *m, struct node_priv_reply *reply, int *fds,
			    unsigned *nfds)
{
	char path[MONITOR_PATH_MAX];
	struct stat st;
	int fd, err = m->name[0] ? state_path(m, path, ".state") : -ENOENT;

	if (err)
		return node_monitor_fail(reply, err, "no state");
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

void node_monitor_state_finish(struct node_monitor *m)
{
	for (int turn = 0; turn < 2 && node_monitor_job_runs(&m->save); turn++) {
		struct pollfd p = {m->save.pipe, POLLIN, 0};

		m->save.wanted = false;
		if (poll(&p, 1, STATE_FINISH_MS) != 1)
			break;
		node_monitor_state_saved(m);
	}
	node_monitor_job_abandon(&m->save);
	if (m->save_next.fd >= 0)
		close(m->save_next.fd);
	m->save_next.fd = -1;
}
