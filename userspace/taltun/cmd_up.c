/* SPDX-License-Identifier: MIT
 *
 * up and down: start and stop a daemon, and do around it what wg-quick files ask for.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/config_load.h"
#include "taltun/cli.h"
#include "taltun/hooks.h"

extern char **environ;

#define DOWN_WAIT_MS 5000

static bool is_name(const char *arg)
{
	return !strchr(arg, '/') && !strchr(arg, '.');
}

/* "wg0" means the file of that name where configurations live. Returns path or buf. */
static const char *find_file(const char *arg, char *buf, size_t cap)
{
	static const char *const where[][2] = {
		{"/etc/taltun/", ".toml"}, {"/etc/taltun/", ".conf"}, {"/etc/wireguard/", ".conf"}};

	if (!is_name(arg))
		return arg;
	for (size_t i = 0; i < TT_ARRAY_LEN(where); i++) {
		snprintf(buf, cap, "%s%s%s", where[i][0], arg, where[i][1]);
		if (access(buf, F_OK) == 0)
			return buf;
	}
	return arg;
}

static struct node_config *load(const char *path, int *status)
{
	struct node_config_source src = {.path = path, .env = (const char *const *)environ};
	struct node_config_error *err = calloc(1, sizeof(*err));
	struct node_config *cfg = NULL;

	if (err && node_config_load(&src, err, &cfg) != 0) {
		fprintf(stderr, "%s\n", err->text);
		*status = CLI_CONFIG;
	}
	free(err);
	return cfg;
}

/* taltund lies beside this program; otherwise the PATH has it. */
static void exec_taltund(const char *path)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 16);
	char *slash;

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		if (slash) {
			strcpy(slash + 1, "taltund");
			execl(self, "taltund", "--config", path, (char *)NULL);
		}
	}
	execlp("taltund", "taltund", "--config", path, (char *)NULL);
	cli_fail(CLI_FAILED, "cannot run taltund: %s", strerror(errno));
	_exit(CLI_FAILED);
}

static int start_daemon(const char *path)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		exec_taltund(path);
	if (pid < 0)
		return cli_fail(CLI_FAILED, "cannot fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
}

static void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

bool cli_is_up(const char *name)
{
	char **names;
	int n = cli_interfaces(&names);
	bool up = false;

	for (int i = 0; i < n; i++)
		up |= strcmp(names[i], name) == 0;
	cli_interfaces_free(names, n);
	return up;
}

static int stop_daemon(const char *name)
{
	int status;
	json_t *reply = cli_request(name, "stop", 5, &status);

	if (!reply)
		return status;
	json_decref(reply);
	for (int i = 0; i < DOWN_WAIT_MS / 20; i++) {
		if (!cli_is_up(name))
			return CLI_OK;
		sleep_ms(20);
	}
	return cli_fail(CLI_FAILED, "%s: the daemon was told to stop but is still there", name);
}

static int bring_up(const struct node_config *cfg, const char *path)
{
	int status;

	if (!hooks_possible(cfg))
		return CLI_FAILED;
	if (hooks_run(cfg, NODE_HOOK_PRE_UP) != 0)
		return CLI_FAILED;
	status = start_daemon(path);
	if (status)
		return status;
	if (hooks_dns_set(cfg) == 0 && hooks_run(cfg, NODE_HOOK_POST_UP) == 0)
		return CLI_OK;
	/* as wg-quick does: a half brought up interface is worse than none */
	hooks_dns_unset(cfg);
	stop_daemon(cfg->name);
	return CLI_FAILED;
}

int cli_up(const char *path)
{
	char real[PATH_MAX];
	int status = CLI_FAILED;

	if (!realpath(path, real))
		return cli_fail(CLI_CONFIG, "%s: %s", path, strerror(errno));
	struct node_config *cfg = load(real, &status);
	if (!cfg)
		return status;
	if (cli_is_up(cfg->name) && !cli_is_dead(cfg->name))
		status =
			cli_fail(CLI_FAILED, "%s is up already; `taltun reload %s` applies changes",
				 cfg->name, cfg->name);
	else
		status = bring_up(cfg, real);
	node_config_free(cfg);
	return status;
}

static int up(int argc, char **argv)
{
	char found[PATH_MAX];

	if (cli_check_arguments(argc, argv, 1, 1, "one configuration file or interface") != CLI_OK)
		return CLI_USAGE;
	const char *path = find_file(argv[1], found, sizeof(found));
	if (path == argv[1] && is_name(path) && access(path, F_OK) != 0)
		return cli_fail(CLI_CONFIG,
				"%s: there is no /etc/taltun/%s.toml, /etc/taltun/%s.conf or "
				"/etc/wireguard/%s.conf",
				path, path, path, path);
	return cli_up(path);
}

/*
 * The file an interface was brought up from, as the daemon says; NULL where it has none, or with
 * CLI_CONFIG in *status where it is no longer valid: then nobody knows what was to be done.
 */
static struct node_config *config_of(const char *name, char *path, size_t cap, int *status)
{
	json_t *reply = cli_request(name, "status", 5, status);
	const char *file =
		json_string_value(json_object_get(json_object_get(reply, "status"), "config_file"));
	struct node_config *cfg = NULL;

	*status = CLI_OK;
	if (file && *file) {
		snprintf(path, cap, "%s", file);
		cfg = load(path, status);
	}
	json_decref(reply);
	return cfg;
}

/* An error in the file must not keep the interface up, nor its name servers. */
static int down_blind(const char *name, const char *path)
{
	int status;

	fprintf(stderr, "taltun: %s goes down without the pre_down and post_down of %s\n", name,
		path);
	status = stop_daemon(name);
	if (status == CLI_OK)
		hooks_dns_forget(name);
	return status ? status : CLI_CONFIG;
}

static int down(int argc, char **argv)
{
	char name[64], path[PATH_MAX] = "";
	int status;

	if (cli_check_arguments(argc, argv, 1, 1,
				"one interface, or the file it was brought up from") != CLI_OK)
		return CLI_USAGE;
	cli_interface_of(argv[1], name, sizeof(name));
	status = CLI_OK;
	struct node_config *cfg =
		cli_is_up(name) ? config_of(name, path, sizeof(path), &status) : NULL;
	if (status == CLI_CONFIG)
		return down_blind(name, path);
	if (cfg && cfg->save_config && hooks_save(cfg, path) != 0)
		fprintf(stderr, "taltun: %s was not saved\n", path);
	if (cfg && hooks_run(cfg, NODE_HOOK_PRE_DOWN) != 0)
		fprintf(stderr, "taltun: going on all the same\n");
	status = stop_daemon(name);
	if (cfg && status == CLI_OK) {
		hooks_dns_unset(cfg);
		if (hooks_run(cfg, NODE_HOOK_POST_DOWN) != 0)
			status = CLI_FAILED;
	}
	node_config_free(cfg);
	return status;
}

const struct cli_command cli_commands_up[] = {
	{"up", "FILE|INTERFACE", "Bring an interface up from a TOML or wg-quick file.",
	 "FILE ends in .toml, or in .conf for a wg-quick file. A bare name is looked up as\n"
	 "/etc/taltun/NAME.toml, /etc/taltun/NAME.conf, /etc/wireguard/NAME.conf.\n"
	 "Returns when traffic can flow.",
	 up},
	{"down", "INTERFACE|FILE", "Take an interface down and put everything back.",
	 "Runs the file's pre_down commands, stops the daemon, which takes back addresses, routes\n"
	 "and rules, gives back the name servers and runs post_down. Waits 5 seconds at most.",
	 down},
	{NULL, NULL, NULL, NULL, NULL},
};
