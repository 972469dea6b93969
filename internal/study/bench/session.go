// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// Scope is what is to be recorded.
type Scope struct {
	// NetNS are the namespaces to trace in, Hypervisors those of them that are one, by
	// inode.
	NetNS, Hypervisors []uint32
	// Netfilter are the namespaces whose netfilter chains are to be timed. They are open
	// until StartFunc returns.
	Netfilter []*netns.NS
	// OnTrace is called with every trace, by one goroutine at a time.
	OnTrace func(*trace.Trace)
}

// StartFunc starts recording. When it returns, every ping in the scope is seen.
type StartFunc func(Scope) (Recorder, error)

// Recorder is a recording that is going on.
type Recorder interface {
	// Run goes on until ctx is done, then closes what is open and gives everything
	// back to the kernel. It must be called.
	Run(ctx context.Context) (Recorded, error)
}

// Recorded is what the kernel side counted.
type Recorded struct {
	Events, Lost uint64
	// WithoutNetfilter says why the netfilter chains were not timed, or nothing.
	WithoutNetfilter string
}

// session is a lab that is up, and where pings are sent from.
type session struct {
	cfg   Config
	lab   *lab.Lab
	guest *netns.NS
	// hypervisor is nil where the topology has none.
	hypervisor *netns.NS
	roles      map[uint32]string
	// firstID is the echo identifier of batch 0; each batch has its own, which identifies
	// its traces.
	firstID uint16
}

// open makes the lab of a mode. The session must be closed.
func (c Config) open(ctx context.Context, mode string) (*session, error) {
	opts := lab.Options{Prefix: c.Prefix}
	if _, err := lab.Get(mode, opts); err == nil {
		return nil, fmt.Errorf("a lab %s with the prefix %s is up: of another bench, or left by one that was killed "+
			"(dwell lab down %s --prefix %s removes it); --prefix gives this one another name", mode, c.Prefix, mode, c.Prefix)
	}
	l, err := lab.Up(ctx, mode, opts)
	if err != nil {
		return nil, err
	}
	s := &session{cfg: c, lab: l, roles: map[uint32]string{}, firstID: uint16(1 + rand.IntN(math.MaxUint16-maxBatches))}
	for _, role := range l.Topology().Roles() {
		inode, _ := l.NetNS(role)
		s.roles[inode] = role
	}
	err = s.enter()
	if err == nil {
		err = s.warmUp(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// enter opens the namespaces that something is done in.
func (s *session) enter() (err error) {
	if s.guest, err = s.lab.Open(lab.Guest); err != nil {
		return err
	}
	if _, ok := s.lab.Topology().Space(lab.Hypervisor); ok {
		s.hypervisor, err = s.lab.Open(lab.Hypervisor)
	}
	return err
}

// close removes the lab, even if ctx is done.
func (s *session) close(ctx context.Context) error {
	for _, ns := range []*netns.NS{s.guest, s.hypervisor} {
		if ns != nil {
			ns.Close()
		}
	}
	return s.lab.Down(context.WithoutCancel(ctx))
}

// scope is the whole lab.
func (s *session) scope() Scope {
	var scope Scope
	if s.hypervisor != nil {
		scope.Netfilter = []*netns.NS{s.hypervisor}
	}
	for inode, role := range s.roles {
		scope.NetNS = append(scope.NetNS, inode)
		if role == lab.Hypervisor {
			scope.Hypervisors = append(scope.Hypervisors, inode)
		}
	}
	return scope
}

// warmUp sends pings that are not measured.
func (s *session) warmUp(ctx context.Context) error {
	if s.cfg.Protocol.Warmup == 0 {
		return nil
	}
	report, err := pinger.Run(ctx, pinger.Config{
		NetNS: s.guest, Target: s.lab.Target(s.cfg.Protocol.IPv6), Count: s.cfg.Protocol.Warmup, Interval: s.cfg.Protocol.Interval,
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil && report.Received() == 0 {
		err = fmt.Errorf("lab %s: none of %d pings to warm up was answered", s.lab.Topology().Name, len(report.Echoes))
	}
	return err
}

// ping sends one batch.
func (s *session) ping(ctx context.Context, id uint16, flood bool) (*pinger.Report, error) {
	return s.pingMore(ctx, id, 0, flood)
}

// pingMore sends one batch, and so many pings before it, which are never a flood.
func (s *session) pingMore(ctx context.Context, id uint16, before int, flood bool) (*pinger.Report, error) {
	report, err := pinger.Run(ctx, pinger.Config{
		NetNS: s.guest, Target: s.lab.Target(s.cfg.Protocol.IPv6), ID: id,
		Count: before + s.cfg.Protocol.Count, Interval: s.cfg.interval(flood), Flood: flood, FloodAfter: before,
		OnReply: func(e pinger.Echo) {
			if int(e.Seq) > before {
				s.cfg.step()
			}
		},
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	return report, nil
}

// batchID returns the echo identifier of a batch.
func (s *session) batchID(batch int) uint16 { return s.firstID + uint16(batch) }

// batchOf returns the batch of a trace.
func (s *session) batchOf(t *trace.Trace, batches int) (int, bool) {
	batch := int(t.Ping.ID) - int(s.firstID)
	return batch, batch >= 0 && batch < batches
}
