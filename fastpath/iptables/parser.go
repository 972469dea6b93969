// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// parser reads the words of one command, as getopt_long and iptables do.
type parser struct {
	family header.Family
	words  []word
	// at is the index of the next word.
	at int
	// not is the index of the ! that the next option needs, or -1.
	not int

	cmd  *Command
	rule *Rule
	// src and dst are all addresses of -s and -d, which make a rule each.
	src, dst []Address
	// given has the index of the word of each short option.
	given map[byte]int
	// loaded are the matches and the target in the order in which they were named.
	loaded []*instance
	// inFile: the command is a line of a file, which says the table elsewhere.
	inFile bool
}

// instance is a match or target, and its options in the command.
type instance struct {
	name   string
	target bool
	// known are its options; nil for one that iptables does not come with.
	known   extension
	options []parsedOption
	// at is the index of the word that named it.
	at int
}

// parsedOption is an option and the index of its word.
type parsedOption struct {
	Option
	at int
}

func newParser(family header.Family, words []word) *parser {
	return &parser{
		family: family, words: words, not: -1, given: map[byte]int{},
		cmd:  &Command{Family: family, Table: "filter"},
		rule: &Rule{Family: family},
	}
}

// run reads all words. None may have a control character: what stands for a blank or the end of a
// line here need not do so for iptables-restore, and terminals that show a rule would obey it.
func (p *parser) run() error {
	if i := slices.IndexFunc(p.words, func(w word) bool { return strings.ContainsFunc(w.text, control) }); i >= 0 {
		return p.errorAt(i, "a word has a line break or another control character in it", "leave it out")
	}
	for p.at < len(p.words) {
		if err := p.next(); err != nil {
			return err
		}
	}
	if p.not >= 0 {
		return p.errorAt(p.not, "nothing follows the !", "write what it negates after it")
	}
	return nil
}

// control reports whether a letter is a control character other than a tab, which quotes keep.
func control(r rune) bool { return r != '\t' && unicode.IsControl(r) }

func (p *parser) next() error {
	at := p.at
	text := p.words[at].text
	switch {
	case text == "!":
		if p.not >= 0 {
			return p.errorAt(at, "there is more than one !", "write one")
		}
		p.not = at
		p.at++
		return nil
	case strings.HasPrefix(text, "--") && len(text) > 2:
		p.at++
		return p.long(at, text)
	case strings.HasPrefix(text, "-") && len(text) > 1:
		p.at++
		return p.short(at, text[1:])
	}
	return p.errorAt(at, "Bad argument `"+text+"'", "an option, such as -s or -j, must come before it")
}

// errorAt returns an error about a word; at may be the number of words.
func (p *parser) errorAt(at int, reason, hint string) *SyntaxError {
	e := &SyntaxError{Word: at, Reason: reason, Hint: hint}
	switch {
	case at < len(p.words):
		e.Text, e.Column = p.words[at].text, p.words[at].column
	case len(p.words) > 0:
		last := p.words[len(p.words)-1]
		e.Column = last.column + len(Quote(last.text)) + 1
	}
	return e
}

// take returns the word that an option needs as its argument.
func (p *parser) take(at int, option string) (string, error) {
	if p.at >= len(p.words) {
		return "", p.errorAt(len(p.words), "option "+option+" needs an argument", "write it after "+p.words[at].text)
	}
	p.at++
	return p.words[p.at-1].text, nil
}

// hasArgument reports whether a word follows that is not an option.
func (p *parser) hasArgument() bool {
	if p.at >= len(p.words) {
		return false
	}
	text := p.words[p.at].text
	return !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "!")
}

// coreOptions are iptables' own options with their letters.
var coreOptions = map[string]byte{
	"append": 'A', "delete": 'D', "check": 'C', "insert": 'I', "replace": 'R', "list": 'L',
	"list-rules": 'S', "flush": 'F', "zero": 'Z', "new-chain": 'N', "delete-chain": 'X',
	"rename-chain": 'E', "policy": 'P', "source": 's', "src": 's', "destination": 'd', "dst": 'd',
	"protocol": 'p', "in-interface": 'i', "out-interface": 'o', "jump": 'j', "goto": 'g',
	"table": 't', "match": 'm', "numeric": 'n', "verbose": 'v', "wait": 'w', "wait-interval": 'W',
	"exact": 'x', "fragments": 'f', "version": 'V', "help": 'h', "line-numbers": '0',
	"modprobe": 'M', "set-counters": 'c', "ipv4": '4', "ipv6": '6',
}

