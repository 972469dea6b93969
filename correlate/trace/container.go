// SPDX-License-Identifier: Apache-2.0

package trace

// Container is a container, as its cgroup and its runtime describe it. What is not known
// is empty.
type Container struct {
	// ID is the runtime's, mostly 64 hexadecimal digits. LXC, systemd-nspawn and libvirt
	// have only a name, which is the ID as well.
	ID string
	// Name is the runtime's name of the container; of a pod's container, that in the pod.
	Name string
	// Runtime is what manages the container: docker, containerd, cri-o, podman, lxc (also
	// for Incus and LXD), systemd-nspawn or libvirt-lxc.
	Runtime string
	// Pod is the Kubernetes pod that the container is part of.
	Pod Pod
}

// Pod is a Kubernetes pod. What is not known is empty.
type Pod struct{ Name, Namespace, UID string }

// shortID is how many digits of an ID are enough for people, as docker ps prints it.
const shortID = 12

// Title is what to call the container's network namespace: that belongs to the pod, if
// there is one, as all of its containers share it. What has no name goes by its ID.
// A pod is called as in the names of Kubernetes' DNS, pod.namespace: its own name is
// unique in its Kubernetes namespace only, and a slash would make it look like a path.
func (c *Container) Title() string {
	switch {
	case c.Pod.Name != "" && c.Pod.Namespace != "":
		return c.Pod.Name + "." + c.Pod.Namespace
	case c.Pod.Name != "":
		return c.Pod.Name
	case c.Name != "":
		return c.Name
	case len(c.ID) > shortID:
		return c.ID[:shortID]
	}
	return c.ID
}
