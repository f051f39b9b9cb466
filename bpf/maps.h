/* SPDX-License-Identifier: MIT
 *
 * The maps. Those that the daemon writes one word at a time are memory that it maps (MMAPABLE), so
 * that publishing a session costs a store.
 */
#ifndef TT_STEER_MAPS_H
#define TT_STEER_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "shared.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, struct steer_config);
} steer_config SEC(".maps");

/* Slot -> the full receiver index; 0: nobody's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_SLOTS / 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, uint64_t);
} steer_index SEC(".maps");

/* One bit per udp_port, so that the rest of the host's UDP traffic leaves after one load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_UDP_PORT_WORDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, uint32_t);
	__type(value, uint64_t);
} steer_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_ADDRESSES);
	__type(key, struct steer_address);
	__type(value, uint8_t);
} steer_addrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_COUNTER_ROWS *STEER_REASON_COUNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} steer_counters SEC(".maps");

/* RX queue -> the worker's AF_XDP socket. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, uint32_t);
	__type(value, uint32_t);
} steer_xsks SEC(".maps");

#endif
