/* SPDX-License-Identifier: MIT
 *
 * Network namespaces by the names that ip-netns(8) gives them.
 */
#ifndef TT_PLAT_NETNS_H
#define TT_PLAT_NETNS_H

/*
 * Moves the calling thread there; sockets it opens from now on belong to that namespace. 0,
 * -ENOENT: no namespace of that name; -EPERM; -ENOTSUP: this system has none.
 */
int plat_netns_enter(const char *name);

#endif