// Letters by what follows them.
const (
	needArgument     = "ADCIRNEPsdpiojgtmWMc"
	optionalArgument = "LSFZXw"
	noArgument       = "nvxf0Vh46"
)

// long reads an option that begins with --.
func (p *parser) long(at int, text string) error {
	name, value, hasValue := strings.Cut(text[2:], "=")
	letter, in, spec, err := p.find(at, name)
	if err != nil {
		return err
	}
	if in != nil {
		return p.extensionOption(at, in, spec, value, hasValue)
	}
	if hasValue && strings.IndexByte(noArgument, letter) >= 0 {
		return p.errorAt(at, "option --"+name+" does not take an argument", "leave out ="+value)
	}
	return p.core(at, letter, value, hasValue)
}

// find returns the option with the name: one of iptables itself by its letter, or one of a
// match or target.
func (p *parser) find(at int, name string) (byte, *instance, optionSpec, error) {
	for range 2 {
		if letter, is := coreOptions[name]; is {
			return letter, nil, optionSpec{}, nil
		}
		for _, in := range slices.Backward(p.loaded) {
			if spec, is := in.known[name]; is {
				return 0, in, spec, nil
			}
		}
		if letter, in, spec, is, err := p.abbreviated(at, name); is || err != nil {
			return letter, in, spec, err
		}
		if !p.loadProtocol(at, name) {
			break
		}
	}
	for _, in := range slices.Backward(p.loaded) {
		if in.known == nil {
			return 0, in, optionSpec{name: "--" + name}, nil
		}
	}
	err := p.unknownOption(at, name)
	if t := &p.rule.Target; t.Kind == ToChain && !t.Goto && err.foreign {
		// Not a chain but a target that iptables does not come with.
		t.Kind = Extension
		in := &instance{name: t.Name, target: true, at: p.given['j'] + 1}
		p.loaded = append(p.loaded, in)
		return 0, in, optionSpec{name: "--" + name}, nil
	}
	return 0, nil, optionSpec{}, err.SyntaxError
}

// abbreviated finds the only option that begins with a text, as getopt_long does.
func (p *parser) abbreviated(at int, name string) (byte, *instance, optionSpec, bool, error) {
	type candidate struct {
		letter byte
		in     *instance
		spec   optionSpec
	}
	var all []candidate
	for _, full := range slices.Sorted(maps.Keys(coreOptions)) {
		if strings.HasPrefix(full, name) {
			all = append(all, candidate{letter: coreOptions[full]})
		}
	}
	for _, in := range slices.Backward(p.loaded) {
		for _, full := range slices.Sorted(maps.Keys(in.known)) {
			if strings.HasPrefix(full, name) {
				all = append(all, candidate{in: in, spec: in.known[full]})
			}
		}
	}
	all = slices.Compact(all)
	if len(all) == 0 {
		return 0, nil, optionSpec{}, false, nil
	}
	if len(all) > 1 {
		return 0, nil, optionSpec{}, false, p.errorAt(at, "option --"+name+" may mean several options", "write it in full")
	}
	return all[0].letter, all[0].in, all[0].spec, true, nil
}

// loadProtocol loads the match of the rule's protocol, if it is not there and has the option,
// as iptables does for an option that it does not know.
func (p *parser) loadProtocol(at int, option string) bool {
	name := protocolMatch(p.family, p.rule.Proto)
	if name == "" || slices.ContainsFunc(p.loaded, func(in *instance) bool { return !in.target && in.name == name }) {
		return false
	}
	known := matchExtensions[name]
	if !slices.ContainsFunc(known.names(), func(n string) bool { return strings.HasPrefix(n, "--"+option) }) {
		return false
	}
	p.loaded = append(p.loaded, &instance{name: name, known: known, at: at})
	return true
}

