// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests wait here for the request thread. Users take turns: one request of
 * each, so that nobody who sends many delays the others by more than one. Those
 * of an administrator, who looks after the machine, go before all others.
 */
#include "queue.h"
#include "compat.h"
#include "stats.h"
#include "worker.h"

#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static LIST_HEAD(users);
static DEFINE_MUTEX(users_lock); /* Protects users and the life of its members. */

/*
 * Protects everything below and every request's and user's queueing members.
 * Taken by timers, hence always with bottom halves off.
 */
static DEFINE_SPINLOCK(queue_lock);
static LIST_HEAD(urgent); /* waiting requests that go first */
static LIST_HEAD(turns); /* users with waiting requests, the next one first */
static u32 n_urgent; /* waiting, and the running one */
static struct llx_request *running;
static u32 n_waiting;
static bool closed;
static bool ended_waiting; /* a request was cancelled before its turn */

static DECLARE_WAIT_QUEUE_HEAD(queue_filled);
DECLARE_WAIT_QUEUE_HEAD(llx_queue_room);

struct llx_user *llx_user_get(kuid_t uid)
{
	struct llx_user *user;

	mutex_lock(&users_lock);
	list_for_each_entry(user, &users, link) {
		if (uid_eq(user->uid, uid)) {
			refcount_inc(&user->refs);
			goto out;
		}
	}
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		goto out;
	refcount_set(&user->refs, 1);
	user->uid = uid;
	INIT_LIST_HEAD(&user->turn);
	INIT_LIST_HEAD(&user->waiting);
	list_add(&user->link, &users);
out:
	mutex_unlock(&users_lock);
	return user;
}

void llx_user_put(struct llx_user *user)
{
	if (!refcount_dec_and_mutex_lock(&user->refs, &users_lock))
		return;
	list_del(&user->link);
	mutex_unlock(&users_lock);
	kfree(user);
}

static void on_deadline(struct timer_list *timer)
{
	struct llx_request *request =
		container_of(timer, struct llx_request, timer);

	llx_queue_cancel(request, -ETIMEDOUT);
}

void llx_request_init(struct llx_request *request, struct llx_user *user,
		      int (*run)(struct llx_request *request),
		      wait_queue_head_t *waiters)
{
	memset(request, 0, sizeof(*request));
	request->run = run;
	request->waiters = waiters;
	request->user = user;
	INIT_LIST_HEAD(&request->link);
	timer_setup(&request->timer, on_deadline, 0);
	request->state = LLX_REQUEST_IDLE;
}

static bool has_room(const struct llx_user *user)
{
	lockdep_assert_held(&queue_lock);
	return n_waiting < LLX_QUEUE_MAX && user->n_waiting < LLX_QUEUE_USER_MAX;
}

bool llx_queue_has_room(const struct llx_user *user)
{
	bool room;

	spin_lock_bh(&queue_lock);
	room = closed || has_room(user);
	spin_unlock_bh(&queue_lock);
	return room;
}

u32 llx_queue_length(void)
{
	return READ_ONCE(n_waiting);
}

bool llx_queue_is_running(void)
{
	return READ_ONCE(running);
}

static void enqueue(struct llx_request *request)
{
	struct llx_user *user = request->user;

	lockdep_assert_held(&queue_lock);
	request->state = LLX_REQUEST_WAITING;
	request->stop = 0;
	request->status = 0;
	request->submitted_ns = ktime_get_ns();
	request->started_ns = 0;
	WRITE_ONCE(n_waiting, n_waiting + 1);
	if (request->urgent) {
		list_add_tail(&request->link, &urgent);
		if (!n_urgent++)
			llx_worker_hurry(true);
		return;
	}
	list_add_tail(&request->link, &user->waiting);
	if (!user->n_waiting++)
		list_add_tail(&user->turn, &turns);
}

static struct llx_request *first_waiting(void)
{
	struct llx_user *user;

	lockdep_assert_held(&queue_lock);
	if (!list_empty(&urgent))
		return list_first_entry(&urgent, struct llx_request, link);
	user = list_first_entry_or_null(&turns, struct llx_user, turn);
	return user ? list_first_entry(&user->waiting, struct llx_request, link) :
		      NULL;
}

