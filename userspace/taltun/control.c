/* SPDX-License-Identifier: MIT
 *
 * The client side of the control socket.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "taltun/cli.h"

#define SUFFIX ".sock"

const char *cli_run_dir(void)
{
	const char *dir = getenv("TALTUN_RUN_DIR");

	return dir && *dir ? dir : "/run/taltun";
}

int cli_interfaces(char ***names)
{
	DIR *d = opendir(cli_run_dir());
	struct dirent *e;
	int n = 0;

	*names = NULL;
	if (!d && errno == EACCES)
		return -1;
	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name), tail = strlen(SUFFIX);
		if (len <= tail || strcmp(e->d_name + len - tail, SUFFIX) != 0)
			continue;
		char **grown = realloc(*names, (size_t)(n + 1) * sizeof(**names));
		if (!grown)
			break;
		*names = grown;
		grown[n] = strndup(e->d_name, len - tail);
		if (!grown[n])
			break;
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

void cli_interfaces_free(char **names, int count)
{
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

int cli_fail_run_dir(void)
{
	return cli_fail(CLI_FAILED, "%s: permission denied: run it as root", cli_run_dir());
}

/* "tt0, tt1" */
static void join(char **names, int n, char *buf, size_t cap)
{
	size_t len = 0;

	buf[0] = 0;
	for (int i = 0; i < n && len < cap; i++)
		len += (size_t)snprintf(buf + len, cap - len, "%s%s", i ? ", " : "", names[i]);
}

int cli_choose_interface(const char *command, const char *arg, char *buf, size_t cap)
{
	char **names, list[256];
	int n, status = CLI_OK;

	if (arg) {
		cli_interface_of(arg, buf, cap);
		return CLI_OK;
	}
	n = cli_interfaces(&names);
	join(names, n, list, sizeof(list));
	if (n == 1)
		snprintf(buf, cap, "%s", names[0]);
	else if (n > 1)
		status = cli_usage(command, "%d interfaces are up, name one: %s", n, list);
	else if (n < 0)
		status = cli_fail_run_dir();
	else
		status = cli_fail(CLI_NOT_RUNNING,
				  "no taltun interface is up; `taltun up` brings one up");
	cli_interfaces_free(names, n);
	return status;
}

const char *cli_interface_of(const char *arg, char *buf, size_t cap)
{
	const char *base = strrchr(arg, '/');
	const char *dot;

	base = base ? base + 1 : arg;
	dot = strrchr(base, '.');
	size_t len = dot && (strcmp(dot, ".conf") == 0 || strcmp(dot, ".toml") == 0)
			     ? (size_t)(dot - base)
			     : strlen(base);
	if (len >= cap)
		len = cap - 1;
	memcpy(buf, base, len);
	buf[len] = 0;
	return buf;
}

int cli_connect(const char *interface, int timeout_s)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = timeout_s};
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s" SUFFIX, cli_run_dir(),
			 interface);

	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

bool cli_is_dead(const char *interface)
{
	int fd = cli_connect(interface, 1);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* One line of any length; malloc'd, or NULL. */
static char *read_line(int fd)
{
	size_t len = 0, cap = 65536;
	char *buf = malloc(cap);

	while (buf) {
		ssize_t n = read(fd, buf + len, cap - len - 1);
		if (n <= 0)
			break;
		len += (size_t)n;
		buf[len] = 0;
		if (memchr(buf + len - (size_t)n, '\n', (size_t)n))
			return buf;
		if (cap - len < 4096) {
			char *grown = realloc(buf, cap *= 2);
			if (!grown)
				break;
			buf = grown;
		}
	}
	free(buf);
	return NULL;
}

static json_t *exchange(int fd, const char *op, const char *key, const char *value)
{
	char request[128];
	json_error_t error;
	int n = snprintf(request, sizeof(request), "{\"v\":1,\"op\":\"%s\"%s%s%s%s%s}\n", op,
			 key ? ",\"" : "", key ? key : "", key ? "\":\"" : "", key ? value : "",
			 key ? "\"" : "");

	if (n >= (int)sizeof(request) || send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		return NULL;
	char *line = read_line(fd);
	json_t *reply = line ? json_loads(line, JSON_DISABLE_EOF_CHECK, &error) : NULL;
	free(line);
	return reply;
}

/* Also of a daemon that is older than the kinds: then nothing is known about it. */
static int exit_status_of(const json_t *reply)
{
	const char *kind = json_string_value(json_object_get(reply, "kind"));

	return kind && strcmp(kind, "config") == 0 ? CLI_CONFIG : CLI_FAILED;
}

int cli_fail_connect(const char *interface, int err)
{
	if (err == -EACCES)
		return cli_fail(CLI_FAILED, "%s: permission denied: run it as root", interface);
	if (err == -ENOENT)
		return cli_fail(CLI_NOT_RUNNING, "%s is not up; `taltun up %s` brings it up",
				interface, interface);
	if (err == -ECONNREFUSED)
		return cli_fail(CLI_NOT_RUNNING,
				"%s: its taltund was killed; `taltun up %s` starts it again",
				interface, interface);
	return cli_fail(CLI_NOT_RUNNING, "%s: no taltund answers (%s)", interface, strerror(-err));
}

FILE *cli_listen(const char *interface, int *status)
{
	int fd = cli_connect(interface, 5);

	if (fd < 0) {
		*status = cli_fail_connect(interface, fd);
		return NULL;
	}
	/* by one buffer from the first line on: events may be right behind the answer */
	static const char request[] = "{\"v\":1,\"op\":\"events\"}\n";
	FILE *in = fdopen(fd, "r");
	char line[4096] = "";
	if (!in)
		close(fd);
	if (in && send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 &&
	    !fgets(line, sizeof(line), in))
		line[0] = 0;
	json_t *reply = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
	const char *error = json_string_value(json_object_get(reply, "error"));
	if (json_is_true(json_object_get(reply, "ok"))) {
		/* it may be long until something happens */
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0},
			   sizeof(struct timeval));
		json_decref(reply);
		return in;
	}
	*status = cli_fail(CLI_FAILED, "%s: %s", interface,
			   error ? error : "the daemon did not answer");
	json_decref(reply);
	if (in)
		fclose(in);
	return NULL;
}

json_t *cli_request(const char *interface, const char *op, int timeout_s, int *status)
{
	return cli_request_with(interface, op, NULL, NULL, timeout_s, status);
}

json_t *cli_request_with(const char *interface, const char *op, const char *key, const char *value,
			 int timeout_s, int *status)
{
	int fd = cli_connect(interface, timeout_s);

	if (fd < 0) {
		*status = cli_fail_connect(interface, fd);
		return NULL;
	}
	json_t *reply = exchange(fd, op, key, value);
	close(fd);
	if (!reply) {
		*status = cli_fail(CLI_FAILED, "%s: the daemon did not answer within %d s",
				   interface, timeout_s);
		return NULL;
	}
	if (!json_is_true(json_object_get(reply, "ok"))) {
		const char *error = json_string_value(json_object_get(reply, "error"));
		*status = cli_fail(exit_status_of(reply), "%s: %s", interface,
				   error ? error : "refused");
		json_decref(reply);
		return NULL;
	}
	*status = CLI_OK;
	return reply;
}
