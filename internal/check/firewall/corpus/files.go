// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// file is rules of one family from one file.
type file struct {
	name   string
	family header.Family
	lines  []line
	// own are the chains that the file declares, by table.
	own map[string][]string
}

// line is one rule.
type line struct {
	table, chain string
	// text is the rule as it stands in the file, without "-A CHAIN".
	text string
	// shell: the text is to be read as a shell does, and not as iptables-restore does.
	shell bool
}

// readFiles reads all files below the directories that have rules.
func readFiles(dirs []string) ([]file, error) {
	var all []file
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all = append(all, read(path, text)...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

var saved = regexp.MustCompile(`(?m)^\*(filter|nat|mangle|raw|security)\s*$`)

// read returns the rules of one file, or nothing if it is of another sort.
func read(path string, text []byte) []file {
	name := filepath.Base(path)
	if filepath.Ext(name) == ".t" {
		var all []file
		for prefix, families := range map[string][]header.Family{
			"libxt_": {header.V4, header.V6}, "libipt_": {header.V4}, "libip6t_": {header.V6},
		} {
			if strings.HasPrefix(name, prefix) {
				for _, f := range families {
					all = append(all, file{name: path, family: f, lines: extensionLines(string(text))})
				}
			}
		}
		return all
	}
	if !saved.Match(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	f := file{name: path, family: header.V4, own: map[string][]string{}}
	if strings.Contains(path, "ip6") || strings.Contains(path, "ipv6") {
		f.family = header.V6
	}
	f.readSave(string(text))
	return []file{f}
}

// extensionLines reads the format of the iptables project: "*table", ":CHAIN,CHAIN", and "rule;result;OK".
func extensionLines(text string) []line {
	table, chains := "filter", []string{}
	var lines []line
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimRight(l, " \t\r")
		switch {
		case l == "" || strings.ContainsRune("#@%", rune(l[0])):
		case l[0] == '*':
			table = l[1:]
		case l[0] == ':':
			chains = strings.Split(l[1:], ",")
		default:
			rule := strings.Split(l, ";")[0]
			// One chain will do, but each may refuse what the others take.
			for _, c := range chains {
				lines = append(lines, line{table: table, chain: c, text: rule, shell: true})
			}
		}
	}
	return lines
}

// readSave reads iptables-save's format by itself, not by the package under test.
func (f *file) readSave(text string) {
	table := ""
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimRight(l, " \t\r")
		if strings.HasPrefix(l, "[") {
			_, l, _ = strings.Cut(l, "] ")
		}
		fields := strings.SplitN(l, " ", 3)
		switch {
		case saved.MatchString(l):
			table = l[1:]
		case l == "COMMIT":
			table = ""
		case table == "":
		case strings.HasPrefix(l, ":") && len(fields) > 1 && fields[1] == "-":
			f.own[table] = append(f.own[table], fields[0][1:])
		case fields[0] == "-A" && len(fields) == 3:
			f.lines = append(f.lines, line{table: table, chain: fields[1], text: fields[2]})
		}
	}
}

// tables returns the tables of the file's rules, in order.
func (f *file) tables() []string {
	var all []string
	for _, l := range f.lines {
		if !slices.Contains(all, l.table) {
			all = append(all, l.table)
		}
	}
	return all
}

// parse reads the rule as the package does. It may be several, for lists of addresses.
func (l line) parse(f header.Family) ([]*iptables.Rule, error) {
	if l.shell {
		c, err := iptables.ParseLine(program(f, "") + " -t " + l.table + " -A " + l.chain + " " + l.text)
		if err != nil {
			return nil, err
		}
		return c.Rules, nil
	}
	var s strings.Builder
	s.WriteString("*" + l.table + "\n:" + l.chain + " - [0:0]\n-A " + l.chain + " " + l.text + "\nCOMMIT\n")
	save, err := iptables.ParseSave(f, strings.Replace(s.String(), " - [", policyOf(l.chain)+" [", 1))
	if err != nil {
		return nil, err
	}
	return save.Table(l.table).Chain(l.chain).Rules, nil
}

func policyOf(chain string) string {
	if slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"}, chain) {
		return " ACCEPT"
	}
	return " -"
}

// program returns the name of the program for a family and back end.
func program(f header.Family, backend string) string {
	name := "iptables"
	if f == header.V6 {
		name = "ip6tables"
	}
	if backend != "" {
		name += "-" + backend
	}
	return name
}

// shellWords cuts a rule into words as a shell does, as far as the files need it.
func shellWords(text string) []string {
	var words []string
	for _, m := range shellWord.FindAllString(text, -1) {
		words = append(words, strings.NewReplacer(`\"`, `"`, `\\`, `\`, `"`, "", "'", "").Replace(m))
	}
	return words
}

var shellWord = regexp.MustCompile(`(?:[^\s"']|"(?:[^"\\]|\\.)*"|'[^']*')+`)
