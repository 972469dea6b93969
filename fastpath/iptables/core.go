// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// core reads iptables' own option with the letter. value is what was written in the same word.
func (p *parser) core(at int, letter byte, value string, hasValue bool) error {
	if strings.IndexByte(needArgument, letter) >= 0 && !hasValue {
		var err error
		if value, err = p.take(at, p.words[at].text); err != nil {
			return err
		}
	}
	negated := p.not
	p.not = -1
	if strings.IndexByte("sdpio", letter) >= 0 && value == "!" && !hasValue && negated < 0 && p.hasArgument() {
		negated = at // the old style
		value, _ = p.take(at, "")
	}
	if negated >= 0 && strings.IndexByte("sdpiof", letter) < 0 {
		return p.errorAt(negated, "unexpected ! flag before "+p.words[at].text, "leave it out")
	}
	if _, twice := p.given[letter]; twice && strings.IndexByte("mvwW", letter) < 0 {
		return p.errorAt(at, "multiple "+p.words[at].text+" flags not allowed", "write it once")
	}
	p.given[letter] = at
	switch {
	case strings.IndexByte("sdpiofmjg", letter) >= 0:
		return p.condition(at, letter, value, negated >= 0)
	case strings.IndexByte("tcMVhnvx0wW46", letter) >= 0:
		return p.setting(at, letter, value, hasValue)
	}
	return p.operation(at, letter, value, hasValue)
}

// condition reads what belongs to the rule itself.
func (p *parser) condition(at int, letter byte, value string, not bool) error {
	argument := p.at - 1
	var err error
	switch letter {
	case 's':
		p.src, err = p.addresses(argument, value, not)
	case 'd':
		p.dst, err = p.addresses(argument, value, not)
	case 'p':
		p.rule.Proto, err = p.protocol(argument, value, not)
	case 'i':
		p.rule.In, err = p.device(argument, value, not)
	case 'o':
		p.rule.Out, err = p.device(argument, value, not)
	case 'f':
		if p.family == 6 {
			return p.errorAt(at, "-f is not supported in IPv6", "use -m frag instead")
		}
		p.rule.Fragment = LaterFragment
		if not {
			p.rule.Fragment = NotLaterFragment
		}
	case 'm':
		return p.match(argument, value)
	case 'j', 'g':
		_, j := p.given['j']
		if _, g := p.given['g']; j && g {
			return p.errorAt(at, "-j and -g exclude each other", "keep one of them")
		}
		return p.target(argument, value, letter == 'g')
	}
	return err
}

func (p *parser) device(at int, name string, not bool) (Interface, error) {
	switch {
	case name == "":
		return Interface{}, p.errorAt(at, "an empty name of a device matches nothing", "write the device's name, or + for all")
	case len(name) > 15:
		return Interface{}, p.errorAt(at, "interface name `"+name+"' must be shorter than IFNAMSIZ (16)", "see the names in `ip link`")
	case strings.ContainsAny(name, " \t\n/\"\\"):
		return Interface{}, p.errorAt(at, "`"+name+"' is not a valid name of a device", "see the names in `ip link`")
	}
	if name == "+" && !not {
		return Interface{}, nil // all devices, which iptables does not print
	}
	return Interface{Not: not, Name: name}, nil
}

// match loads a match.
func (p *parser) match(at int, name string) error {
	name = matchName(name)
	in := &instance{name: name, at: at}
	if known, is := matchExtensions[name]; is {
		in.known = known
	} else if meant := similar(name, slices.Collect(maps.Keys(matchOptions))); meant != "" {
		return p.errorAt(at, "there is no match `"+name+"'", "did you mean "+meant+"?")
	} else if !validName(name) {
		return p.errorAt(at, "`"+name+"' is not a valid name of a match", "see the man page iptables-extensions")
	}
	p.loaded = append(p.loaded, in)
	return nil
}

// target notes what the rule does.
func (p *parser) target(at int, name string, isGoto bool) error {
	t := &p.rule.Target
	t.Name, t.Goto = name, isGoto
	known, isExtension := targetExtensions[name]
	switch {
	case !validName(name):
		return p.errorAt(at, "Invalid target name `"+name+"'", "name a target, such as ACCEPT or DROP, or a chain")
	case len(name) > maxChainName:
		return p.errorAt(at, "Invalid target name `"+name+"' ("+strconv.Itoa(maxChainName)+" chars max)", "chains have shorter names")
	case isGoto:
		t.Kind = ToChain
	case name == "CONTINUE":
		*t = Target{}
	case slices.Contains(verdicts, name):
		t.Kind = Verdict
	case isExtension:
		t.Kind = Extension
		p.loaded = append(p.loaded, &instance{name: name, target: true, known: known, at: at})
	default:
		t.Kind = ToChain
	}
	return nil
}

// verdicts are the targets that only judge.
var verdicts = []string{"ACCEPT", "DROP", "RETURN"}

func validName(name string) bool {
	return name != "" && name[0] != '-' && name[0] != '!' && !strings.ContainsAny(name, " \t\"'\\/") && !strings.ContainsFunc(name, control)
}

// setting reads what is not about rules or chains.
func (p *parser) setting(at int, letter byte, value string, hasValue bool) error {
	switch letter {
	case 't':
		if p.inFile {
			return p.errorAt(at, "-t is not valid in a file", "begin the table with a line *"+value)
		}
		if !slices.Contains(tables, value) {
			return p.errorAt(p.at-1, "table `"+value+"' does not exist", "tables are "+strings.Join(tables, ", "))
		}
		p.cmd.Table = value
	case 'c':
		return p.counters(value)
	case 'M':
		return p.errorAt(at, "--modprobe is not supported", "leave it out")
	case 'V', 'h':
		return p.errorAt(at, p.words[at].text+" is not a command about rules", "ask the installed iptables")
	case 'n':
		p.cmd.Numeric = true
	case 'v':
		p.cmd.Verbose = true
	case 'x':
		p.cmd.Exact = true
	case '0':
		p.cmd.LineNumbers = true
	case 'w':
		if !hasValue && p.hasArgument() {
			p.at++
		}
	case '4', '6':
		if int(letter-'0') != int(p.family) {
			return p.errorAt(at, p.words[at].text+" is for the other version of IP", "leave it out, or write iptables for IPv4 and ip6tables for IPv6")
		}
	}
	return nil
}

var tables = []string{"filter", "nat", "mangle", "raw", "security"}

// counters reads the two numbers of -c.
func (p *parser) counters(value string) error {
	at := p.at - 1
	packets, bytes, both := strings.Cut(value, ",")
	if !both {
		if !p.hasArgument() {
			return p.errorAt(p.at, "-c needs packet and byte counter", "write two numbers")
		}
		bytes = p.words[p.at].text
		p.at++
	}
	var c Counters
	var err1, err2 error
	c.Packets, err1 = strconv.ParseUint(packets, 10, 64)
	c.Bytes, err2 = strconv.ParseUint(bytes, 10, 64)
	if err1 != nil || err2 != nil {
		return p.errorAt(at, "-c packet and byte counters are not numeric", "write two numbers")
	}
	p.cmd.Counters = &c
	return nil
}
