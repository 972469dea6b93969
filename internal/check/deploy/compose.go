// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// readCompose loads docker-compose.yml as `docker compose config` does: without a profile,
// which is as .env says, and with each that any service names.
func readCompose(ctx context.Context, root string) ([]Container, error) {
	all, err := loadProject(ctx, root, "*")
	if err != nil {
		return nil, fmt.Errorf("docker-compose.yml: %w", err)
	}
	profiles := []string{""}
	for _, s := range all.Services {
		for _, p := range s.Profiles {
			if !slices.Contains(profiles, p) {
				profiles = append(profiles, p)
			}
		}
	}
	slices.Sort(profiles)
	var containers []Container
	var errs []error
	for _, profile := range profiles {
		project, err := loadProject(ctx, root, profile)
		if err != nil {
			errs = append(errs, fmt.Errorf("docker-compose.yml, profile %q: %w", profile, err))
			continue
		}
		for _, name := range project.ServiceNames() {
			c := fromService(root, project.Services[name])
			c.Name = profile + "/" + name
			containers = append(containers, c)
		}
	}
	return containers, errors.Join(errs...)
}

// loadProject loads docker-compose.yml with its .env and nothing of this process's
// environment.
func loadProject(ctx context.Context, root, profile string) (*types.Project, error) {
	options := []cli.ProjectOptionsFn{
		cli.WithWorkingDirectory(root), cli.WithEnvFiles(), cli.WithDotEnv,
	}
	if profile == "" {
		options = append(options, cli.WithDefaultProfiles())
	} else {
		options = append(options, cli.WithProfiles([]string{profile}))
	}
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, options...)
	if err != nil {
		return nil, err
	}
	return o.LoadProject(ctx)
}

func fromService(root string, s types.ServiceConfig) Container {
	c := Container{
		Image: s.Image, Args: s.Command, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		Privileged: s.Privileged, ReadOnly: s.ReadOnly,
		NoEscalation: slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
		HostPID:      s.Pid == "host", HostNetwork: s.NetworkMode == "host",
	}
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, p.HostIP+":"+p.Published)
	}
	for _, n := range s.Networks {
		if n != nil {
			c.Aliases = append(c.Aliases, n.Aliases...)
		}
	}
	for _, v := range s.Volumes {
		if file, ok := strings.CutPrefix(v.Source, root+"/"); ok && v.Type == types.VolumeTypeBind {
			c.Files = append(c.Files, file)
		}
	}
	return c
}
