/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bound BPF maps -> snapshot: arrow 2 of the way of the data.
 *
 * The maps belong to BPF and to whoever pinned them; this file only takes
 * references and reads. It holds no policy, and everything it reads, from
 * the maps and from struct llamux_signals alike, is untrusted: any value
 * gives a valid snapshot. The arithmetic is in engine/snapshot.c.
 */
#ifndef LLX_TELEMETRY_H
#define LLX_TELEMETRY_H

struct llamux_bind;
struct llamux_signals;
struct llamux_snapshot;

/*
 * One session's previous reading. Opaque; made and freed by the session that
 * owns it. Large (about 0.8 MiB, kvzalloc): make it at the first snapshot,
 * not at open. Not locked: the caller allows one snapshot per window at a
 * time.
 */
struct llx_telemetry_window;

/**
 * llx_telemetry_bind() - make two BPF maps the source of all snapshots
 * @bind: copied in already; llx_command_check() and capability passed: both
 *	maps or none
 *
 * Replaces the maps bound before. Both file descriptors -1: unbinds. On an
 * error the former binding stays. The references are kept until unbind, so
 * the maps may be unpinned and the file descriptors closed.
 *
 * Windows notice the change by themselves: their next snapshot is a first one
 * (LLAMUX_SNAPSHOT_FIRST).
 *
 * Context: process, in the task that owns the file descriptors; may sleep.
 * Return: 0; -EBADF if a descriptor is not open; -EINVAL if it is not a BPF
 * map, or a map's type, key size, value size or number of entries is not that
 * of include/llamux/telemetry.h.
 */
int llx_telemetry_bind(const struct llamux_bind *bind);

/**
 * llx_telemetry_unbind() - let go of the maps, if any are bound
 *
 * Context: process; may sleep. Also called at module exit, where it must come
 * after the last session is gone.
 */
void llx_telemetry_unbind(void);

/**
 * llx_telemetry_window_init() - make an empty window
 * @window: out: owned by the caller, to be freed with
 *	llx_telemetry_window_free(); not touched on error.
 *
 * Context: process; may sleep.
 * Return: 0 or -ENOMEM.
 */
int llx_telemetry_window_init(struct llx_telemetry_window **window);

/**
 * llx_telemetry_window_free() - undo llx_telemetry_window_init()
 * @window: may be NULL.
 *
 * Context: process; may sleep.
 */
void llx_telemetry_window_free(struct llx_telemetry_window *window);

/**
 * llx_telemetry_snapshot() - what happened since this window's last snapshot
 * @window: previous reading; replaced by the present one on success, untouched
 *	on error.
 * @signals: what the agent read from files, in kernel memory, or NULL. Checked
 *	here: size, reserved fields, flags, number of groups, duplicates.
 * @out: completely overwritten on success. About 40 KiB: never on the stack.
 *
 * Takes a fraction of a millisecond with a dozen groups, up to some 10 ms with
 * LLAMUX_MAX_CGROUPS of them on many CPUs. Never uses the FPU.
 *
 * Context: process; may sleep.
 * Return: 0; -EINVAL if @signals is malformed; -EINTR if a fatal signal is
 * pending.
 */
int llx_telemetry_snapshot(struct llx_telemetry_window *window,
			   const struct llamux_signals *signals,
			   struct llamux_snapshot *out);

#endif
