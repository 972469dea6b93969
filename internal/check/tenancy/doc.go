// SPDX-License-Identifier: Apache-2.0

// Package tenancy builds hosts of several tenants at random, pings between them, and looks for
// anything of one tenant in all that another can get from the agent.
package tenancy
