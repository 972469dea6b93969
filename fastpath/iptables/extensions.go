// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strings"
)

// optionSpec is what has to be known of an option to tell where it ends.
type optionSpec struct {
	// name is the one that iptables-save prints.
	name string
	args int
	// optional: the argument may be missing; then the next word is an option.
	optional bool
}

// extension is the options of one match or target, by all names without "--".
type extension map[string]optionSpec

// newExtension reads a list such as "sport= source-port=>sport syn tcp-flags== bps?": each = is an
// argument, ? is one that may be missing, and what is after > is the name that is printed.
func newExtension(list string) extension {
	e := extension{}
	for _, o := range strings.Fields(list) {
		o, printed, _ := strings.Cut(o, ">")
		name := strings.TrimRight(o, "=?")
		if printed == "" {
			printed = name
		}
		e[name] = optionSpec{
			name:     "--" + printed,
			args:     len(o) - len(name),
			optional: strings.HasSuffix(o, "?"),
		}
	}
	return e
}

// names returns the options with their "--".
func (e extension) names() []string {
	var all []string
	for n := range e {
		all = append(all, "--"+n)
	}
	slices.Sort(all)
	return all
}

// matchExtensions and targetExtensions are matchOptions and targetOptions, read once.
var (
	matchExtensions  = newExtensions(matchOptions)
	targetExtensions = newExtensions(targetOptions)
)

func newExtensions(lists map[string]string) map[string]extension {
	all := make(map[string]extension, len(lists))
	for name, list := range lists {
		all[name] = newExtension(list)
	}
	return all
}

// matchOptions are the options of every match that comes with iptables 1.8.
var matchOptions = map[string]string{
	"addrtype":   "src-type= dst-type= limit-iface-in limit-iface-out",
	"ah":         "ahspi= ahlen= ahres",
	"bpf":        "bytecode= object-pinned=",
	"cgroup":     "cgroup= path=",
	"cluster":    "cluster-total-nodes= cluster-local-node= cluster-local-nodemask= cluster-hash-seed=",
	"comment":    "comment=",
	"connbytes":  "connbytes= connbytes-dir= connbytes-mode=",
	"connlabel":  "label= set",
	"connlimit":  "connlimit-upto= connlimit-above= connlimit-mask= connlimit-saddr connlimit-daddr",
	"connmark":   "mark=",
	"conntrack":  "ctstate= ctproto= ctorigsrc= ctorigdst= ctreplsrc= ctrepldst= ctorigsrcport= ctorigdstport= ctreplsrcport= ctrepldstport= ctstatus= ctexpire= ctdir=",
	"cpu":        "cpu=",
	"dccp":       "sport= source-port=>sport dport= destination-port=>dport dccp-types= dccp-option=",
	"devgroup":   "src-group= dst-group=",
	"dscp":       "dscp= dscp-class=",
	"dst":        "dst-len= dst-opts=",
	"ecn":        "ecn-tcp-cwr ecn-tcp-ece ecn-ip-ect=", //nolint:misspell // ECT is "ECN-capable transport"
	"esp":        "espspi=",
	"eui64":      "",
	"frag":       "fragid= fraglen= fragres fragfirst fragmore fraglast",
	"hashlimit":  "hashlimit= hashlimit-upto= hashlimit-above= hashlimit-srcmask= hashlimit-dstmask= hashlimit-burst= hashlimit-htable-size= hashlimit-htable-max= hashlimit-htable-gcinterval= hashlimit-htable-expire= hashlimit-mode= hashlimit-name= hashlimit-rate-match hashlimit-rate-interval=",
	"hbh":        "hbh-len= hbh-opts=",
	"helper":     "helper=",
	"hl":         "hl-lt= hl-gt= hl-eq= hl=>hl-eq",
	"icmp":       "icmp-type=",
	"icmp6":      "icmpv6-type=",
	"ipcomp":     "ipcompspi= compres",
	"iprange":    "src-range= dst-range=",
	"ipv6header": "header= soft",
	"ipvs":       "ipvs vproto= vaddr= vport= vdir= vmethod= vportctl=",
	"length":     "length=",
	"limit":      "limit= limit-burst=",
	"mac":        "mac-source=",
	"mark":       "mark=",
	"mh":         "mh-type=",
	"multiport":  "sports= source-ports=>sports dports= destination-ports=>dports ports=",
	"nfacct":     "nfacct-name=",
	"osf":        "genre= ttl= log=",
	"owner":      "uid-owner= gid-owner= pid-owner= sid-owner= cmd-owner= socket-exists suppl-groups",
	"physdev":    "physdev-in= physdev-out= physdev-is-in physdev-is-out physdev-is-bridged",
	"pkttype":    "pkt-type=",
	"policy":     "dir= pol= strict reqid= spi= tunnel-src= tunnel-dst= proto= mode= next",
	"quota":      "quota=",
	"rateest":    "rateest= rateest1= rateest2= rateest-bps? rateest-pps? rateest-bps1? rateest-pps1? rateest-bps2? rateest-pps2? rateest-delta rateest-lt rateest-gt rateest-eq",
	"realm":      "realm=",
	"recent":     "set rcheck update remove seconds= reap hitcount= rttl name= rsource rdest mask=",
	"rpfilter":   "loose validmark accept-local invert",
	"rt":         "rt-type= rt-segsleft= rt-len= rt-0-res rt-0-addrs= rt-0-not-strict",
	"sctp":       "sport= source-port=>sport dport= destination-port=>dport chunk-types==",
	"set":        "match-set== set==>match-set return-nomatch update-counters update-subcounters packets-eq= packets-lt= packets-gt= bytes-eq= bytes-lt= bytes-gt=",
	"socket":     "transparent nowildcard restore-skmark",
	"srh":        "srh-next-hdr= srh-hdr-len-eq= srh-hdr-len-gt= srh-hdr-len-lt= srh-segs-left-eq= srh-segs-left-gt= srh-segs-left-lt= srh-last-entry-eq= srh-last-entry-gt= srh-last-entry-lt= srh-tag= srh-psid= srh-nsid= srh-lsid=",
	"state":      "state=",
	"statistic":  "mode= probability= every= packet=",
	"string":     "from= to= algo= string= hex-string= icase",
	"tcp":        "sport= source-port=>sport dport= destination-port=>dport syn tcp-flags== tcp-option=",
	"tcpmss":     "mss=",
	"time":       "datestart= datestop= timestart= timestop= contiguous weekdays= monthdays= localtz utc kerneltz",
	"tos":        "tos=",
	"ttl":        "ttl-lt= ttl-gt= ttl-eq= ttl=>ttl-eq",
	"u32":        "u32=",
	"udp":        "sport= source-port=>sport dport= destination-port=>dport",
}

