// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/llamux: its file operations. include/uapi/llamux.h is the contract.
 * User memory is touched here, in ioctl.c and in proc.c, and nowhere else.
 */
#include "device.h"
#include "engine/command.h"
#include "ioctl.h"
#include "model_file.h"
#include "session.h"

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/llamux.h>

static int device_open(struct inode *inode, struct file *file)
{
	struct llx_session *session = llx_session_open(file->f_cred->euid);

	if (IS_ERR(session))
		return PTR_ERR(session);
	file->private_data = session;
	return stream_open(inode, file);
}

static int device_release(struct inode *inode, struct file *file)
{
	llx_session_close(file->private_data);
	return 0;
}

static ssize_t device_write(struct file *file, const char __user *user,
			    size_t bytes, loff_t *pos)
{
	char *text;
	int err;

	err = llx_command_check_text(bytes, LLAMUX_PROMPT_MAX);
	if (err)
		return err;
	text = llx_copy_text((uintptr_t)user, bytes);
	if (IS_ERR(text))
		return PTR_ERR(text);
	err = llx_session_prompt(file->private_data, text, bytes,
				 file->f_flags & O_NONBLOCK);
	kvfree(text);
	return err ? err : bytes;
}

/* Copies what is there; @output's reader lock is held. */
static ssize_t copy_answer(struct llx_output *output, char __user *user,
			   size_t bytes)
{
	size_t done = 0;
	const char *text;
	size_t n;

	while (done < bytes && (text = llx_output_front(output, &n))) {
		n = min(n, bytes - done);
		if (copy_to_user(user + done, text, n))
			return done ? done : -EFAULT;
		llx_output_consume(output, n);
		done += n;
	}
	return done;
}

static ssize_t device_read(struct file *file, char __user *user, size_t bytes,
			   loff_t *pos)
{
	struct llx_session *session = file->private_data;
	struct llx_output *output = &session->output;
	ssize_t n;
	int ready;

	if (!bytes)
		return 0;
	do {
		ready = llx_session_wait(session, file->f_flags & O_NONBLOCK);
		if (ready <= 0)
			return ready;
		if (mutex_lock_interruptible(&output->reader))
			return -ERESTARTSYS;
		n = copy_answer(output, user, bytes);
		mutex_unlock(&output->reader);
	} while (!n); /* another reader was faster */
	return n;
}

static __poll_t device_poll(struct file *file, poll_table *wait)
{
	struct llx_session *session = file->private_data;
	struct llx_loaded *loaded;
	__poll_t events;

	poll_wait(file, &session->output.wait, wait);
	poll_wait(file, &llx_queue_room, wait);
	events = llx_session_events(session);
	loaded = llx_model_get();
	if (loaded) {
		llx_model_put(loaded);
		if (llx_queue_has_room(session->user))
			events |= EPOLLOUT | EPOLLWRNORM;
	}
	return events;
}

static long device_ioctl(struct file *file, unsigned int number,
			 unsigned long arg)
{
	return llx_ioctl(file->private_data, number, (void __user *)arg);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.read = device_read,
	.write = device_write,
	.poll = device_poll,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "llamux",
	.fops = &device_fops,
	/* Everyone may ask; what shows others' doings needs CAP_SYS_ADMIN. */
	.mode = 0666,
};

int llx_device_init(void)
{
	return misc_register(&device);
}

void llx_device_exit(void)
{
	misc_deregister(&device);
}
