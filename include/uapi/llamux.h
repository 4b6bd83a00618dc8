/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/llamux: a language model in the kernel.
 *
 * One open file is one session with its own context (KV cache), parameters
 * and telemetry window. Sessions share the loaded model; requests are run one
 * after another, fairly between users.
 *
 *   write(2)  one call is one prompt, at most LLAMUX_PROMPT_MAX bytes, in the
 *             form that the parameters ask for (struct llamux_params.format).
 *             It cancels an answer that is still being made. -E2BIG: longer
 *             than the context; -EILSEQ: not UTF-8; -EAGAIN: no model yet, or
 *             the queue is full and O_NONBLOCK is set.
 *   read(2)   the answer's bytes as they are made; 0 once it is complete.
 *             Blocks unless O_NONBLOCK (-EAGAIN). The request's own failure
 *             (-ECANCELED, -ETIMEDOUT, -ENOMEM...) is returned once.
 *   poll(2)   EPOLLIN: there are bytes, or the end, to read; EPOLLOUT: a
 *             prompt can be written; EPOLLERR: the request failed.
 *   close(2)  cancels and frees everything of the session.
 *
 * ioctls: every struct starts with its size as the caller knows it; the
 * kernel refuses a smaller one with -EINVAL and a larger one with -E2BIG
 * unless the surplus is zero. Unknown flags and non-zero reserved fields:
 * -EINVAL. Unknown commands: -ENOTTY. All waits are killable, and
 * interruptible (-EINTR) unless they say otherwise. Pointers are __u64.
 *
 * Floating point never crosses this border: probabilities are in permille,
 * log-probabilities in micro-nats (1e-6 nat), parameters in milli units;
 * logits are handed out as the bit pattern of an IEEE 754 binary32.
 */
#ifndef _UAPI_LLAMUX_H
#define _UAPI_LLAMUX_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LLAMUX_ABI_VERSION 2
#define LLAMUX_DEVICE "/dev/llamux"

#define LLAMUX_PROMPT_MAX 65536u /* bytes of one prompt */
#define LLAMUX_NAME_MAX 64u	 /* bytes of a name with its final NUL */
#define LLAMUX_ERROR_MAX 192u	 /* bytes of an error line with its final NUL */
#define LLAMUX_PHRASE_MAX 128u	 /* bytes of one candidate phrase */
#define LLAMUX_MAX_CANDIDATES 8u
#define LLAMUX_MAX_FACTS 3u

/* ---- version ----------------------------------------------------------- */

struct llamux_version {
	__u32 size;
	__u32 abi;		/* out: LLAMUX_ABI_VERSION of the module */
	__u32 telemetry_schema; /* out: LLAMUX_TELEMETRY_SCHEMA of the module */
	__u32 reserved;
};

/* ---- model ------------------------------------------------------------- */

/* How a model's prompts are written. */
enum llamux_chat_template {
	LLAMUX_TEMPLATE_BY_FILE, /* as tokenizer.chat_template says */
	LLAMUX_TEMPLATE_PLAIN,	 /* no turns: the text alone */
	LLAMUX_TEMPLATE_ZEPHYR,
	LLAMUX_TEMPLATE_CHATML,
	LLAMUX_TEMPLATE_LLAMA2,
	LLAMUX_TEMPLATE_LLAMA3,
	LLAMUX_N_TEMPLATES,
};

/*
 * Loads a GGUF file from @fd (opened for reading) and makes it the model of
 * all sessions opened or prompted from then on; requests under way finish on
 * the old one. Needs CAP_SYS_ADMIN. Blocks (killable) until loaded.
 * Errors: -EPERM; -EBADF; -EINVAL, -ENOEXEC (not a model that can be run:
 * @error says what is wrong and at which offset); -ENOMEM; -EBUSY (another
 * load is under way); -EINTR.
 */
struct llamux_load {
	__u32 size;
	__s32 fd;
	__u32 flags; /* 0 */
	__u32 chat_template; /* enum llamux_chat_template; others: -EINVAL */
	char error[LLAMUX_ERROR_MAX]; /* out: empty on success */
};

