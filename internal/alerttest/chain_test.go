// SPDX-License-Identifier: Apache-2.0

package alerttest_test

// pace is by how much the rules are run faster: 5 minutes take 10 seconds.
const pace = 30
