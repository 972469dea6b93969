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

// readCompose loads files as `docker compose config` does, each laid over those before: without a
// profile, which is as .env says, and with each that any service names.
func readCompose(ctx context.Context, root string, files []string) ([]Container, error) {
	last := files[len(files)-1]
	all, err := loadProject(ctx, root, files, "*")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", last, err)
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
		project, err := loadProject(ctx, root, files, profile)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, profile %q: %w", last, profile, err))
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

// loadProject loads files with their .env and nothing of this process's environment.
func loadProject(ctx context.Context, root string, files []string, profile string) (*types.Project, error) {
	options := []cli.ProjectOptionsFn{
		cli.WithWorkingDirectory(root), cli.WithEnvFiles(), cli.WithDotEnv,
	}
	if profile == "" {
		options = append(options, cli.WithDefaultProfiles())
	} else {
		options = append(options, cli.WithProfiles([]string{profile}))
	}
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = filepath.Join(root, file)
	}
	o, err := cli.NewProjectOptions(paths, options...)
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
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if file, ok := strings.CutPrefix(v.Source, root+"/"); ok {
			c.Files = append(c.Files, file)
		}
		if !v.ReadOnly {
			c.Writable = append(c.Writable, v.Source)
		}
	}
	return c
}