/* -ENODATA: no model. */
struct llamux_model_info {
	__u32 size;
	__u32 n_layer;
	__u32 n_embd;
	__u32 n_ff;
	__u32 n_head;
	__u32 n_head_kv;
	__u32 n_vocab;
	__u32 n_ctx;	     /* tokens a session may hold */
	__u32 n_tensors;
	__u32 generation;    /* grows with each load */
	__u64 n_params;
	__u64 file_bytes;
	__u64 weight_bytes;  /* kernel memory the weights take */
	__u64 load_ns;
	char name[LLAMUX_NAME_MAX];	     /* general.name, cut */
	char quantisation[LLAMUX_NAME_MAX];  /* e.g. "Q4_K" (the most frequent) */
	char isa[LLAMUX_NAME_MAX];	     /* kernels in use, e.g. "avx2" */
	char format[LLAMUX_NAME_MAX];	     /* prompt format, e.g. "pilot", "zephyr" */
};

/* ---- session parameters ------------------------------------------------ */

enum llamux_format {
	LLAMUX_FORMAT_RAW,  /* the prompt as it is; control tokens are not parsed */
	LLAMUX_FORMAT_CHAT, /* as the user's turn of the model's chat template */
	LLAMUX_FORMAT_ASK,  /* as a question about the session's last snapshot */
};

/* Greedy when temperature_milli is 0. */
struct llamux_params {
	__u32 size;
	__u32 format;		   /* enum llamux_format */
	__u32 max_tokens;	   /* of one answer; 0: as many as fit */
	__u32 temperature_milli;   /* 0..5000 */
	__u32 top_k;		   /* 0: off */
	__u32 top_p_milli;	   /* 1..1000; 1000: off */
	__u32 min_p_milli;	   /* 0..1000; 0: off */
	__u32 repeat_penalty_milli; /* 1000: off; at most 2000 */
	__u32 repeat_last_n;	   /* tokens the penalty looks back */
	__u32 timeout_ms;	   /* of one request; 0: none */
	__u64 seed;
	__u32 flags;		   /* LLAMUX_PARAM_* */
	__u32 reserved;
};

#define LLAMUX_PARAM_KEEP_CONTEXT (1u << 0) /* a prompt continues the context */

/* ---- statistics -------------------------------------------------------- */

/* Since the module was loaded; tokens of all sessions. */
struct llamux_stats {
	__u32 size;
	__u32 n_sessions;
	__u32 n_queued;
	__u32 n_workers;
	__u64 requests_done;
	__u64 requests_failed;
	__u64 requests_cancelled;
	__u64 prompt_tokens;
	__u64 prompt_ns;
	__u64 generated_tokens;
	__u64 generate_ns;
	__u64 fpu_sections;
	__u64 fpu_longest_ns;
	__u64 cpu_ns;		   /* of all inference threads */
};

/* ---- telemetry --------------------------------------------------------- */

/*
 * Binds the maps of include/llamux/telemetry.h, for all sessions; a second
 * call replaces them, both fds -1 unbinds. The layout is checked: -EINVAL if
 * type, key size or value size differ. Needs CAP_SYS_ADMIN.
 */
struct llamux_bind {
	__u32 size;
	__s32 cgroups_fd;
	__s32 system_fd;
	__u32 reserved;
};

/*
 * Reads maps and @signals into a snapshot of the window since the session's
 * last one, keeps it as the session's last snapshot and copies it out.
 * Needs CAP_SYS_ADMIN (it shows every cgroup).
 */
struct llamux_snapshot_request {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 signals;		/* const struct llamux_signals *, or 0 */
	__u64 snapshot;		/* out: struct llamux_snapshot *, or 0 */
	__u64 snapshot_size;	/* bytes at @snapshot: sizeof, else -EINVAL */
};

