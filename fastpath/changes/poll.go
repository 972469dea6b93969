// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/internal/netns"
)

// pollInterval is how often it is checked what the kernel does not announce.
const pollInterval = time.Second

// poll compares what is not announced.
type poll struct {
	*watcher
	// print is what rules and settings were when it was looked last, programs what was attached to
	// devices, by index.
	prints   *premises.Fingerprints
	print    string
	programs map[int]string
}

func (p *poll) run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		text, programs := p.print, p.programs
		if err := p.look(); err != nil {
			return err
		}
		if p.print != text {
			p.tell(Change{Kind: All | Rules, What: "rules of legacy iptables, programs at netfilter's hooks or settings have changed"})
		}
		for index, now := range p.programs {
			if now != programs[index] {
				p.tell(Change{Kind: Some | Devices, Devices: []int{index}, What: fmt.Sprintf("programs at device %d have changed", index)})
			}
		}
	}
}

// look reads what is there.
func (p *poll) look() (err error) {
	if p.print, err = p.prints.Take(); err != nil {
		return fmt.Errorf("reading rules of legacy iptables, programs at netfilter's hooks and settings: %w", err)
	}
	if err := netns.In(p.ns, p.lookAtPrograms); err != nil {
		return fmt.Errorf("reading which programs are attached to devices: %w", err)
	}
	p.polled.Store(time.Now().UnixNano())
	return nil
}

// rtextFilterSkipStats asks for devices without their counters: RTEXT_FILTER_SKIP_STATS.
const rtextFilterSkipStats = 1 << 3

// lookAtPrograms reads what is attached by BPF's own links, which is not announced.
func (p *poll) lookAtPrograms() error {
	conn, err := mdl.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers, err := conn.Execute(mdl.Message{
		Header: mdl.Header{Type: unix.RTM_GETLINK, Flags: mdl.Request | mdl.Dump},
		Data:   append(request(unix.AF_UNSPEC, infoSize), 8, 0, unix.IFLA_EXT_MASK, 0, rtextFilterSkipStats, 0, 0, 0),
	})
	if err != nil {
		return err
	}
	p.programs = map[int]string{}
	for _, a := range answers {
		if a.Header.Type != unix.RTM_NEWLINK || len(a.Data) < infoSize {
			continue
		}
		index := number32(a.Data[4:])
		what := ""
		if xdp := attribute(a.Data[infoSize:], unix.IFLA_XDP); len(attribute(xdp, unix.IFLA_XDP_PROG_ID)) > 0 {
			what = string(xdp)
		}
		for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			what += revision(index, at)
		}
		p.programs[index] = what
	}
	return nil
}

// revision returns how often programs were attached to a device, or "" if they never were. That is
// also said of a device that is gone, or a kernel without TCX.
func revision(index int, at ebpf.AttachType) string {
	const first = 1
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
	switch {
	case errors.Is(err, unix.ENODEV) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL):
		return ""
	case err != nil:
		return err.Error()
	case got.Revision <= first:
		return ""
	}
	return fmt.Sprintf("%v %d;", at, got.Revision)
}
