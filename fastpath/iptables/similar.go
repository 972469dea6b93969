// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strings"
)

// similar returns the candidate that was perhaps meant, or "".
func similar(to string, candidates []string) string {
	best, least := "", 3
	if len(to) < 5 {
		least = 2
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(to, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// didYouMean returns a hint, or other if there is no similar candidate.
func didYouMean(to string, candidates []string, other string) string {
	if s := similar(to, candidates); s != "" {
		return "did you mean " + s + "?"
	}
	return other
}

// distance counts the letters to insert, delete, replace or swap with the next to make b of a, but not
// further than to 9 for words that are much longer.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > 32 || len(b) > 32 || len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 9
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
