// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prompts. The one place where facts become words: what the model was trained
 * on (models/pilot/generate.cpp calls this file) is what it is asked.
 *
 * Lines after the first begin with a space, because a SentencePiece word does;
 * a prompt never ends in one, or prompt and answer would be cut into other
 * pieces together than apart.
 */
#include "prompt.h"

static const char *const level_words[LLX_N_LEVELS] = {
	[LLX_LEVEL_NONE] = "none",	 [LLX_LEVEL_SOME] = "some",
	[LLX_LEVEL_HIGH] = "high",	 [LLX_LEVEL_SEVERE] = "severe",
	[LLX_LEVEL_UNKNOWN] = "unknown",
};

#define WORDS_OF(id, words) words,
static const char *const cause_words[] = { LLAMUX_CAUSES(WORDS_OF) };

/* ---- building ------------------------------------------------------------- */

void llx_prompt_init(struct llx_prompt *prompt, char *text, u32 size)
{
	memset(prompt, 0, sizeof(*prompt));
	prompt->text = text;
	prompt->size = size;
	text[0] = '\0';
}

/* The last segment if it is of that kind and can grow, or a new one. */
static struct llx_segment *segment_of(struct llx_prompt *p, enum llx_segment_kind kind)
{
	struct llx_segment *last = &p->segments[p->n_segments];

	if (p->n_segments && kind != LLX_SEGMENT_CONTROL && last[-1].kind == kind)
		return &last[-1];
	if (p->n_segments == LLX_PROMPT_SEGMENTS)
		return NULL;
	last->kind = kind;
	last->offset = p->bytes;
	last->bytes = 0;
	p->n_segments++;
	return last;
}

static void append(struct llx_prompt *p, enum llx_segment_kind kind, const char *text,
		   u32 bytes)
{
	struct llx_segment *segment;

	if (p->error || !bytes)
		return;
	segment = bytes < p->size - p->bytes ? segment_of(p, kind) : NULL;
	if (!segment) {
		p->error = -E2BIG;
		return;
	}
	memcpy(p->text + p->bytes, text, bytes);
	p->bytes += bytes;
	p->text[p->bytes] = '\0';
	segment->bytes += bytes;
}

static void say(struct llx_prompt *p, const char *text)
{
	append(p, LLX_SEGMENT_TEXT, text, strlen(text));
}

static void say_letter(struct llx_prompt *p, const char *before, char letter)
{
	say(p, before);
	append(p, LLX_SEGMENT_TEXT, &letter, 1);
}

static void say_control(struct llx_prompt *p, const char *token)
{
	append(p, LLX_SEGMENT_CONTROL, token, strlen(token));
}

/* Does a marker of the format start here? A space after its first byte ends it. */
static bool starts_marker(enum llx_prompt_format format, const char *text, u32 bytes)
{
	static const char *const llama2[] = { "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>" };
	u32 i;

	if (bytes > 1 && text[0] == '<' && text[1] == '|')
		return true;
	for (i = 0; format == LLX_PROMPT_LLAMA2 && i < ARRAY_SIZE(llama2); i++) {
		if (bytes >= strlen(llama2[i]) && !memcmp(text, llama2[i], strlen(llama2[i])))
			return true;
	}
	return false;
}

/*
 * Untrusted bytes. A line of its own or a role marker could pass for ours, so
 * neither gets through.
 */
static void say_user(struct llx_prompt *p, enum llx_prompt_format format,
		     const char *text, u32 bytes, bool lines)
{
	u32 i;

	for (i = 0; i < bytes && !p->error; i++) {
		unsigned char c = (unsigned char)text[i];
		bool kept = lines && (c == '\n' || c == '\t');

		append(p, LLX_SEGMENT_USER,
		       (c < ' ' && !kept) || c == 0x7f ? " " : &text[i], 1);
		if (starts_marker(format, text + i, bytes - i))
			append(p, LLX_SEGMENT_USER, " ", 1);
	}
}

/* ---- the situation -------------------------------------------------------- */

struct scene {
	const struct llamux_snapshot *s;
	const struct llamux_fact *facts;
	u32 n_facts;
	const u32 *order; /* may be NULL */
	const struct llx_letters *letters;
};

static void say_level(struct llx_prompt *p, const char *what,
		      const struct llamux_snapshot *s,
		      const struct llamux_group_snapshot *g, enum llamux_source source)
{
	say(p, what);
	say(p,
	    level_words[llx_measure_level(s, source, llx_measure_value(s, g, source))]);
}