// targetOptions are the options of every target that comes with iptables 1.8.
var targetOptions = map[string]string{
	"AUDIT":       "type=",
	"CHECKSUM":    "checksum-fill",
	"CLASSIFY":    "set-class=",
	"CLUSTERIP":   "new hashmode= clustermac= total-nodes= local-node= hash-init=",
	"CONNMARK":    "set-xmark= set-mark= and-mark= or-mark= xor-mark= save-mark restore-mark left-shift-mark= right-shift-mark= ctmask= nfmask= mask=",
	"CONNSECMARK": "save restore",
	"CT":          "notrack helper= timeout= ctevents= expevents= zone= zone-orig= zone-reply=",
	"DNAT":        "to-destination= random random-fully persistent",
	"DNPT":        "src-pfx= dst-pfx=",
	"DSCP":        "set-dscp= set-dscp-class=",
	"ECN":         "ecn-tcp-remove ecn-tcp-cwr= ecn-tcp-ece= ecn-ip-ect=", //nolint:misspell // ECT is "ECN-capable transport"
	"HL":          "hl-set= hl-dec= hl-inc=",
	"HMARK":       "hmark-tuple= hmark-src-prefix= hmark-dst-prefix= hmark-sport-mask= hmark-dport-mask= hmark-spi-mask= hmark-sport= hmark-dport= hmark-spi= hmark-proto-mask= hmark-rnd= hmark-mod= hmark-offset=",
	"IDLETIMER":   "timeout= label= alarm",
	"LED":         "led-trigger-id= led-delay= led-always-blink",
	"LOG":         "log-level= log-prefix= log-tcp-sequence log-tcp-options log-ip-options log-uid log-macdecode",
	"MARK":        "set-xmark= set-mark= and-mark= or-mark= xor-mark=",
	"MASQUERADE":  "to-ports= random random-fully",
	"NETMAP":      "to=",
	"NFLOG":       "nflog-group= nflog-prefix= nflog-range= nflog-size= nflog-threshold=",
	"NFQUEUE":     "queue-num= queue-balance= queue-bypass queue-cpu-fanout",
	"NOTRACK":     "",
	"QUEUE":       "",
	"RATEEST":     "rateest-name= rateest-interval= rateest-ewmalog=",
	"REDIRECT":    "to-ports= random",
	"REJECT":      "reject-with=",
	"SECMARK":     "selctx=",
	"SET":         "add-set== del-set== exist timeout= map-set== map-mark map-prio map-queue",
	"SNAT":        "to-source= random random-fully persistent",
	"SNPT":        "src-pfx= dst-pfx=",
	"SYNPROXY":    "sack-perm timestamp wscale= mss= ecn",
	"TCPMSS":      "set-mss= clamp-mss-to-pmtu",
	"TCPOPTSTRIP": "strip-options=",
	"TEE":         "gateway= oif=",
	"TOS":         "set-tos= and-tos= or-tos= xor-tos=",
	"TPROXY":      "on-port= on-ip= tproxy-mark=",
	"TRACE":       "",
	"TTL":         "ttl-set= ttl-dec= ttl-inc=",
	"ULOG":        "ulog-nlgroup= ulog-prefix= ulog-cprange= ulog-qthreshold=",
}

// matchName returns the name that iptables-save prints for a match.
func matchName(name string) string {
	switch name {
	case "icmpv6", "ipv6-icmp":
		return "icmp6"
	case "ipv6-mh", "mobility-header":
		return "mh"
	}
	return name
}

// argument returns an argument as iptables-save prints it.
func argument(option, text string) string {
	switch option {
	case "--comment", "--log-prefix", "--nflog-prefix", "--helper", "--ulog-prefix", "--path":
		return saved(text)
	case "--u32", "--string", "--hex-string", "--bytecode", "--label":
		return quoted(text)
	}
	if text == "" || strings.ContainsAny(text, " \t\"'\\") {
		return quoted(text)
	}
	return text
}
