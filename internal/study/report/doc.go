// SPDX-License-Identifier: Apache-2.0

// Package report shows what a study found: as text, CSV, JSON, Markdown, a chart, and
// one HTML page that needs nothing from elsewhere.
//
// Every table is made once, as a [Table], and then written in each of the forms, so
// that they cannot disagree. The chart is hand-made, too: it consists of rectangles and
// text, has to follow the reader's light or dark scheme inside the page, and so is better
// off without a plotting library, which would bring ten modules for it. The PNG is drawn
// with golang.org/x/image and its Go fonts.
package report
