/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Facts and candidates -> the text a model sees, in its own prompt format.
 *
 * Pure. Facts are told in words and levels, groups by letter. No number and no
 * name of the machine ever enters, so nothing a user can name or count steers
 * the model. A prompt is a list of segments: trusted text of ours, untrusted
 * text of a user, and control tokens, which only exist as such: they are looked
 * up by llx_tokenizer_control() and never come out of text.
 */
#ifndef LLX_PROMPT_H
#define LLX_PROMPT_H

#include "candidates.h"
#include "model.h"
#include "port.h"
#include "tokenizer.h"

/* Llama 3's advise prompt has 31. */
#define LLX_PROMPT_SEGMENTS 40u
/* Enough for every prompt but a chat's, which adds the user's own bytes. */
#define LLX_PROMPT_TEXT 6144u
/* Bytes of a question; more are refused. */
#define LLX_QUESTION_MAX 512u
/* Tokens of an advise prompt in the pilot's format. */
#define LLX_PILOT_PROMPT_TOKENS 250u

enum llx_segment_kind {
	LLX_SEGMENT_TEXT,    /* of ours */
	LLX_SEGMENT_USER,    /* untrusted */
	LLX_SEGMENT_CONTROL, /* the text names a control token: "</s>" */
};

/* @bytes of the prompt's text from @offset on. */
struct llx_segment {
	enum llx_segment_kind kind;
	u32 offset;
	u32 bytes;
};

/**
 * struct llx_prompt - a prompt being built
 * @text: the caller's buffer, (@size); always NUL ended; the segments' text
 *	one after another, so printing it shows what the model sees
 * @n_constant: segments at the start that are the same in every prompt of that
 *	kind and format; the last one is a control token
 * @error: 0, or -E2BIG once something did not fit; nothing is added after that
 */
struct llx_prompt {
	char *text;
	u32 size;
	u32 bytes;
	u32 n_segments;
	u32 n_constant;
	int error;
	struct llx_segment segments[LLX_PROMPT_SEGMENTS];
};

/* Start an empty prompt in (@size) bytes at @text, @size at least 1. */
void llx_prompt_init(struct llx_prompt *prompt, char *text, u32 size);

/**
 * llx_prompt_advise - the prompt whose continuation is a candidate's phrase
 * @snapshot: the facts were found in
 * @facts: (@n_facts), the worst first, at most LLAMUX_MAX_FACTS
 * @order: (@n_facts) indices of facts, as they are to be told; NULL: as they are
 *
 * Any context. Return: 0; -E2BIG the buffer is too small.
 */
int llx_prompt_advise(struct llx_prompt *prompt, enum llx_prompt_format format,
		      const struct llamux_snapshot *snapshot,
		      const struct llamux_fact *facts, u32 n_facts,
		      const u32 *order, const struct llx_letters *letters);

/* The same without any fact: what a phrase scores here is its own bias. */
int llx_prompt_neutral(struct llx_prompt *prompt,
		       enum llx_prompt_format format);

/**
 * llx_prompt_ask - a question about the machine
 * @chosen: the suggestion, or NULL; its phrase is the only thing used
 * @question: (@bytes), untrusted. Control characters become spaces, markers of
 *	turns are broken by a space ("<|" becomes "< |")
 *
 * See llx_prompt_advise() for the facts. The model answers in connecting words and
 * group letters; whoever shows the answer puts names and numbers in. Any context.
 * Return: 0; -EINVAL empty question; -E2BIG question longer than LLX_QUESTION_MAX,
 * or buffer too small.
 */
int llx_prompt_ask(struct llx_prompt *prompt, enum llx_prompt_format format,
		   const struct llamux_snapshot *snapshot,
		   const struct llamux_fact *facts, u32 n_facts,
		   const u32 *order, const struct llx_letters *letters,
		   const struct llamux_candidate *chosen,
		   const char *question, u32 bytes);

/**
 * llx_prompt_chat - the user's turn in the format's chat template
 * @text: (@bytes), untrusted; control characters but newline and tab become
 *	spaces, markers of turns are broken by a space ("<|" becomes "< |")
 *
 * The prompt's buffer should have 2 * @bytes + 256. Any context. Return: 0;
 * -EINVAL @bytes is 0; -E2BIG.
 */
int llx_prompt_chat(struct llx_prompt *prompt, enum llx_prompt_format format,
		    const char *text, u32 bytes);

/* The user's text and nothing else (LLAMUX_FORMAT_RAW). Errors as above. */
int llx_prompt_raw(struct llx_prompt *prompt, const char *text, u32 bytes);

/**
 * llx_prompt_encode - prompt to tokens, with bos if the vocabulary wants one
 * @tokens: out, (@max)
 * @n_constant: out, tokens of the prompt's constant segments; may be NULL
 *
 * May sleep. Return: 0; the prompt's own error; -E2BIG more than @max tokens;
 * -ENOENT the vocabulary lacks a control token of the format; -ENOMEM.
 */
int llx_prompt_encode(const struct llx_prompt *prompt,
		      const struct llx_tokenizer *tokenizer, s32 *tokens,
		      u32 max, u32 *n_tokens, u32 *n_constant);

/* The control token that ends a turn, or NULL. Any context. */
const char *llx_prompt_end_token(enum llx_prompt_format format);

/* A control token of the format that the vocabulary lacks, or NULL. */
const char *llx_prompt_missing_token(enum llx_prompt_format format,
				     const struct llx_tokenizer *tokenizer);

/*
 * Does an answer end before this token? End of text and of a turn always; for
 * the pilot also the newline byte token. Any context.
 */
bool llx_prompt_is_end(enum llx_prompt_format format,
		       const struct llx_tokenizer *tokenizer, s32 token);

#endif
