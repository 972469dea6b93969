// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// readKubernetes builds the kustomization in dir and decodes what comes out.
func readKubernetes(dir string) ([]Container, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var containers []Container
	var errs []error
	for _, r := range built.Resources() {
		found, err := decode(r)
		if err != nil {
			err = fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		containers, errs = append(containers, found...), append(errs, err)
	}
	return containers, errors.Join(errs...)
}

// decode decodes a resource into Kubernetes' type for it, and finds its containers.
func decode(r *resource.Resource) ([]Container, error) {
	text, err := r.AsYAML()
	if err != nil {
		return nil, err
	}
	var template *corev1.PodTemplateSpec
	var into any
	switch kind := r.GetApiVersion() + " " + r.GetKind(); kind {
	case "apps/v1 DaemonSet":
		o := &appsv1.DaemonSet{}
		into, template = o, &o.Spec.Template
	case "apps/v1 Deployment":
		o := &appsv1.Deployment{}
		into, template = o, &o.Spec.Template
	case "apps/v1 StatefulSet":
		o := &appsv1.StatefulSet{}
		into, template = o, &o.Spec.Template
	case "v1 ConfigMap":
		into = &corev1.ConfigMap{}
	case "v1 Namespace":
		into = &corev1.Namespace{}
	case "v1 Service":
		into = &corev1.Service{}
	case "v1 ServiceAccount":
		into = &corev1.ServiceAccount{}
	case "rbac.authorization.k8s.io/v1 ClusterRole":
		into = &rbacv1.ClusterRole{}
	case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
		into = &rbacv1.ClusterRoleBinding{}
	default:
		return nil, fmt.Errorf("%s is not a kind that this program knows", kind)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return nil, err
	}
	if template == nil {
		return nil, nil
	}
	return fromPod(r.GetKind()+"/"+r.GetName(), template)
}

// fromPod describes the containers of a pod. A container without a security context, or
// with a volume that the pod has not, is an error.
func fromPod(name string, t *corev1.PodTemplateSpec) ([]Container, error) {
	var containers []Container
	var errs []error
	volumes, host := map[string]bool{}, map[string]string{}
	for _, v := range t.Spec.Volumes {
		volumes[v.Name] = true
		if v.HostPath != nil {
			host[v.Name] = v.HostPath.Path
		}
	}
	for _, c := range t.Spec.Containers {
		if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
			errs = append(errs, fmt.Errorf("container %s: no security context with capabilities", c.Name))
			continue
		}
		var writable []string
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				errs = append(errs, fmt.Errorf("container %s: no volume %s", c.Name, m.Name))
			}
			if path := host[m.Name]; path != "" && !m.ReadOnly {
				writable = append(writable, path)
			}
		}
		s := c.SecurityContext
		containers = append(containers, Container{
			Name: name + "/" + c.Name, Image: c.Image, Args: c.Args,
			CapAdd: names(s.Capabilities.Add), CapDrop: names(s.Capabilities.Drop),
			Privileged: is(s.Privileged, true), ReadOnly: is(s.ReadOnlyRootFilesystem, true),
			NoEscalation: is(s.AllowPrivilegeEscalation, false),
			HostPID:      t.Spec.HostPID, HostNetwork: t.Spec.HostNetwork, Writable: writable,
		})
	}
	return containers, errors.Join(errs...)
}

func is(b *bool, value bool) bool { return b != nil && *b == value }

func names(capabilities []corev1.Capability) []string {
	var all []string
	for _, c := range capabilities {
		all = append(all, string(c))
	}
	return all
}