static void say_machine(struct llx_prompt *p, const struct llamux_snapshot *s)
{
	if (!llx_measure_has_window(s)) {
		say(p, "machine: unknown");
		return;
	}
	say_level(p, "machine: cpu wait ", s, NULL,
		  LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE);
	say_level(p, ", memory wait ", s, NULL, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE);
	say_level(p, ", disk wait ", s, NULL, LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE);
}

/* Which one is worst is said, so that it does not hang on where it stands. */
static const char *const rank_words[LLAMUX_MAX_FACTS] = { "worst", "second", "third" };

static void say_fact(struct llx_prompt *p, u32 rank, const struct llamux_fact *fact,
		     const struct llx_letters *letters)
{
	u32 level = min_t(u32, fact->level, LLX_LEVEL_SEVERE);

	say(p, "\n ");
	say(p, rank_words[rank]);
	say(p, " fact ");
	say(p, level_words[level]);
	say(p, ": ");
	say(p, cause_words[fact->cause < LLAMUX_N_CAUSES ? fact->cause : 0]);
	if (fact->victim_id)
		say_letter(p, ", it hurts group ",
			   llx_letters_of(letters, fact->victim_id));
	if (fact->culprit_id)
		say_letter(p, ", it comes from group ",
			   llx_letters_of(letters, fact->culprit_id));
}

static const char *weight_word(u64 weight)
{
	if (!llx_known(weight) || !weight)
		return "unknown";
	if (weight < 100)
		return "low";
	return weight == 100 ? "normal" : "high";
}

static void say_group(struct llx_prompt *p, const struct llamux_snapshot *s,
		      const struct llamux_group_snapshot *g, char letter)
{
	say_letter(p, "\n group ", letter);
	say_level(p, ": cpu use ", s, g, LLAMUX_SOURCE_CPU_PERMILLE);
	say_level(p, ", cpu wait ", s, g, llx_measure_cpu_wait(s, g));
	say(p, ", cpu weight ");
	say(p, weight_word(g->signals.cpu_weight));
	say(p, ", io weight ");
	say(p, weight_word(g->signals.io_weight));
	if (g->signals.flags & LLAMUX_GROUP_LATENCY)
		say(p, ", needs quick answers");
	if (g->signals.flags & LLAMUX_GROUP_BACKGROUND)
		say(p, ", can wait");
	if (g->signals.flags & LLAMUX_GROUP_PROTECTED)
		say(p, ", protected");
}

static void say_settings(struct llx_prompt *p, const struct llamux_system_signals *m)
{
	bool dirty = llx_known(m->vm_dirty_ratio) && !m->vm_dirty_bytes;

	say(p, "\n settings: swap ");
	if (!llx_known(m->swap_total_bytes))
		say(p, "unknown");
	else if (!m->swap_total_bytes)
		say(p, "none");
	else
		say(p, m->flags & LLAMUX_SIGNAL_SWAP_FAST ? "fast" : "slow");
	say(p, ", dirty page limit ");
	if (!dirty)
		say(p, "unknown");
	else
		say(p, m->vm_dirty_ratio <= 10 ? "small" : "large");
}

static void say_scene(struct llx_prompt *p, const struct scene *sc)
{
	const struct llamux_group_snapshot *g;
	u32 rank;
	u32 i;

	say_machine(p, sc->s);
	for (i = 0; i < sc->n_facts; i++) {
		rank = sc->order ? sc->order[i] : i;
		say_fact(p, rank, &sc->facts[rank], sc->letters);
	}
	if (!sc->n_facts) {
		say(p, "\n fact: ");
		say(p, cause_words[LLAMUX_CAUSE_NONE]);
		return;
	}
	for (i = 0; i < sc->letters->n; i++) {
		g = llx_measure_group(sc->s, sc->letters->id[i]);
		if (g)
			say_group(p, sc->s, g, (char)('A' + i));
	}
	if (llx_measure_has_signals(sc->s))
		say_settings(p, &sc->s->signals);
}

/* ---- formats -------------------------------------------------------------- */

#define ROLE	    "You are Llamux and look after a Linux machine."
#define ADVISE_TASK " Read the facts and name the one change that helps most."
#define ASK_TASK                                                      \
	" Answer the question from the facts, in at most three short sentences. Name groups by letter. Use no numbers."
#define BEST "best change:"