static void dequeue(struct llx_request *request)
{
	struct llx_user *user = request->user;

	lockdep_assert_held(&queue_lock);
	list_del_init(&request->link);
	WRITE_ONCE(n_waiting, n_waiting - 1);
	wake_up_all(&llx_queue_room);
	if (request->urgent)
		return;
	if (!--user->n_waiting)
		list_del_init(&user->turn);
	else
		list_move_tail(&user->turn, &turns);
}

/* The waiters are woken under the lock: their owner may free the request. */
static void finish(struct llx_request *request, int status)
{
	lockdep_assert_held(&queue_lock);
	llx_stats_done(status);
	if (request->urgent && !--n_urgent)
		llx_worker_hurry(false);
	request->status = status;
	request->state = LLX_REQUEST_DONE;
	wake_up_all(request->waiters);
}

int llx_queue_submit(struct llx_request *request, u32 timeout_ms)
{
	int err = 0;

	spin_lock_bh(&queue_lock);
	if (closed)
		err = -ENODEV;
	else if (!has_room(request->user))
		err = -EBUSY;
	else
		enqueue(request);
	if (!err && timeout_ms)
		mod_timer(&request->timer, jiffies + msecs_to_jiffies(timeout_ms));
	spin_unlock_bh(&queue_lock);
	if (!err)
		wake_up(&queue_filled);
	return err;
}

int llx_queue_wait_for_room(const struct llx_user *user)
{
	return wait_event_interruptible(llx_queue_room,
					llx_queue_has_room(user));
}

void llx_queue_cancel(struct llx_request *request, int reason)
{
	spin_lock_bh(&queue_lock);
	if (request->state == LLX_REQUEST_WAITING) {
		dequeue(request);
		finish(request, reason);
		ended_waiting = true;
		wake_up(&queue_filled);
	} else if (request->state == LLX_REQUEST_RUNNING && !request->stop) {
		WRITE_ONCE(request->stop, reason);
	}
	spin_unlock_bh(&queue_lock);
}

enum llx_request_state llx_queue_state(const struct llx_request *request)
{
	enum llx_request_state state;

	spin_lock_bh(&queue_lock);
	state = request->state;
	spin_unlock_bh(&queue_lock);
	return state;
}

static bool has_ended(const struct llx_request *request)
{
	enum llx_request_state state = llx_queue_state(request);

	return state == LLX_REQUEST_IDLE || state == LLX_REQUEST_DONE;
}

void llx_queue_wait(struct llx_request *request)
{
	wait_event(*request->waiters, has_ended(request));
	timer_delete_sync(&request->timer);
}

int llx_queue_call(struct llx_request *request, u32 timeout_ms)
{
	int err;

	while ((err = llx_queue_submit(request, timeout_ms)) == -EBUSY) {
		if (llx_queue_wait_for_room(request->user))
			return -EINTR;
	}
	if (err)
		return err;
	if (wait_event_interruptible(*request->waiters, has_ended(request)))
		llx_queue_cancel(request, -EINTR);
	llx_queue_wait(request);
	return request->status;
}

struct llx_request *llx_queue_next(void)
{
	struct llx_request *request = NULL;

	if (wait_event_interruptible(queue_filled,
				     kthread_should_stop() ||
				     READ_ONCE(n_waiting) ||
				     READ_ONCE(ended_waiting)))
		return NULL;

	spin_lock_bh(&queue_lock);
	if (ended_waiting) {
		ended_waiting = false;
		goto out;
	}
	request = first_waiting();
	if (request) {
		dequeue(request);
		request->state = LLX_REQUEST_RUNNING;
		request->started_ns = ktime_get_ns();
		WRITE_ONCE(running, request);
	}
out:
	spin_unlock_bh(&queue_lock);
	return request;
}

void llx_queue_finish(struct llx_request *request, int status)
{
	spin_lock_bh(&queue_lock);
	WRITE_ONCE(running, NULL);
	finish(request, status);
	spin_unlock_bh(&queue_lock);
}

void llx_queue_close(void)
{
	struct llx_request *request;

	spin_lock_bh(&queue_lock);
	closed = true;
	while ((request = first_waiting())) {
		dequeue(request);
		finish(request, -ENODEV);
	}
	if (running && !running->stop)
		WRITE_ONCE(running->stop, -ENODEV);
	spin_unlock_bh(&queue_lock);
	wake_up_all(&llx_queue_room);
}
