/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The queue between those who ask and the one thread that answers: bounded,
 * the administrator first, fair between users, with deadlines and cancellation.
 */
#ifndef LLX_QUEUE_H
#define LLX_QUEUE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#define LLX_QUEUE_MAX 64u	/* requests that wait, of all users */
#define LLX_QUEUE_USER_MAX 16u	/* of one user */

/**
 * struct llx_user - one uid: whose turn it is, and what it uses
 * @refs: sessions of this user
 * @uid: as opened
 * @link: in the list of all users, under the queue's users_lock
 * @turn: in the queue's list of users with waiting requests
 * @waiting: its requests, first come first served
 * @n_waiting: length of @waiting
 * @context_bytes: of its sessions' caches; session.c's, under its lock
 */
struct llx_user {
	refcount_t refs;
	kuid_t uid;
	struct list_head link;
	struct list_head turn;
	struct list_head waiting;
	u32 n_waiting;
	u64 context_bytes;
};

/**
 * llx_user_get() - the object of a user, made if there is none
 * @uid: which
 *
 * Context: process, may sleep.
 * Return: a reference, or NULL: no memory.
 */
struct llx_user *llx_user_get(kuid_t uid);

/* Undoes llx_user_get(); process context. */
void llx_user_put(struct llx_user *user);

enum llx_request_state {
	LLX_REQUEST_IDLE,
	LLX_REQUEST_WAITING,
	LLX_REQUEST_RUNNING,
	LLX_REQUEST_DONE,
};

/**
 * struct llx_request - one thing for the worker to do
 * @run: called in the request thread; may sleep; returns the status
 * @waiters: woken when the request is done; outlives the request
 * @user: borrowed
 * @urgent: the administrator's, who looks after the machine: it goes first, and
 *	until it has ended the threads are in a hurry (llx_worker_hurry()).
 *	Changed only before it is submitted.
 * @is_ranking: of advice: it takes the CPU for no prompt. Changed likewise.
 * @link: in @user->waiting, or in the list of urgent ones
 * @timer: the deadline
 * @state: written under the queue's lock
 * @stop: why it should stop, a negative errno; 0: it should not
 * @status: valid when done: 0 or a negative errno
 * @submitted_ns: CLOCK_MONOTONIC
 * @started_ns: likewise
 *
 * Owned by the caller of llx_queue_submit(), who must not free it before
 * llx_queue_wait() returned.
 */
struct llx_request {
	int (*run)(struct llx_request *request);
	wait_queue_head_t *waiters;
	struct llx_user *user;
	bool urgent;
	bool is_ranking;
	struct list_head link;
	struct timer_list timer;
	enum llx_request_state state;
	int stop;
	int status;
	u64 submitted_ns;
	u64 started_ns;
};

/**
 * llx_request_init() - make an idle request, not urgent
 * @request: to be filled
 * @user: who asks
 * @run: what to do
 * @waiters: whom to wake
 *
 * Context: any.
 */
void llx_request_init(struct llx_request *request, struct llx_user *user,
		      int (*run)(struct llx_request *request),
		      wait_queue_head_t *waiters);

/**
 * llx_queue_submit() - hand a request to the worker
 * @request: idle or done
 * @timeout_ms: from now until it must be done; 0: none
 *
 * Context: process; does not sleep.
 * Return: 0; -EBUSY no room in the queue;
 * -ENODEV the module goes.
 */
int llx_queue_submit(struct llx_request *request, u32 timeout_ms);

/**
 * llx_queue_wait_for_room() - wait until llx_queue_submit() may succeed
 * @user: who wants to submit
 *
 * Context: process, sleeps.
 * Return: 0; -ERESTARTSYS.
 */
int llx_queue_wait_for_room(const struct llx_user *user);

/**
 * llx_queue_cancel() - ask a request to stop
 * @request: in any state
 * @reason: -ECANCELED, -ETIMEDOUT...: its status, if it had not ended yet
 *
 * One that waits is done at once; one that runs stops after the FPU section
 * it is in. Context: any but hard interrupts.
 */
void llx_queue_cancel(struct llx_request *request, int reason);

/**
 * llx_queue_wait() - wait until a request is idle or done, whatever it takes
 * @request: cancel it first, unless it is about to end
 *
 * Afterwards nothing refers to it. Context: process, sleeps uninterruptibly.
 */
void llx_queue_wait(struct llx_request *request);

/**
 * llx_queue_call() - submit a request and wait for its end
 * @request: idle or done
 * @timeout_ms: as in llx_queue_submit()
 *
 * Waits for room in the queue, too. A signal cancels it. Context: process,
 * sleeps.
 * Return: its status; -EINTR; -ENODEV.
 */
int llx_queue_call(struct llx_request *request, u32 timeout_ms);

/* The request's state now. Any context but hard interrupts. */
enum llx_request_state llx_queue_state(const struct llx_request *request);

/* Could @user submit without waiting? A hint, for poll. Any context. */
bool llx_queue_has_room(const struct llx_user *user);

/* Woken when there may be room again, and when the model changes. */
extern wait_queue_head_t llx_queue_room;

/* Is a request being run? A hint. Any context. */
bool llx_queue_is_running(void);

/* Requests that wait. Any context. */
u32 llx_queue_length(void);

/**
 * llx_queue_next() - the next request: an urgent one, or one of whose turn it is
 *
 * Only for the request thread. Sleeps until there is one.
 * Return: the request,
 * now running; NULL: the thread should stop, a signal came for it, or a
 * request ended without having run.
 */
struct llx_request *llx_queue_next(void);

/* Ends what llx_queue_next() returned; it must not be touched afterwards. */
void llx_queue_finish(struct llx_request *request, int status);

/*
 * From now on nothing can be submitted; what waits or runs ends with -ENODEV.
 * Process context.
 */
void llx_queue_close(void);

#endif
