/* SPDX-License-Identifier: MIT
 *
 * The engine process: keys, protocol, control thread, workers. Started by the monitor with its own
 * uid and no capability, with everything it needs in descriptors.
 */
#ifndef TT_NODE_ENGINE_H
#define TT_NODE_ENGINE_H

#include "base/types.h"
#include "node/config.h"
#include "plat/tun.h"

enum node_mode {
	NODE_MODE_CONFIG, /* taltund --config FILE: TOML or wg-quick file, through
			     NODE_PRIV_CONFIG_LOAD */
	NODE_MODE_UAPI,	  /* taltund IFNAME: waits to be configured by wg(8) */
};

struct node_engine_start {
	enum node_mode mode;
	char name[PLAT_IFNAME_MAX]; /* NODE_MODE_UAPI; empty otherwise (the configuration names it)
				     */
	int priv_fd;		    /* to the monitor (node/priv.h) */
	int resolver_fd;	    /* to the resolver (node/resolver.h) */
	int signal_fd;		    /* one byte per event from the monitor: enum node_signal */
	/*
	 * Memory file of NODE_MEMORY_BYTES that outlives the engine: what was configured through
	 * UAPI and what a restart needs. Held by the monitor, written by the engine.
	 */
	int memory_fd;
	const char *
		config_path; /* NODE_MODE_CONFIG; absolute. For people to read, never opened here */
	unsigned restarts;   /* 0: first start; otherwise the last engine crashed */
	bool unattended;     /* nobody waits for us who would run hooks and set name servers */
	/* NODE_MODE_UAPI: [datapath] by environment and flags; NULL: the defaults */
	const struct node_config *settings;
};

/* Bytes the monitor writes to signal_fd. */
enum node_signal {
	NODE_SIGNAL_STOP = 'T',		     /* SIGTERM, SIGINT: clean up and exit within 2 s */
	NODE_SIGNAL_RELOAD = 'H',	     /* SIGHUP */
	NODE_SIGNAL_PING = 'P',		     /* NODE_PRIV_ALIVE is the answer */
	NODE_SIGNAL_FIREWALL_RESTORED = 'F', /* the table was changed, and put back */
	NODE_SIGNAL_FIREWALL_GONE = 'G',     /* and could not be put back */
};

#define NODE_MEMORY_BYTES (64u << 20) /* sparse; only what is written takes memory */

/* Exit status of the engine towards the monitor. */
enum node_exit {
	NODE_EXIT_OK = 0,      /* asked to stop; do not restart */
	NODE_EXIT_FAILED = 1,  /* could not start: message was logged; restart only a node that has
				  served */
	NODE_EXIT_CONFIG = 78, /* configuration invalid (EX_CONFIG); do not restart */
	NODE_EXIT_DELETED = 3, /* the TUN was deleted: clean up and end */
};

/* Runs until told to stop; returns enum node_exit. Privileges are dropped before it is called;
 * memory is locked by the monitor's child code before that (node_engine_prepare). */
int node_engine_run(const struct node_engine_start *start);

/*
 * Called in the engine process while it still has CAP_IPC_LOCK: reserves and locks the memory for
 * secrets. 0 or -errno.
 */
int node_engine_prepare(const struct node_engine_start *start);

#endif
