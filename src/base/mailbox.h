/*
 * mailbox: how one thread asks another to do something. A message is a
 * function and its argument; it runs on the owner's event loop, in the
 * order of posting. The owner makes and frees it; any thread may post.
 */
#ifndef UNATATP_BASE_MAILBOX_H
#define UNATATP_BASE_MAILBOX_H

struct event_base;
struct mailbox;

typedef void mailbox_fn(void *owner, void *arg);

/* OWNER is what each message gets first. NULL with errno on failure. */
struct mailbox *mailbox_new(struct event_base *base, void *owner);

/* Runs what is still inside, so that no argument is lost. */
void mailbox_free(struct mailbox *box);

/*
 * ARG is the message's from here on. 0 or -ENOMEM: there is no memory, and
 * dozens of messages wait already in what is kept for that.
 */
__attribute__((warn_unused_result)) int mailbox_post(
    struct mailbox *box, mailbox_fn *fn, void *arg);

#endif
