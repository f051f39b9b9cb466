/* SPDX-License-Identifier: MIT
 *
 * The privileged process: opens what needs rights, hands it to the engine over node/priv.h, and
 * starts the engine again when it crashes. One thread, one poll loop; the engine and the resolver
 * are forked before anything else exists in the process.
 *
 *	monitor (root) --- priv_fd, signal_fd ---> engine (own uid) <--- resolver_fd ---> resolver
 *	   |                                                                (own uid)
 *	   +--- short-lived children: loader (reads the configuration), saver (writes the state)
 */
#ifndef TT_NODE_MONITOR_H
#define TT_NODE_MONITOR_H

#include "node/engine.h"
#include "node/priv.h"

/* What the monitor tells whoever started the daemon, once, on ready_fd. */
struct node_monitor_report {
	int32_t status; /* 0: the node serves; otherwise the exit status */
	char text[NODE_PRIV_ERROR_MAX];
};

struct node_monitor_options {
	enum node_mode mode;
	const char *name;	 /* NODE_MODE_UAPI */
	const char *config_path; /* NODE_MODE_CONFIG; absolute */
	const char *const *env;	 /* "NAME=value", NULL at the end; for the configuration */
	const char *const *set;	 /* "section.key=value" */
	size_t set_count;
	/* NODE_MODE_UAPI: node_config_load_settings() of the two; NULL: the defaults. Borrowed. */
	const struct node_config *settings;
	int ready_fd; /* gets one struct node_monitor_report and is closed; -1: none */
	/* Directories; NULL: $TALTUN_RUN_DIR or /run/taltun, $TALTUN_WG_DIR or
	 * /var/run/wireguard, $TALTUN_STATE_DIR or /var/lib/taltun. */
	const char *run_dir, *wg_dir, *state_dir;
	/* node_engine_prepare and node_engine_run, or what a test puts in their place */
	int (*engine_prepare)(const struct node_engine_start *start);
	int (*engine_run)(const struct node_engine_start *start);
};

/*
 * Runs until the engine ends on purpose or a signal asks to stop; undoes what it did to the host.
 * Returns the exit status: 0, 1, or 78 (configuration). Call it in a process without threads.
 */
int node_monitor_run(const struct node_monitor_options *opt);

/* Whether the text can name an interface: 1 to 15 characters, none of "/:%", blanks, "." or "..".
 */
bool node_monitor_name_valid(const char *name);

#endif