/* A candidate as code built it and the model ranked it. */
struct llamux_candidate {
	__u32 kind;		/* enum llamux_action_kind */
	__u32 direction;	/* enum llamux_direction */
	__u64 cgroup_id;	/* 0: the system */
	__u64 value_old;	/* as the snapshot has it */
	__u64 value_new;
	__s32 score;		/* micro-nats per token; less the bias of an untrained model */
	__u32 probability_permille; /* among the candidates */
	char phrase[LLAMUX_PHRASE_MAX];
};

#define LLAMUX_EVIDENCE_MAX 4u

/* A number the detector relied on. @source: enum llamux_source. */
struct llamux_evidence {
	__u32 source;
	__u32 reserved;
	__u64 cgroup_id;	/* whose number; 0: the machine's */
	__u64 value;
	__u64 normal;		/* usual value; LLAMUX_UNKNOWN: not known yet */
	__u64 threshold;	/* what the detector compared with */
};

enum llamux_source {
	LLAMUX_SOURCE_NONE,
	LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE,
	LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE,
	LLAMUX_SOURCE_PSI_MEMORY_FULL_PERMILLE,
	LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE,
	LLAMUX_SOURCE_PSI_IO_FULL_PERMILLE,
	LLAMUX_SOURCE_CPU_PERMILLE,
	LLAMUX_SOURCE_RUNQ_WAIT_P99_US,
	LLAMUX_SOURCE_PREEMPTED_BY_OTHER_PER_SECOND,
	LLAMUX_SOURCE_MIGRATIONS_PER_SECOND,
	LLAMUX_SOURCE_THROTTLED_PERMILLE,
	LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND,
	LLAMUX_SOURCE_REFAULTS_PER_SECOND,
	LLAMUX_SOURCE_SWAP_PAGES_PER_SECOND,
	LLAMUX_SOURCE_DIRTY_PERMILLE,
	LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE,
	LLAMUX_SOURCE_MEMORY_GROWTH_KIB_PER_SECOND,
	LLAMUX_SOURCE_MEMORY_HIGH_EVENTS_PER_SECOND,
	LLAMUX_SOURCE_BLOCK_IO_P99_US,
	LLAMUX_SOURCE_FORKS_PER_SECOND,
	LLAMUX_SOURCE_SOFTIRQ_PERMILLE,
	LLAMUX_SOURCE_CLOCK_PERMILLE,
	LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE, /* of its runnable time */
	LLAMUX_N_SOURCES,
};

struct llamux_fact {
	__u32 cause;		/* enum llamux_cause_kind */
	__u32 level;		/* 1 some, 2 high, 3 severe */
	__u64 victim_id;	/* cgroup that suffers; 0: the system or unknown */
	__u64 culprit_id;	/* cgroup that causes it; 0: none */
	__u32 n_evidence;
	__u32 reserved;
	struct llamux_evidence evidence[LLAMUX_EVIDENCE_MAX];
};

/*
 * Takes a snapshot as LLAMUX_IOC_SNAPSHOT does, finds facts, builds the
 * candidates and lets the model rank them. Without a model (or with
 * LLAMUX_ADVISE_RULES_ONLY) the rules' own order decides and @ranked_by says
 * so. candidates[chosen] is the suggestion; "no change" is always among them.
 * Needs CAP_SYS_ADMIN.
 */
struct llamux_advice {
	__u32 size;
	__u32 flags;		/* LLAMUX_ADVISE_* */
	__u64 signals;		/* in: as in llamux_snapshot_request */
	__u64 snapshot;		/* out: as in llamux_snapshot_request, or 0 */
	__u64 snapshot_size;
	__u64 prompt;		/* out: the text the model saw, NUL ended; or 0 */
	__u64 prompt_size;	/* bytes at @prompt */
	/* out */
	__u32 ranked_by;	/* enum llamux_ranked_by */
	__u32 n_facts;
	__u32 n_candidates;
	__u32 chosen;		/* index of candidates[] */
	__u32 margin_permille;	/* probability of the chosen over the next */
	__u32 n_prompt_tokens;
	__u64 snapshot_sequence;
	__u64 detect_ns;	/* snapshot to candidates */
	__u64 rank_ns;		/* candidates to scores, queueing included */
	struct llamux_fact facts[LLAMUX_MAX_FACTS];
	struct llamux_candidate candidates[LLAMUX_MAX_CANDIDATES];
};

