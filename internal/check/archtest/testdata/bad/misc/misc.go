// Package misc has no licence line and should not be at the top.
package misc
