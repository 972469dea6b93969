// SPDX-License-Identifier: Apache-2.0

// Command dwell may see all.
package main

import (
	_ "github.com/dwelltrace/dwell/bpf"
	_ "github.com/dwelltrace/dwell/exporter"
)

func main() {}