/* Two solved examples for a model that was not trained on the task. */
static const struct {
	const char *facts;
	const char *answer;
} shots[] = {
	{ "machine: cpu wait high, memory wait none, disk wait none\n"
	  " worst fact high: another group takes the cpu, it hurts group A, it comes from group B\n"
	  " group A: cpu use none, cpu wait high, cpu weight normal, io weight normal\n"
	  " group B: cpu use high, cpu wait some, cpu weight normal, io weight normal",
	  " lower the cpu weight of group B" },
	{ "machine: cpu wait none, memory wait high, disk wait some\n"
	  " worst fact high: tasks wait while memory is reclaimed, it hurts group A\n"
	  " group A: cpu use some, cpu wait none, cpu weight normal, io weight normal",
	  " raise the free page reserve" },
};

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

static const char *const role_names[] = { "system", "user", "assistant" };

/* How the turns of a chat are written; the tokens are control tokens. */
static const struct {
	const char *between; /* two turns */
	const char *open_token;
	const char *open;
	const char *role_token; /* after the role's name */
	const char *role_end;
	const char *close_token;
} turns[LLX_N_PROMPT_FORMATS] = {
	[LLX_PROMPT_ZEPHYR] = { "\n", "", "<|", "", "|>\n", "</s>" },
	[LLX_PROMPT_CHATML] = { "\n", "<|im_start|>", "", "", "\n", "<|im_end|>" },
	[LLX_PROMPT_LLAMA2] = { .close_token = "</s>" }, /* see below */
	[LLX_PROMPT_LLAMA3] = { "", "<|start_header_id|>", "", "<|end_header_id|>", "\n\n",
				"<|eot_id|>" },
};

const char *llx_prompt_end_token(enum llx_prompt_format format)
{
	return turns[format].close_token;
}

const char *llx_prompt_missing_token(enum llx_prompt_format format,
				     const struct llx_tokenizer *tokenizer)
{
	const char *const needed[] = {
		turns[format].open_token,
		turns[format].role_token,
		turns[format].close_token,
		format == LLX_PROMPT_LLAMA2 ? "<s>" : NULL,
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (needed[i] && needed[i][0] &&
		    llx_tokenizer_control(tokenizer, needed[i]) < 0)
			return needed[i];
	}
	return NULL;
}

/* Llama 2 has no roles: the system's text is part of the user's first turn. */
static void open_llama2(struct llx_prompt *p, enum role role)
{
	bool begins = !p->n_segments ||
		      p->segments[p->n_segments - 1].kind == LLX_SEGMENT_CONTROL;

	if (role == ROLE_ASSISTANT)
		return;
	if (begins)
		say(p, "[INST]");
	if (role == ROLE_SYSTEM)
		say(p, " <<SYS>>\n");
	else if (begins)
		say(p, " ");
}

static void close_llama2(struct llx_prompt *p, enum role role)
{
	switch (role) {
	case ROLE_SYSTEM:
		say(p, "\n<</SYS>>\n\n");
		break;
	case ROLE_USER:
		say(p, " [/INST]");
		break;
	case ROLE_ASSISTANT:
		say(p, " ");
		say_control(p, "</s>");
		say_control(p, "<s>");
		break;
	}
}

static void open_turn(struct llx_prompt *p, enum llx_prompt_format format, enum role role)
{
	if (format == LLX_PROMPT_LLAMA2)
		open_llama2(p, role);
	if (!turns[format].open_token)
		return;
	if (p->n_segments)
		say(p, turns[format].between);
	say_control(p, turns[format].open_token);
	say(p, turns[format].open);
	say(p, role_names[role]);
	say_control(p, turns[format].role_token);
	say(p, turns[format].role_end);
}

static void close_turn(struct llx_prompt *p, enum llx_prompt_format format, enum role role)
{
	if (format == LLX_PROMPT_LLAMA2)
		close_llama2(p, role);
	else if (turns[format].close_token)
		say_control(p, turns[format].close_token);
	else
		say(p, "\n ");
}

/* An answer's beginning; Llama 2 has a space before what the assistant says. */
static void say_answer(struct llx_prompt *p, enum llx_prompt_format format,
		       const char *text)
{
	open_turn(p, format, ROLE_ASSISTANT);
	if (format == LLX_PROMPT_LLAMA2)
		say(p, " ");
	say(p, text);
}

/* What was said so far is the same in every prompt of this kind. */
static void end_constant(struct llx_prompt *p)
{
	p->n_constant = p->n_segments;
	/* Text goes on in the segment it is in. */
	while (p->n_constant &&
	       p->segments[p->n_constant - 1].kind != LLX_SEGMENT_CONTROL)
		p->n_constant--;
}

