/* SPDX-License-Identifier: MIT
 *
 * check-config, import, reload.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "node/config_load.h"
#include "node/config_wgquick.h"
#include "taltun/cli.h"

extern char **environ;

static void print_warnings(const struct node_config_error *err)
{
	for (uint32_t i = 0; i < err->warning_count && i < NODE_CONFIG_WARNINGS_MAX; i++)
		fprintf(stderr, "warning: %s\n", err->warnings[i]);
	if (err->warning_count > NODE_CONFIG_WARNINGS_MAX)
		fprintf(stderr, "warning: and %u more\n",
			err->warning_count - NODE_CONFIG_WARNINGS_MAX);
}

/* NULL with the message printed and *status set. */
static struct node_config *load(const struct node_config_source *src, int *status)
{
	struct node_config_error *err = calloc(1, sizeof(*err));
	struct node_config *cfg = NULL;

	if (!err) {
		*status = cli_fail(CLI_FAILED, "out of memory");
		return NULL;
	}
	if (node_config_load(src, err, &cfg) != 0) {
		fprintf(stderr, "%s\n", err->text);
		*status = CLI_CONFIG;
	}
	print_warnings(err);
	free(err);
	return cfg;
}

#define SET_MAX 256 /* as many as taltund takes */

/* The flags --set of the command line, as taltund has them. */
static int take_sets(int *argc, char **argv, const char *sets[SET_MAX], size_t *count)
{
	int found;

	for (*count = 0; *count < SET_MAX; (*count)++) {
		found = cli_take_value(argc, argv, "--set", &sets[*count]);
		if (found == 0)
			return CLI_OK;
		if (found < 0 || !strchr(sets[*count], '='))
			return cli_fail(CLI_USAGE, "--set takes section.key=value");
	}
	return cli_fail(CLI_USAGE, "too many --set flags");
}

static int check_config(int argc, char **argv)
{
	const char *sets[SET_MAX];
	struct node_config_source src = {.env = (const char *const *)environ, .set = sets};
	bool dump = cli_take_flag(&argc, argv, "--dump");
	int status = take_sets(&argc, argv, sets, &src.set_count);

	if (status != CLI_OK)
		return status;
	if (cli_check_arguments(argc, argv, 1, 1, "one file") != CLI_OK)
		return CLI_USAGE;
	src.path = argv[1];
	struct node_config *cfg = load(&src, &status);
	if (!cfg)
		return status;
	if (dump)
		node_config_dump(cfg, stdout);
	else
		printf("%s: valid, interface %s, %u peer%s\n", argv[1], cfg->name, cfg->peers.count,
		       cfg->peers.count == 1 ? "" : "s");
	node_config_free(cfg);
	return CLI_OK;
}

static FILE *open_output(const char *path)
{
	/* keys go in: nobody else may read it, and an existing file is not overwritten */
	umask(077);
	return fopen(path, "wx");
}

static int import(int argc, char **argv)
{
	int status = CLI_OK;

	if (cli_check_arguments(argc, argv, 1, 2,
				"a wg-quick .conf and, if wanted, the file to write") != CLI_OK)
		return CLI_USAGE;
	struct node_config *cfg = load(&(struct node_config_source){.path = argv[1]}, &status);
	if (!cfg)
		return status;
	FILE *out = argc == 3 ? open_output(argv[2]) : stdout;
	if (!out) {
		status = cli_fail(CLI_FAILED, "cannot create %s: %s%s", argv[2], strerror(errno),
				  errno == EEXIST ? "; move it away, or choose another name" : "");
	} else {
		if (node_config_to_toml(cfg, out) != 0 || fflush(out) != 0)
			status = cli_fail(CLI_FAILED, "writing failed: is the disk full?");
		if (out != stdout)
			fclose(out);
	}
	node_config_free(cfg);
	return status;
}

static int reload(int argc, char **argv)
{
	int status = cli_check_arguments(argc, argv, 0, 1, "at most one interface");
	char name[64];

	if (status == CLI_OK)
		status = cli_choose_interface(argv[0], argv[1], name, sizeof(name));
	if (status != CLI_OK)
		return status;
	json_t *reply = cli_request(name, "reload", 30, &status);
	if (reply)
		printf("%s: reloaded\n", name);
	json_decref(reply);
	return status;
}

const struct cli_command cli_commands_config[] = {
	{"check-config", "FILE [--set SECTION.KEY=VALUE]... [--dump]",
	 "Check a configuration file without using it.",
	 "Reads what taltund would read: the file, then TALTUN_ variables, then --set. --dump\n"
	 "prints every setting that would be in force; keys are not shown.",
	 check_config},
	{"import", "FILE.conf [FILE.toml]", "Turn a wg-quick file into TOML.",
	 "Without a second file the result goes to standard output. The new file has mode 600;\n"
	 "an existing one is not overwritten.",
	 import},
	{"reload", "[INTERFACE]", "Apply the changed configuration file, keeping sessions.",
	 "A file with an error changes nothing: the message says where, and the running\n"
	 "configuration stays.",
	 reload},
	{NULL, NULL, NULL, NULL, NULL},
};
