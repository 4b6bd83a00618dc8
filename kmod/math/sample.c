// SPDX-License-Identifier: GPL-2.0-only
/*
 * From logits to a token, a probability or shares in permille. Deterministic:
 * ties go to the lower index, NaN counts as impossible.
 */
#include "ops.h"
#include "mathf.h"

#define LOGPROB_MIN (-1000000000LL)
#define MAX_SHARES 64u

static float negative_infinity(void)
{
	return mathf_get((llx_f32){ 0xff800000 });
}

u32 llx_op_argmax(const llx_f32 *x, u32 n)
{
	float largest = negative_infinity();
	u32 best = 0;
	bool found = false;
	u32 i;

	for (i = 0; i < n; i++) {
		if (mathf_get(x[i]) > largest ||
		    (!found && mathf_get(x[i]) == largest)) {
			largest = mathf_get(x[i]);
			best = i;
			found = true;
		}
	}
	return best;
}

s64 llx_op_logprob(const llx_f32 *logits, u32 n, u32 token)
{
	/* exp(-50) of 2^32 terms is below the last bit of a micro-nat */
	const double negligible = -50.0;
	double max = mathf_get(logits[llx_op_argmax(logits, n)]);
	double own = mathf_get(logits[token]);
	double sum = 0.0;
	double x;
	double micro;
	u32 i;

	if (own != own || max != max)
		return LOGPROB_MIN;
	for (i = 0; i < n; i++) {
		x = mathf_get(logits[i]);
		/* equality first: infinity - infinity is no number */
		if (x == max)
			sum += 1.0;
		else if (x - max > negligible)
			sum += llx_mathf_exp(x - max);
	}
	micro = own == max ? 0.0 : own - max;
	micro = (micro - llx_mathf_log(sum)) * 1e6;
	if (!(micro > (double)LOGPROB_MIN))
		return LOGPROB_MIN;
	return micro < 0.0 ? (s64)(micro - 0.5) : 0;
}

/* True if candidate @a comes before @b: larger, or equal and lower. */
static bool before(const llx_f32 *x, u32 a, u32 b)
{
	float va = mathf_get(x[a]);
	float vb = mathf_get(x[b]);

	return va > vb || (va == vb && a < b);
}

