/* SPDX-License-Identifier: MIT */
#include "wire/process.h"

#include "plat/usage.h"

static void known(struct tt_prom *p, const char *name, const char *help, uint64_t value)
{
	tt_prom_family(p, name, TT_PROM_GAUGE, help);
	if (value)
		tt_prom_u64(p, NULL, value);
}

void wire_process_metrics(struct tt_prom *p)
{
	struct plat_usage u;

	plat_usage_get(&u);
	tt_prom_family(p, "process_cpu_seconds_total", TT_PROM_COUNTER,
		       "Total user and system CPU time spent in seconds.");
	tt_prom_seconds(p, NULL, u.cpu_ns);
	known(p, "process_open_fds", "Number of open file descriptors.", u.open_fds);
	known(p, "process_max_fds", "Maximum number of open file descriptors.", u.max_fds);
	known(p, "process_virtual_memory_bytes", "Virtual memory size in bytes.", u.virtual_bytes);
	known(p, "process_resident_memory_bytes", "Resident memory size in bytes.",
	      u.resident_bytes);
	tt_prom_family(p, "process_start_time_seconds", TT_PROM_GAUGE,
		       "Start time of the process since unix epoch in seconds.");
	if (u.started_ms)
		tt_prom_decimal(p, NULL, (int64_t)u.started_ms, 3);
}