#define LLAMUX_ADVISE_RULES_ONLY (1u << 0)
/* Use the session's last snapshot instead of taking one (@signals is 0). */
#define LLAMUX_ADVISE_LAST_SNAPSHOT (1u << 1)

/*
 * How much more probable than the next one a change must be to be chosen;
 * below it "no change" is.
 */
#define LLAMUX_ADVISE_MARGIN_PERMILLE 100u

enum llamux_ranked_by {
	LLAMUX_RANKED_BY_NOTHING, /* no fact: "no change" */
	LLAMUX_RANKED_BY_RULES,
	LLAMUX_RANKED_BY_MODEL,
};

/* ---- direct use of the model ------------------------------------------- */

/*
 * Log-probability of each phrase as the continuation of @prompt. The prompt
 * is evaluated once. Phrases are NUL-ended, one after another at @phrases.
 */
struct llamux_score {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 prompt;		/* const char *, not NUL ended */
	__u64 phrases;		/* const char * */
	__u32 prompt_bytes;
	__u32 phrases_bytes;
	__u32 n_phrases;	/* 1..LLAMUX_MAX_CANDIDATES */
	__u32 reserved;
	__s64 logprob_micro_nats[LLAMUX_MAX_CANDIDATES]; /* out: sum over tokens */
	__u32 n_tokens[LLAMUX_MAX_CANDIDATES];		 /* out */
};

/*
 * Tokenises @prompt as LLAMUX_FORMAT_RAW does, evaluates it in an empty
 * context and hands out the logits of the last position: parity tests.
 */
struct llamux_eval {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 prompt;		/* const char *, not NUL ended */
	__u32 prompt_bytes;
	__u32 n_logits;		/* entries at @logits: n_vocab, else -EINVAL */
	__u64 logits;		/* out: __u32 *, binary32 bit patterns */
	__u64 tokens;		/* out: __s32 *, or 0 */
	__u32 n_tokens;		/* in: entries at @tokens; out: prompt tokens */
	__u32 reserved;
};

/* ---- commands ---------------------------------------------------------- */

#define LLAMUX_IOC_MAGIC 0xB7

#define LLAMUX_IOC_VERSION _IOWR(LLAMUX_IOC_MAGIC, 0x10, struct llamux_version)
#define LLAMUX_IOC_LOAD _IOWR(LLAMUX_IOC_MAGIC, 0x11, struct llamux_load)
#define LLAMUX_IOC_MODEL_INFO _IOWR(LLAMUX_IOC_MAGIC, 0x12, struct llamux_model_info)
#define LLAMUX_IOC_GET_PARAMS _IOWR(LLAMUX_IOC_MAGIC, 0x13, struct llamux_params)
#define LLAMUX_IOC_SET_PARAMS _IOW(LLAMUX_IOC_MAGIC, 0x14, struct llamux_params)
#define LLAMUX_IOC_STATS _IOWR(LLAMUX_IOC_MAGIC, 0x15, struct llamux_stats)
#define LLAMUX_IOC_BIND _IOW(LLAMUX_IOC_MAGIC, 0x16, struct llamux_bind)
#define LLAMUX_IOC_SNAPSHOT _IOW(LLAMUX_IOC_MAGIC, 0x17, struct llamux_snapshot_request)
#define LLAMUX_IOC_ADVISE _IOWR(LLAMUX_IOC_MAGIC, 0x18, struct llamux_advice)
#define LLAMUX_IOC_SCORE _IOWR(LLAMUX_IOC_MAGIC, 0x19, struct llamux_score)
#define LLAMUX_IOC_EVAL _IOWR(LLAMUX_IOC_MAGIC, 0x1a, struct llamux_eval)
#define LLAMUX_IOC_CANCEL _IO(LLAMUX_IOC_MAGIC, 0x1b)

#endif
