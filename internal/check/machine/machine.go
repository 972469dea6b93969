// SPDX-License-Identifier: Apache-2.0

// Package machine has what is needed to boot an emulated machine: one of Debian's kernels,
// as ".ci/install kernels" unpacks them, and a file system to begin with.
package machine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Layers is the directory, below the root of the repository, that has a directory for each
// kernel, named after its version, and one for tools. Each is a layer of a file system.
const Layers = ".cache/kernels"

// Kernel is a kernel for amd64.
type Kernel struct {
	Image   string // file to boot
	Modules string // directory
	Layer   string // directory of both
}

// Find returns the kernel of a version, such as "6.12", of a clone of the repository.
func Find(root, version string) (Kernel, error) {
	layer := filepath.Join(root, Layers, version)
	images, err := filepath.Glob(filepath.Join(layer, "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, err
	}
	if len(images) != 1 {
		return Kernel{}, fmt.Errorf("found %d kernels in %s, want one: remove it and run .ci/install as root", len(images), layer)
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	return Kernel{Image: images[0], Modules: filepath.Join(layer, "lib", "modules", release), Layer: layer}, nil
}
