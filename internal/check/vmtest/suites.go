// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"path"
	"slices"
	"strings"
)

// suite is a package whose tests run on other kernels.
type suite struct {
	dir string // of the package, below the root of the repository
	// not has the tests that do not run there, each a regular expression for a whole name.
	not []string
}

// suites returns the packages that are tested by default. A machine is ten to twenty times
// slower than a real one, and CI waits for it: what no kernel does differently is left out,
// and so are floods, which tell nothing in a machine that is that slow.
func suites() []suite {
	return []suite{
		{dir: "bpf", not: slices.Concat(
			// Floods.
			[]string{"TestNetfilterWhileRunning", "TestFilterChangedUnderLoad", "TestFloodFromEachCPU", "TestLargestRingComesRound", "TestRecordsAreWhole"},
			// About user space.
			[]string{"TestCloseWhileReading", "TestMerge.*", "TestReadAndGather", "TestUnread"},
		)},
		{dir: "internal/check/roads", not: slices.Concat(
			// A flood.
			[]string{"TestManyPings"},
			// About the repository, not the kernel.
			[]string{"TestPage", "TestCommittedResults"},
		)},
		{dir: "internal/agent", not: slices.Concat(
			// Floods.
			[]string{"TestFlood.*", "TestRingLossIsSaid", "TestFullRingIsTakenInChunks", "TestBurstIsLargerThanTheRing", "TestFullQueue", "TestKernelChoosesAsExporter", "TestSamplingIsChangedUnderTraffic"},
			// The roads have the same devices, and more.
			[]string{"TestPathOfEveryTopology", "TestTopologiesSideBySide"},
			// About the correlator and the exporters.
			[]string{"TestTwoGuestsAlike", "TestAddressesChooseAmongTwins", "TestPingsWithoutPayload", "TestStartedInMidJourney", "TestStoppedInMidJourney", "TestFailedExportIsAnError", "TestStuckExporterIsGivenUp", "TestOpenIsLast", "TestCountEndsTheRun"},
			// Each of its deaths has a road, or a test of package bpf, and it takes longest.
			[]string{"TestDropsTellReasonAndPlace"},
		)},
		// That each verifier takes the walk through a diagram.
		{dir: "fastpath/datapath/internal/walking", not: []string{
			// A million packets, and C and Go are the same everywhere.
			"TestWalkEqualsGo", "TestNumbers",
		}},
		// That raw sockets are told of ICMP errors, and what they filter.
		{dir: "internal/probe", not: slices.Concat(
			// About what is planned and counted.
			[]string{"TestGone.*", "TestLate.*", "TestSetLeaves.*", "TestTwoNamespaces.*", "TestProbesAre.*", "TestJitter", "TestOutcomes", "TestEvery.*", "TestResults.*", "TestKey", "TestPayload.*", "TestTenants.*", "TestStats.*", "TestNames.*", "TestLimits.*", "TestTargetsCount.*"},
			// The same again, at intervals, and what user space makes of it.
			[]string{"TestNamespace.*", "TestTargetsOn.*", "TestUnreachable.*", "TestForged.*", "TestICMPErrorsAreNoted"},
		)},
		// That the topologies forward and translate, above all between tenants with equal addresses.
		{dir: "internal/study/lab", not: slices.Concat(
			// About files, processes and descriptions.
			[]string{"TestCancel.*", "TestDown.*", "TestUpMendsWhatAKilledUpLeft", "TestUpWaitsForTheOther", "TestUpRepairs", "TestListTellsWhatIsThere", "TestGetAndOpenErrors", "TestInParallel", "TestDescriptions", "TestFindErrors", "TestCheckPrefix", "TestPings"},
			// Measures time.
			[]string{"TestFirstPacketGetsThrough"},
		)},
	}
}

// choose returns the suites of these packages, or all.
func choose(packages []string) []suite {
	all := suites()
	if len(packages) == 0 {
		return all
	}
	var chosen []suite
	for _, p := range packages {
		dir := path.Clean(strings.TrimPrefix(p, "./"))
		i := slices.IndexFunc(all, func(s suite) bool { return s.dir == dir })
		if i < 0 {
			chosen = append(chosen, suite{dir: dir})
			continue
		}
		chosen = append(chosen, all[i])
	}
	return chosen
}

// binary is the name of the suite's test program.
func (s suite) binary() string { return strings.ReplaceAll(s.dir, "/", "-") + ".test" }

// pattern is the value of the flag -test.skip.
func (s suite) pattern() string {
	if len(s.not) == 0 {
		return ""
	}
	return "^(" + strings.Join(s.not, "|") + ")$"
}
