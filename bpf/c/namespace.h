// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* How many hold on to a network namespace, and how many of them are netfilter links.
 *
 * A link does, and so would keep a namespace that everybody else has left alive for
 * good, with the devices in it. The links of two that trace would keep it for each
 * other. The kernel tells user space neither when that happens nor the counts (what
 * it says about a link leaves out the namespace), hence this program, run by a
 * system call.
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
	__u32 links; /* how many of them are netfilter links, of whoever */
};

extern void bpf_rcu_read_lock(void) __ksym __weak; /* Linux 6.2 */
extern void bpf_rcu_read_unlock(void) __ksym __weak;

/* What the callbacks below are given. */
struct link_count {
	void *hooks; /* the namespace's array of hooks of one protocol */
	void *origins; /* of what is called at one of them, pointers to struct nf_hook_ops */
	/* Holds the count: of what is there the verifier knows nothing, so that an iteration
	 * is like the one before.
	 */
	struct netns_references *args;
};

/* Counts the i-th that is called at a hook if it is a link's program. */
static long count_link(__u64 i, struct link_count *at)
{
	struct nf_hook_ops *origin = NULL;

	bpf_probe_read_kernel(&origin, sizeof(origin), at->origins + i * sizeof(origin));
	at->args->links += BPF_CORE_READ_BITFIELD_PROBED(origin, hook_ops_type) ==
		     bpf_core_enum_value(enum nf_hook_ops_type, NF_HOOK_OP_BPF);
	return 0;
}

/* Counts the links at the i-th hook. A hook at which nothing is called has no array. */
static long count_links(__u64 i, struct link_count *at)
{
	struct nf_hook_entries *entries = NULL;
	__u16 count;

	bpf_probe_read_kernel(&entries, sizeof(entries), at->hooks + i * sizeof(entries));
	count = BPF_CORE_READ(entries, num_hook_entries);
	at->origins = (void *)entries->hooks + count * bpf_core_type_size(struct nf_hook_entry);
	bpf_loop(count, count_link, at, 0);
	return 0;
}

/* Counts the links in a namespace: there are none for other protocols, and none before
 * Linux 6.4.
 */
static __always_inline __u32 links(struct net *net, struct netns_references *args)
{
	struct link_count at = { .args = args };

	args->links = 0;
	if (!bpf_core_enum_value_exists(enum nf_hook_ops_type, NF_HOOK_OP_BPF))
		return 0;
	bpf_rcu_read_lock();
	at.hooks = net->nf.hooks_ipv4;
	bpf_loop(NF_INET_NUMHOOKS, count_links, &at, 0);
	at.hooks = net->nf.hooks_ipv6;
	bpf_loop(NF_INET_NUMHOOKS, count_links, &at, 0);
	bpf_rcu_read_unlock();
	return args->links;
}

/* With args->net 0, finds the calling thread's namespace first. The address is only
 * as good as the caller's links in that namespace, which keep it from being freed.
 */
SEC("syscall")
int count_references(struct netns_references *args)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = (void *)args->net;
	__u32 before, after;

	if (!net)
		net = BPF_CORE_READ(task, nsproxy, net_ns);
	args->net = (__u64)net;
	args->inode = BPF_CORE_READ(net, ns.inum);
	/* A link that is made or closed meanwhile must not count among the links without
	 * counting among the references.
	 */
	before = links(net, args);
	args->count = references(net);
	after = links(net, args);
	args->links = before < after ? before : after;
	return 0;
}
