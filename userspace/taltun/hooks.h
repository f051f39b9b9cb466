/* SPDX-License-Identifier: MIT
 *
 * What wg-quick does around an interface and the daemon does not: PreUp ... PostDown, DNS,
 * SaveConfig. Run by the command line as root, before it hands over and after it is back.
 */
#ifndef TT_TALTUN_HOOKS_H
#define TT_TALTUN_HOOKS_H

#include "node/config.h"

/* Runs the lines of one hook in order, %i replaced by the interface. 0, or the first failing
 * status. */
int hooks_run(const struct node_config *cfg, enum node_hook hook);

/* Whether what cfg asks for can be done here; otherwise prints which setting cannot, and how to. */
bool hooks_possible(const struct node_config *cfg);

int hooks_dns_set(const struct node_config *cfg); /* through resolvconf(8) */
int hooks_dns_unset(const struct node_config *cfg);
/* The same where it is not known whether there were any; nothing where resolvconf(8) is missing. */
void hooks_dns_forget(const char *name);

/* SaveConfig: writes what is in force now back to the file, atomically. 0 or -1, message printed.
 */
int hooks_save(const struct node_config *cfg, const char *path);

#endif
