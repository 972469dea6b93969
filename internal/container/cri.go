// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// criAPI speaks the Container Runtime Interface of Kubernetes, version v1: containerd from
// 1.6, CRI-O from 1.23, cri-dockerd.
type criAPI struct {
	conn   *grpc.ClientConn
	client cri.RuntimeServiceClient
	name   string
}

func dialCRI(ctx context.Context, socket string) (*criAPI, error) {
	// What it connects to is a socket that root has made: there is nothing to encrypt.
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	c := &criAPI{conn: conn, client: cri.NewRuntimeServiceClient(conn)}
	v, err := c.client.Version(ctx, &cri.VersionRequest{})
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("no Container Runtime Interface at %s: %w", socket, err)
	}
	c.name = v.GetRuntimeName()
	return c, nil
}

// describe implements runtime by ContainerStatus or, because the pod's own process is in
// a sandbox with an ID like a container's, by PodSandboxStatus.
func (c *criAPI) describe(ctx context.Context, id string) (trace.Container, error) {
	answer, err := c.client.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if status.Code(err) == codes.NotFound {
		return c.describeSandbox(ctx, id)
	}
	if err != nil {
		return trace.Container{}, err
	}
	s := answer.GetStatus()
	d := ofLabels(s.GetLabels())
	d.ID, d.Runtime = id, c.name
	if name := s.GetMetadata().GetName(); name != "" {
		d.Name = name
	}
	return d, nil
}

func (c *criAPI) describeSandbox(ctx context.Context, id string) (trace.Container, error) {
	answer, err := c.client.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id})
	if status.Code(err) == codes.NotFound {
		return trace.Container{}, errNotFound
	}
	if err != nil {
		return trace.Container{}, err
	}
	m := answer.GetStatus().GetMetadata()
	return trace.Container{
		ID: id, Runtime: c.name,
		Pod: trace.Pod{Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUid()},
	}, nil
}

func (c *criAPI) close() { _ = c.conn.Close() }
