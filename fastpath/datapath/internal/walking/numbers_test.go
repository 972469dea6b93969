// SPDX-License-Identifier: Apache-2.0

package walking

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// words.h has the numbers of package header, ruleset and diagram.
func TestNumbers(t *testing.T) {
	for name, numbers := range map[string][][2]uint32{
		"words": {
			{uint32(walkingWordWORD_PROTO), uint32(header.Proto)},
			{uint32(walkingWordWORD_SRC0), uint32(header.Src0)},
			{uint32(walkingWordWORD_SRC1), uint32(header.Src1)},
			{uint32(walkingWordWORD_SRC2), uint32(header.Src2)},
			{uint32(walkingWordWORD_SRC3), uint32(header.Src3)},
			{uint32(walkingWordWORD_DST0), uint32(header.Dst0)},
			{uint32(walkingWordWORD_DST1), uint32(header.Dst1)},
			{uint32(walkingWordWORD_DST2), uint32(header.Dst2)},
			{uint32(walkingWordWORD_DST3), uint32(header.Dst3)},
			{uint32(walkingWordWORD_SPORT), uint32(header.Sport)},
			{uint32(walkingWordWORD_DPORT), uint32(header.Dport)},
			{uint32(walkingWordWORD_FLAGS), uint32(header.Flags)},
			{uint32(walkingWordWORD_TOS), uint32(header.TOS)},
			{uint32(walkingWordWORD_LENGTH), uint32(header.Length)},
			{uint32(walkingWordWORD_TTL), uint32(header.TTL)},
			{uint32(walkingWordWORD_STATE), uint32(header.State)},
			{uint32(walkingWordWORD_ORIGIN), uint32(header.Origin)},
			{uint32(walkingWordWORDS), uint32(header.Words)},
		},
		"origins": {
			{uint32(walkingOriginORIGIN_TO), header.To},
			{uint32(walkingOriginORIGIN_FROM), header.From},
		},
		"states": {
			{uint32(walkingCtStateSTATE_INVALID), uint32(header.Invalid)},
			{uint32(walkingCtStateSTATE_NEW), uint32(header.New)},
			{uint32(walkingCtStateSTATE_ESTABLISHED), uint32(header.Established)},
			{uint32(walkingCtStateSTATE_RELATED), uint32(header.Related)},
			{uint32(walkingCtStateSTATE_UNTRACKED), uint32(header.Untracked)},
			{uint32(walkingCtStateSTATE_REPLY), header.StateReply},
			{uint32(walkingCtStateSTATE_SNAT), header.StateSNAT},
			{uint32(walkingCtStateSTATE_DNAT), header.StateDNAT},
		},
		"verdicts": {
			{uint32(walkingVerdictVERDICT_PASS), uint32(ruleset.Pass)},
			{uint32(walkingVerdictVERDICT_DROP), uint32(ruleset.Drop)},
			{uint32(walkingVerdictVERDICT_DEFER), uint32(ruleset.Defer)},
		},
		"limits": {
			{uint32(walkingWalkLimitsCUTS), diagram.Cuts},
			{uint32(walkingWalkLimitsMAX_DEPTH), diagram.MaxDepth},
		},
	} {
		for i, n := range numbers {
			if n[0] != n[1] {
				t.Errorf("%s: number %d is %d in C and %d in Go", name, i, n[0], n[1])
			}
		}
	}
}
