// SPDX-License-Identifier: Apache-2.0

// Package tenantdir reads tenants from the files of a directory, where an orchestrator
// adds, changes and removes them while the agent runs.
//
// What a mistake in a file must not do is show one tenant's packets to another. A tenant
// whose file is read wrongly, or not at all, seems to own less than it does, and a pattern
// of another tenant may then match its devices. So a definition that was in force stays so
// until a better one can be read or the file is removed. When nothing is known of a file,
// because the agent has just started, no tenant is in force at all: the agent traces for
// the operator, and shows tenants nothing until every file can be read.
package tenantdir
