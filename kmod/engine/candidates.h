/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Facts -> candidates: the few changes that could help, each with its new
 * value computed from the knob's present one, the ranges and steps of
 * include/llamux/actions.h, and its phrase in words.
 *
 * Pure and integer only. Invariants: at most LLAMUX_MAX_CANDIDATES; no two
 * alike; "no change" is there once and always the last; the others come in
 * the order in which the rules would try them, so that without a model the
 * first one is the suggestion. A candidate is built only for a knob whose
 * present value is known, always moves it, stays inside range and step, and
 * never tightens a protected group or touches Llamux's own.
 */
#ifndef LLX_CANDIDATES_H
#define LLX_CANDIDATES_H

#include "detect.h"
#include "port.h"

/* Two groups a fact: all of them get a letter, A to F. */
#define LLX_MAX_LETTERS (2 * LLAMUX_MAX_FACTS)

/*
 * Groups by letter: id[0] is group A. A letter stands for the group, or for
 * the branch of the cgroup tree it lives in where the knob to turn is higher
 * up (cpu.weight and io.weight only count among siblings).
 */
struct llx_letters {
	u32 n;
	u64 id[LLX_MAX_LETTERS];
};

/**
 * llx_letters_assign - give the groups of some facts their letters
 *
 * In order of first mention: fact by fact, the victim before the culprit.
 * Whoever has the facts (report, agent) gets the same letters.
 */
void llx_letters_assign(struct llx_letters *letters,
			const struct llamux_fact *facts, u32 n_facts);

/* 'A'..'F', or '?' if the group has none. */
char llx_letters_of(const struct llx_letters *letters, u64 cgroup_id);

/* The group of a letter; 0 if it stands for none. */
u64 llx_letters_group(const struct llx_letters *letters, char letter);

/**
 * llx_candidates_build - facts to candidates
 * @letters: of these facts
 * @candidates: out, (LLAMUX_MAX_CANDIDATES); score and probability are 0,
 *	unused entries zeroed
 *
 * Any context. Return: number of candidates, at least 1.
 */
u32 llx_candidates_build(const struct llamux_snapshot *snapshot,
			 const struct llamux_fact *facts, u32 n_facts,
			 const struct llx_letters *letters,
			 struct llamux_candidate *candidates);

#endif