// unknown is an option that is not known here; foreign says that nothing like it is known at all.
type unknown struct {
	*SyntaxError
	foreign bool
}

// unknownOption says what might have been meant.
func (p *parser) unknownOption(at int, name string) unknown {
	var candidates []string
	for full := range coreOptions {
		candidates = append(candidates, "--"+full)
	}
	for _, in := range p.loaded {
		candidates = append(candidates, in.known.names()...)
	}
	candidates = append(candidates, matchExtensions[protocolMatch(p.family, p.rule.Proto)].names()...)
	hint := "look for it in the man page iptables-extensions"
	meant := similar("--"+name, candidates)
	owners := ownersOf(name)
	switch {
	case meant != "":
		hint = "did you mean " + meant + "?"
	case len(owners) > 0:
		hint = "write " + strings.Join(owners, " or ") + " before it"
	}
	return unknown{p.errorAt(at, "unknown option `--"+name+"'", hint), meant == "" && len(owners) == 0}
}

// ownersOf returns what must come before an option.
func ownersOf(option string) []string {
	var owners []string
	protocols := []string{"tcp", "udp", "sctp", "dccp"}
	for _, m := range protocols {
		if _, has := matchExtensions[m][option]; has {
			owners = append(owners, "-p "+m)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(matchOptions)) {
		if _, has := matchExtensions[m][option]; has && !slices.Contains(protocols, m) {
			owners = append(owners, "-m "+m)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(targetOptions)) {
		if _, has := targetExtensions[t][option]; has {
			owners = append(owners, "-j "+t)
		}
	}
	return owners
}

// extensionOption reads an option of a match or target.
func (p *parser) extensionOption(at int, in *instance, spec optionSpec, value string, hasValue bool) error {
	if in.known == nil && strings.ContainsFunc(spec.name, notOfOption) {
		return p.errorAt(at, "`"+spec.name+"' is not a valid option", "look for it in the man page of "+in.name)
	}
	o := parsedOption{Option: Option{Not: p.not >= 0, Name: spec.name}, at: at}
	p.not = -1
	if hasValue {
		if in.known != nil && spec.args == 0 {
			return p.errorAt(at, "option "+spec.name+" does not take an argument", "leave out ="+value)
		}
		o.Args = append(o.Args, value)
	}
	switch {
	case in.known == nil:
		for !hasValue && p.hasArgument() {
			o.Args = append(o.Args, p.words[p.at].text)
			p.at++
		}
	case spec.optional:
		if len(o.Args) == 0 && p.hasArgument() {
			o.Args = append(o.Args, p.words[p.at].text)
			p.at++
		}
	default:
		for len(o.Args) < spec.args {
			arg, err := p.take(at, spec.name)
			if err != nil {
				return err
			}
			// The old style has the negation between the option and its argument.
			if arg == "!" && len(o.Args) == 0 && !o.Not && p.hasArgument() {
				o.Not = true
				continue
			}
			o.Args = append(o.Args, arg)
		}
	}
	in.options = append(in.options, o)
	return nil
}

// notOfOption reports whether a letter cannot be in the name of an option.
func notOfOption(r rune) bool {
	return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// short reads options of one letter written as one word.
func (p *parser) short(at int, letters string) error {
	for letters != "" {
		letter, rest := letters[0], letters[1:]
		switch {
		case strings.IndexByte(needArgument, letter) >= 0, strings.IndexByte(optionalArgument, letter) >= 0:
			return p.core(at, letter, rest, rest != "")
		case strings.IndexByte(noArgument, letter) >= 0 && letter != '0':
			if err := p.core(at, letter, "", false); err != nil {
				return err
			}
		default:
			return p.errorAt(at, "unknown option `-"+string(letter)+"'", "long options begin with --")
		}
		letters = rest
	}
	return nil
}

// number reads a rule's number.
func (p *parser) number(at int) (int, error) {
	text := p.words[at].text
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, p.errorAt(at, "Invalid rule number `"+text+"'", "rules are counted from 1")
	}
	return n, nil
}
