// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
)

// columnsOf returns the columns of iptables -nL for a rule as iptables-save prints it: target,
// prot, opt, in, out, source, destination, and what else it says, in the words of
// iptables-save.
func columnsOf(text string, family int) []string {
	anywhere := "0.0.0.0/0"
	if family == 6 {
		anywhere = "::/0"
	}
	cells := map[string]string{"-p": "all", "-i": "*", "-o": "*", "-s": anywhere, "-d": anywhere, "-f": "--"}
	var rest []string
	words := savedWords(text)
	for i := 0; i < len(words); i++ {
		not := ""
		if words[i] == "!" && i+1 < len(words) {
			not, i = "!", i+1
		}
		option, has := words[i], i+1 < len(words)
		switch {
		case option == "-f":
			cells[option] = not + option
		case slices.Contains([]string{"-p", "-i", "-o", "-s", "-d", "-j", "-g"}, option) && has && (option == "-j" || option == "-g" || !slices.Contains(words[:i], "-j")):
			i++
			cells[option] = not + bare(option, words[i], family)
		case option == "-m" && has && not == "" && words[i+1] == strings.TrimPrefix(cells["-p"], "!"):
			i++ // iptables-save says so, and it goes without saying
		case not != "":
			rest = append(rest, "!", option)
		default:
			rest = append(rest, option)
		}
	}
	target := cells["-j"]
	if cells["-g"] != "" {
		target = cells["-g"]
		rest = append(rest, "[goto]")
	}
	return []string{target, cells["-p"], cells["-f"], cells["-i"], cells["-o"], cells["-s"], cells["-d"], strings.Join(rest, " ")}
}

// bare takes off the length of the prefix of a single address.
func bare(option, word string, family int) string {
	suffix := "/32"
	if family == 6 {
		suffix = "/128"
	}
	if option == "-s" || option == "-d" {
		return strings.TrimSuffix(word, suffix)
	}
	return word
}

// savedWords returns the words of a line of iptables-save. What it has in quotes stays in
// them.
func savedWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
			continue
		}
		word.WriteRune(r)
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}
