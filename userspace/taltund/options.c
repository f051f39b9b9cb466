/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPTION_SET = 256, OPTION_LOG_LEVEL, OPTION_LOG_FORMAT, OPTION_LOG_FILE };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"foreground", no_argument, NULL, 'f'},
	{"set", required_argument, NULL, OPTION_SET},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
	{"log-file", required_argument, NULL, OPTION_LOG_FILE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const format_names[] = {"logfmt", "json"};

void taltund_options_help(void)
{
	fputs("Usage: taltund --config FILE [OPTION]...\n"
	      "       taltund [OPTION]... IFNAME\n"
	      "\n"
	      "Runs a Taltun node. With a file (TOML, or a wg-quick .conf) the node is what the "
	      "file\n"
	      "says. With a name alone it creates the interface, opens the WireGuard socket and\n"
	      "waits to be configured, by wg(8) for one. Returns when the node serves.\n"
	      "\n"
	      "  -c, --config FILE        configuration file\n"
	      "  -f, --foreground         stay in the foreground, log to stderr\n"
	      "      --set SECTION.KEY=V  override one setting (repeatable)\n"
	      "      --log-level LEVEL    error, warn, info or debug\n"
	      "      --log-format FORMAT  logfmt or json\n"
	      "      --log-file FILE      append the log to FILE (in the background otherwise: "
	      "the\n"
	      "                           system's log, or /run/taltun/NAME.log)\n"
	      "  -h, --help               show this\n"
	      "  -V, --version            show the version\n"
	      "\n"
	      "Signals: SIGTERM and SIGINT stop, SIGHUP reloads the file.\n"
	      "\n"
	      "Environment:\n"
	      "  TALTUN_SECTION_KEY       override one setting (a --set flag wins); with IFNAME\n"
	      "                           mode, interfaces, queues, umem_mb and unknown_index of\n"
	      "                           [datapath] count\n"
	      "  LOG_LEVEL                verbose, error or silent (with IFNAME)\n"
	      "  WG_PROCESS_FOREGROUND=1  as --foreground\n"
	      "  TALTUN_RUN_DIR, TALTUN_WG_DIR, TALTUN_STATE_DIR\n"
	      "                           instead of /run/taltun, /var/run/wireguard, "
	      "/var/lib/taltun\n"
	      "\n"
	      "Exit status:\n"
	      "  0   the node serves (background), or it was asked to stop (foreground)\n"
	      "  1   it could not start, or failed\n"
	      "  2   wrong usage\n"
	      "  78  the configuration is invalid\n",
	      stdout);
}

static int usage_hint(void)
{
	fputs("Try 'taltund --help'.\n", stderr);
	return TALTUND_EXIT_USAGE;
}

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "taltund: %s%s%s\n", what, value ? ": " : "", value ? value : "");
	return usage_hint();
}

/* Index of the word, or -1. */
static int find_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(words[i], word))
			return (int)i;
	return -1;
}

/* As other userspace implementations of WireGuard read it. */
static void options_from_environment(struct taltund_options *o)
{
	const char *level = getenv("LOG_LEVEL"), *fg = getenv("WG_PROCESS_FOREGROUND");

	if (fg && !strcmp(fg, "1"))
		o->foreground = true;
	if (!level)
		return;
	if (!strcmp(level, "verbose") || !strcmp(level, "debug"))
		o->log_level = TT_LOG_DEBUG;
	else if (!strcmp(level, "error"))
		o->log_level = TT_LOG_ERROR;
	else if (!strcmp(level, "silent"))
		o->silent = true;
}

static int add_set(struct taltund_options *o, const char *text)
{
	if (o->set_count == TALTUND_SET_MAX)
		return usage_error("too many --set flags", NULL);
	o->set[o->set_count++] = text;
	return 0;
}

/* A flag is a setting too, so that it wins over file and environment after a reload as well. */
static int add_log_setting(struct taltund_options *o, const char *key, const char *value)
{
	char *text = NULL;

	if (asprintf(&text, "log.%s=%s", key, value) < 0)
		return usage_error("no memory", NULL);
	return add_set(o, text);
}

static int option_log_level(struct taltund_options *o, const char *value)
{
	int i = find_word(level_names, TT_ARRAY_LEN(level_names), value);

	if (i < 0)
		return usage_error("--log-level is error, warn, info or debug, not", value);
	o->log_level = (enum tt_log_level)i;
	o->silent = false;
	return add_log_setting(o, "level", value);
}

static int option_log_format(struct taltund_options *o, const char *value)
{
	int i = find_word(format_names, TT_ARRAY_LEN(format_names), value);

	if (i < 0)
		return usage_error("--log-format is logfmt or json, not", value);
	o->log_format = (enum tt_log_format)i;
	return add_log_setting(o, "format", value);
}

static int option_take(struct taltund_options *o, int c)
{
	switch (c) {
	case 'c':
		o->config = optarg;
		return 0;
	case 'f':
		o->foreground = true;
		return 0;
	case OPTION_SET:
		return strchr(optarg, '=')
			       ? add_set(o, optarg)
			       : usage_error("--set takes section.key=value, not", optarg);
	case OPTION_LOG_LEVEL:
		return option_log_level(o, optarg);
	case OPTION_LOG_FORMAT:
		return option_log_format(o, optarg);
	case OPTION_LOG_FILE:
		o->log_file = optarg;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	default:
		/* getopt has told what it dislikes */
		return usage_hint();
	}
}

int taltund_options_parse(int argc, char **argv, struct taltund_options *out)
{
	int c, err;

	*out = (struct taltund_options){.log_level = TT_LOG_INFO, .log_format = TT_LOG_LOGFMT};
	options_from_environment(out);
	while ((c = getopt_long(argc, argv, "c:fhV", long_options, NULL)) != -1) {
		err = option_take(out, c);
		if (err)
			return err;
	}
	if (out->help || out->version)
		return 0;
	if (optind < argc && out->config)
		return usage_error("either --config FILE or IFNAME, not both", NULL);
	if (optind + 1 < argc)
		return usage_error("more than one IFNAME", argv[optind + 1]);
	if (optind < argc)
		out->name = argv[optind];
	else if (!out->config)
		return usage_error("--config FILE or IFNAME is missing", NULL);
	return 0;
}