static void sift_down(const llx_f32 *x, u32 *heap, u32 n, u32 at)
{
	u32 moving = heap[at];
	u32 child;

	for (child = 2 * at + 1; child < n; child = 2 * at + 1) {
		if (child + 1 < n && before(x, heap[child + 1], heap[child]))
			child++;
		if (!before(x, heap[child], moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

static void heap_build(const llx_f32 *x, u32 *heap, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		heap[i] = i;
	for (i = n / 2; i-- > 0;)
		sift_down(x, heap, n, i);
}

/* Moves the first of the @n left to heap[n - 1] and returns it. */
static u32 heap_pop(const llx_f32 *x, u32 *heap, u32 n)
{
	u32 first = heap[0];

	heap[0] = heap[n - 1];
	sift_down(x, heap, n - 1, 0);
	heap[n - 1] = first;
	return first;
}

static void penalise(const struct llx_sampling *s, llx_f32 *logits, u32 n)
{
	float penalty = (float)s->repeat_penalty_milli / 1000.0f;
	llx_f32 *logit;
	u32 i;

	if (s->repeat_penalty_milli == 1000 || s->repeat_penalty_milli == 0)
		return;
	for (i = 0; i < s->n_recent; i++) {
		if (s->recent[i] < 0 || (u32)s->recent[i] >= n)
			continue;
		logit = &logits[s->recent[i]];
		if (mathf_get(*logit) > 0.0f)
			*logit = mathf_put(mathf_get(*logit) / penalty);
		else
			*logit = mathf_put(mathf_get(*logit) * penalty);
	}
}

/* x = (x - max) / temperature, NaN becomes impossible */
static void soften(llx_f32 *x, u32 n, float max, u32 temperature_milli)
{
	float inverse = 1000.0f / (float)temperature_milli;
	float v;
	u32 i;

	for (i = 0; i < n; i++) {
		v = (mathf_get(x[i]) - max) * inverse;
		x[i] = mathf_put(v <= 0.0f ? v : negative_infinity());
	}
}

/* Candidates 0..n-1 in the order in which they are looked at. */
struct candidates {
	const struct llx_kernels *k;
	llx_f32 *x; /* values, then weights */
	u32 *heap; /* NULL: in the order of tokens */
	u32 n;
};

static u32 candidate_token(const struct candidates *c, u32 i)
{
	return c->heap ? c->heap[c->n - 1 - i] : i;
}

static double candidate_weight(const struct candidates *c, u32 i)
{
	return mathf_get(c->x[candidate_token(c, i)]);
}

/* Turns values into weights; only the first @top_k ones if that is fewer. */
static double weigh(struct candidates *c, u32 top_k)
{
	const llx_f32 zero = { 0 };
	double total = 0.0;
	u32 i;

	if (top_k >= c->n)
		return mathf_get(c->k->exp_sum(c->x, c->n, zero));
	heap_build(c->x, c->heap, c->n);
	for (i = 0; i < top_k; i++)
		heap_pop(c->x, c->heap, c->n - i);
	for (i = 0; i < top_k; i++)
		total += mathf_get(c->k->exp_sum(&c->x[candidate_token(c, i)],
						 1, zero));
	return total;
}

/*
 * How many candidates from the front are left by top-p and min-p, and their
 * weight. In token order min-p is checked by the draw as well.
 */
static u32 cut(struct candidates *c, const struct llx_sampling *s, u32 n,
	       bool sorted, double *weight)
{
	double enough = *weight * s->top_p_milli / 1000.0;
	double least = s->min_p_milli / 1000.0; /* the largest weight is 1 */
	double w;
	u32 i;

	*weight = 0.0;
	for (i = 0; i < n; i++) {
		if (c->heap && !sorted)
			heap_pop(c->x, c->heap, c->n - i);
		w = candidate_weight(c, i);
		if (w < least && c->heap)
			return i;
		if (w < least)
			continue;
		*weight += w;
		if (c->heap && s->top_p_milli < 1000 && *weight >= enough)
			return i + 1;
	}
	return n;
}

static u32 draw(const struct candidates *c, const struct llx_sampling *s,
		u32 n, double weight, u64 random)
{
	double target = weight * ((double)(random >> 11) * 0x1p-53);
	double least = s->min_p_milli / 1000.0;
	double sum = 0.0;
	u32 last = 0;
	double w;
	u32 i;

	for (i = 0; i < n; i++) {
		w = candidate_weight(c, i);
		if (w < least || w <= 0.0)
			continue;
		sum += w;
		last = i;
		if (sum > target)
			break;
	}
	return candidate_token(c, last);
}

u32 llx_op_sample(const struct llx_kernels *k, const struct llx_sampling *s,
		  llx_f32 *logits, u32 n, u64 random, u32 *index)
{
	u32 top_k = s->top_k && s->top_k < n ? s->top_k : n;
	struct candidates c = { .k = k, .x = logits, .n = n };
	bool sorted = top_k < n;
	double weight;
	u32 best;

	penalise(s, logits, n);
	best = llx_op_argmax(logits, n);
	/* Greedy; also if nothing or only infinity is likely. */
	if (!s->temperature_milli ||
	    (logits[best].bits & 0x7f800000) == 0x7f800000)
		return best;
	soften(logits, n, mathf_get(logits[best]), s->temperature_milli);
	if (sorted || s->top_p_milli < 1000)
		c.heap = index;
	weight = weigh(&c, top_k);
	if (c.heap && !sorted)
		heap_build(c.x, c.heap, n);
	n = cut(&c, s, top_k, sorted, &weight);
	return draw(&c, s, n, weight, random);
}

void llx_op_softmax_permille(const s64 *micro_nats, u32 n,
			     u32 temperature_milli, u32 *permille)
{
	double share[MAX_SHARES];
	double total = 0.0;
	u32 left = 1000;
	u32 best = 0;
	u32 i;

	if (!n || LLX_BUG_ON(n > MAX_SHARES))
		return;
	for (i = 1; i < n; i++)
		if (micro_nats[i] > micro_nats[best])
			best = i;
	for (i = 0; i < n; i++) {
		share[i] = ((double)micro_nats[i] - (double)micro_nats[best]) *
			   1e-6;
		if (temperature_milli)
			share[i] = llx_mathf_exp(share[i] * 1000.0 /
						 temperature_milli);
		else
			share[i] = i == best ? 1.0 : 0.0;
		total += share[i];
	}
	for (i = 0; i < n; i++) {
		share[i] = share[i] * 1000.0 / total;
		permille[i] = (u32)share[i];
		share[i] -= permille[i];
		left -= permille[i];
	}
	/* What rounding down left goes to the largest remainders. */
	for (; left; left--) {
		best = 0;
		for (i = 1; i < n; i++)
			if (share[i] > share[best])
				best = i;
		permille[best]++;
		share[best] = -1.0;
	}
}