static void say_shots(struct llx_prompt *p, enum llx_prompt_format format)
{
	u32 i;

	open_turn(p, format, ROLE_SYSTEM);
	say(p, ROLE ADVISE_TASK);
	close_turn(p, format, ROLE_SYSTEM);
	for (i = 0; i < ARRAY_SIZE(shots); i++) {
		open_turn(p, format, ROLE_USER);
		say(p, shots[i].facts);
		close_turn(p, format, ROLE_USER);
		say_answer(p, format, BEST);
		say(p, shots[i].answer);
		close_turn(p, format, ROLE_ASSISTANT);
	}
}

static void say_best(struct llx_prompt *p, enum llx_prompt_format format)
{
	close_turn(p, format, ROLE_USER);
	say_answer(p, format, BEST);
}

int llx_prompt_advise(struct llx_prompt *prompt, enum llx_prompt_format format,
		      const struct llamux_snapshot *snapshot,
		      const struct llamux_fact *facts, u32 n_facts,
		      const u32 *order, const struct llx_letters *letters)
{
	const struct scene sc = { snapshot, facts, n_facts, order, letters };

	if (format != LLX_PROMPT_PILOT)
		say_shots(prompt, format);
	open_turn(prompt, format, ROLE_USER);
	end_constant(prompt);
	say_scene(prompt, &sc);
	say_best(prompt, format);
	return prompt->error;
}

int llx_prompt_neutral(struct llx_prompt *prompt, enum llx_prompt_format format)
{
	if (format != LLX_PROMPT_PILOT)
		say_shots(prompt, format);
	open_turn(prompt, format, ROLE_USER);
	end_constant(prompt);
	say(prompt, "machine: unknown");
	say_best(prompt, format);
	return prompt->error;
}

int llx_prompt_ask(struct llx_prompt *prompt, enum llx_prompt_format format,
		   const struct llamux_snapshot *snapshot,
		   const struct llamux_fact *facts, u32 n_facts,
		   const u32 *order, const struct llx_letters *letters,
		   const struct llamux_candidate *chosen, const char *question,
		   u32 bytes)
{
	const struct scene sc = { snapshot, facts, n_facts, order, letters };

	if (!bytes)
		return -EINVAL;
	if (bytes > LLX_QUESTION_MAX)
		return -E2BIG;
	if (format != LLX_PROMPT_PILOT) {
		open_turn(prompt, format, ROLE_SYSTEM);
		say(prompt, ROLE ASK_TASK);
		close_turn(prompt, format, ROLE_SYSTEM);
	}
	open_turn(prompt, format, ROLE_USER);
	end_constant(prompt);
	say_scene(prompt, &sc);
	say(prompt, "\n suggested: ");
	if (chosen)
		append(prompt, LLX_SEGMENT_TEXT, chosen->phrase,
		       strnlen(chosen->phrase, sizeof(chosen->phrase)));
	else
		say(prompt, "no change");
	say(prompt, "\n question:");
	append(prompt, LLX_SEGMENT_USER, " ", 1);
	say_user(prompt, format, question, bytes, false);
	close_turn(prompt, format, ROLE_USER);
	say_answer(prompt, format, "answer:");
	return prompt->error;
}

int llx_prompt_chat(struct llx_prompt *prompt, enum llx_prompt_format format,
		    const char *text, u32 bytes)
{
	if (!bytes)
		return -EINVAL;
	switch (format) {
	case LLX_PROMPT_PILOT:
		say(prompt, "user:");
		append(prompt, LLX_SEGMENT_USER, " ", 1);
		say_user(prompt, format, text, bytes, false);
		say(prompt, "\n answer:");
		break;
	case LLX_PROMPT_PLAIN:
		say_user(prompt, format, text, bytes, true);
		break;
	default:
		open_turn(prompt, format, ROLE_SYSTEM);
		say(prompt, ROLE " You run inside its kernel. Answer briefly.");
		close_turn(prompt, format, ROLE_SYSTEM);
		open_turn(prompt, format, ROLE_USER);
		end_constant(prompt);
		say_user(prompt, format, text, bytes, true);
		close_turn(prompt, format, ROLE_USER);
		open_turn(prompt, format, ROLE_ASSISTANT);
		break;
	}
	return prompt->error;
}

int llx_prompt_raw(struct llx_prompt *prompt, const char *text, u32 bytes)
{
	if (!bytes)
		return -EINVAL;
	append(prompt, LLX_SEGMENT_USER, text, bytes);
	return prompt->error;
}
