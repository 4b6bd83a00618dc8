// SPDX-License-Identifier: GPL-2.0-only
/*
 * A rendered prompt -> tokens. Segments are tokenised one by one, so that no
 * piece spans our words and a user's, and control tokens come from here alone.
 */
#include "prompt.h"

/* "<|start_header_id|>" */
#define CONTROL_MAX 24

static int encode_segment(const struct llx_prompt *p, const struct llx_segment *segment,
			  bool start, const struct llx_tokenizer *tokenizer,
			  s32 *tokens, u32 max, u32 *n_tokens)
{
	char name[CONTROL_MAX];
	s32 id;

	if (segment->kind != LLX_SEGMENT_CONTROL)
		return llx_tokenizer_encode(tokenizer, p->text + segment->offset,
					    segment->bytes, start, tokens, max,
					    n_tokens);
	scnprintf(name, sizeof(name), "%.*s", (int)segment->bytes,
		  p->text + segment->offset);
	id = llx_tokenizer_control(tokenizer, name);
	if (id < 0)
		return -ENOENT;
	if (!max)
		return -E2BIG;
	tokens[0] = id;
	*n_tokens = 1;
	return 0;
}

int llx_prompt_encode(const struct llx_prompt *prompt,
		      const struct llx_tokenizer *tokenizer, s32 *tokens, u32 max,
		      u32 *n_tokens, u32 *n_constant)
{
	const struct llx_vocab *vocab = llx_tokenizer_vocab(tokenizer);
	bool start = true;
	u32 n = 0;
	u32 i;

	if (n_constant)
		*n_constant = 0;
	if (prompt->error)
		return prompt->error;
	if (vocab->add_bos && vocab->bos >= 0) {
		if (!max)
			return -E2BIG;
		tokens[n++] = vocab->bos;
	}
	for (i = 0; i < prompt->n_segments; i++) {
		const struct llx_segment *segment = &prompt->segments[i];
		u32 added = 0;
		int ret = encode_segment(prompt, segment, start, tokenizer, tokens + n,
					 max - n, &added);

		if (ret)
			return ret;
		n += added;
		start = segment->kind == LLX_SEGMENT_CONTROL;
		if (n_constant && i + 1 == prompt->n_constant)
			*n_constant = n;
	}
	*n_tokens = n;
	return 0;
}

bool llx_prompt_is_end(enum llx_prompt_format format,
		       const struct llx_tokenizer *tokenizer, s32 token)
{
	const char *end = llx_prompt_end_token(format);
	char byte;

	if (token == llx_tokenizer_vocab(tokenizer)->eos ||
	    (end && token == llx_tokenizer_control(tokenizer, end)))
		return true;
	return format == LLX_PROMPT_PILOT &&
	       llx_tokenizer_piece(tokenizer, token, &byte, 1) == 1 && byte == '\n';
}
