// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"cmp"
	"slices"
)

// Quartiles returns the first, the second, which is the median, and the third; of no values, zeros.
func Quartiles[T cmp.Ordered](values []T) (q [3]T) {
	if len(values) == 0 {
		return q
	}
	sorted := slices.Sorted(slices.Values(values))
	return [3]T{sorted[len(sorted)/4], sorted[len(sorted)/2], sorted[len(sorted)*3/4]}
}
