/* SPDX-License-Identifier: MIT
 *
 * The process's memory as the system sees it.
 */
#ifndef TT_PLAT_MEMORY_H
#define TT_PLAT_MEMORY_H

/* Gives pages of freed memory back, where the system's malloc can: tens of ms for a large heap. */
void plat_memory_trim(void);

#endif
