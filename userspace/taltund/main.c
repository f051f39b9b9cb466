/* SPDX-License-Identifier: MIT
 *
 * taltund: options, log, background; then the monitor takes over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "background.h"
#include "node/config_load.h"
#include "node/monitor.h"
#include "options.h"
#include "plat/logsink.h"
#include "plat/notify.h"
#include "plat/process.h"

extern char **environ;

static int fail(const char *what, int err)
{
	fprintf(stderr, "taltund: %s: %s\n", what, strerror(-err));
	return TALTUND_EXIT_FAILED;
}

/* Descriptors 0, 1 and 2 exist from here on, or the first ones we open would become them. */
static int open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Named after the interface, or the file that says what it is called; in memory, so it is small. */
static int open_small_log(const struct taltund_options *o, struct tt_log_sink *sink)
{
	const char *dir = getenv("TALTUN_RUN_DIR"), *name = o->name;
	const char *slash = o->config ? strrchr(o->config, '/') : NULL;
	char path[256];
	int fd;

	if (!dir || !dir[0])
		dir = "/run/taltun";
	if (!name)
		name = slash ? slash + 1 : o->config;
	int len = (int)strcspn(name, ".");
	if (snprintf(path, sizeof(path), "%s/%.*s.log", dir, len, name) >= (int)sizeof(path))
		return 0;
	mkdir(dir, 0755);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	sink->write = plat_logsink_small_write;
	return fd < 0 ? 0 : fd;
}

/* In the background and without a word about the log: the system's, or a file of our own. */
static int open_default_log(const struct taltund_options *o, struct tt_log_sink *sink)
{
	int fd = plat_logsink_syslog_open();

	if (fd < 0)
		fd = open_small_log(o, sink);
	else
		sink->write = plat_logsink_syslog_write;
	if (fd > 0)
		sink->copy = STDOUT_FILENO;
	return fd;
}

/* Descriptor the log goes to instead of stderr, or 0: none, or -errno. */
static int open_log(const struct taltund_options *o, struct tt_log_sink *sink)
{
	int fd = 0;

	if (o->silent)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	else if (o->log_file)
		fd = open(o->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	else if (!o->foreground)
		fd = open_default_log(o, sink);
	return fd < 0 ? -errno : fd;
}

/* The monitor and its loader may look the file up from elsewhere and much later. */
static char *absolute_path(const char *path)
{
	char *dir, *out = NULL;

	if (path[0] == '/')
		return strdup(path);
	dir = getcwd(NULL, 0);
	if (dir && asprintf(&out, "%s/%s", dir, path) < 0)
		out = NULL;
	free(dir);
	return out;
}

/* Of a node without a file: wrong ones are told before anything starts. */
static int load_settings(struct node_monitor_options *opt)
{
	static struct node_config_error error;
	struct node_config_source src = {
		.env = opt->env, .set = opt->set, .set_count = opt->set_count};
	static struct node_config *settings;

	if (node_config_load_settings(&src, &error, &settings) != 0) {
		fprintf(stderr, "taltund: %s\n", error.text);
		return TALTUND_EXIT_CONFIG;
	}
	opt->settings = settings; /* as long as the process lives */
	return TALTUND_EXIT_OK;
}

static int run(const struct taltund_options *o)
{
	struct node_monitor_options opt = {
		.mode = o->config ? NODE_MODE_CONFIG : NODE_MODE_UAPI,
		.name = o->name,
		.env = (const char *const *)environ,
		.set = o->set,
		.set_count = o->set_count,
		.ready_fd = -1,
		.engine_prepare = node_engine_prepare,
		.engine_run = node_engine_run,
	};
	char *path = NULL;
	struct tt_log_sink sink = {.copy = -1};
	int err = o->config ? 0 : load_settings(&opt), log_fd;

	if (err)
		return err;
	log_fd = open_log(o, &sink);
	if (log_fd < 0)
		return fail(o->log_file ? o->log_file : "/dev/null", log_fd);
	if (o->config) {
		path = absolute_path(o->config);
		if (!path)
			return fail(o->config, -ENOMEM);
		opt.config_path = path;
	}
	if (!o->foreground)
		err = taltund_background(&opt.ready_fd, log_fd > 0 ? sink.copy : STDERR_FILENO);
	if (err)
		return fail("cannot go into the background", err);
	/* descriptor 2 is the log in every process, for libraries that write there too */
	if (log_fd > 0) {
		dup2(log_fd, STDERR_FILENO);
		close(log_fd);
	}
	plat_process_never_wait_for(STDERR_FILENO);
	tt_log_set_sink(&sink);
	tt_log_set_priorities(plat_logsink_is_journal(STDERR_FILENO));
	umask(077);
	err = node_monitor_run(&opt);
	free(path);
	return err;
}

int main(int argc, char **argv)
{
	static struct taltund_options o;
	int err = open_standard_fds();

	if (err)
		return TALTUND_EXIT_FAILED;
	/* what the caller left open is none of ours, and would keep its readers waiting */
	plat_process_keep_fds(NULL, 0);
	err = taltund_options_parse(argc, argv, &o);
	if (err)
		return err;
	if (o.help) {
		taltund_options_help();
		return TALTUND_EXIT_OK;
	}
	if (o.version) {
		printf("taltund %s\n", TALTUN_VERSION);
		return TALTUND_EXIT_OK;
	}
	if (o.name && !node_monitor_name_valid(o.name)) {
		fprintf(stderr,
			"taltund: %s cannot name an interface: 1 to 15 characters, none of / : %% "
			"or blanks\n",
			o.name);
		return TALTUND_EXIT_USAGE;
	}
	tt_log_setup(o.log_level, o.log_format, STDERR_FILENO);
	/* in the background we are not the process that was started */
	plat_notify_begin(o.foreground);
	return run(&o);
}
