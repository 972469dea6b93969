// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* How many hold on to a network namespace.
 *
 * A netfilter link does, and so would keep a namespace that everybody else has left
 * alive for good, with the devices in it. The kernel tells user space neither when
 * that happens nor the count, hence this program, run by a system call.
 */
#include "kernel.h"

/* The count's name before and from Linux 6.18 on. */
struct ns_common___before_6_18 {
	refcount_t count;
} __attribute__((preserve_access_index));

struct ns_common___6_18 {
	refcount_t __ns_ref;
} __attribute__((preserve_access_index));

static __always_inline __u32 references(struct net *net)
{
	struct ns_common___before_6_18 *before = (void *)&net->ns;
	struct ns_common___6_18 *since = (void *)&net->ns;

	if (bpf_core_field_exists(since->__ns_ref))
		return BPF_CORE_READ(since, __ns_ref.refs.counter);
	if (bpf_core_field_exists(before->count))
		return BPF_CORE_READ(before, count.refs.counter);
	return 0;
}

/* What the program is given and gives back. */
struct netns_references {
	__u64 net; /* address of the namespace's struct net */
	__u32 inode;
	__u32 count; /* 0 if the kernel does not tell */
};

/* With args->net 0, finds the calling thread's namespace first. The address is only
 * as good as the caller's links in that namespace, which keep it from being freed.
 */
SEC("syscall")
int count_references(struct netns_references *args)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = (void *)args->net;

	if (!net)
		net = BPF_CORE_READ(task, nsproxy, net_ns);
	args->net = (__u64)net;
	args->inode = BPF_CORE_READ(net, ns.inum);
	args->count = references(net);
	return 0;
}
