/* SPDX-License-Identifier: MIT
 *
 * Threads of the data path.
 */
#ifndef TT_PLAT_THREAD_H
#define TT_PLAT_THREAD_H

#include "base/types.h"

struct plat_thread {
	uintptr_t handle; /* private */
	void (*fn)(void *arg);
	void *arg;
	char name[16];
};

/* Starts fn(arg) with all signals blocked. *t stays in place until joined. 0 or -errno. */
int plat_thread_start(struct plat_thread *t, const char *name, void (*fn)(void *arg), void *arg);
void plat_thread_join(struct plat_thread *t);
/* CPU time that a started thread has used; 0 where that is not known. Any thread, before join. */
uint64_t plat_thread_cpu_ns(const struct plat_thread *t);
/* Lets others run; for the rare wait that has nothing to block on. */
void plat_thread_yield(void);
/* A millisecond: before a call is made again that failed, and may well fail again. */
void plat_thread_rest(void);
/* CPUs this process may use, at least 1. */
unsigned plat_thread_cpus(void);
/* Binds the calling thread to the n-th (modulo their number) of these CPUs. 0, -ENOTSUP, -errno. */
int plat_thread_pin(unsigned n);

static inline void plat_thread_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
