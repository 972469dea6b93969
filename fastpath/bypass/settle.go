// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Approve allows both directions of a flow to be sent fast as long as the number of approvals is
// this one. ErrGone if one of them is not there any more, ErrNotLiberal if the connection is TCP's and does
// not have that flag yet.
func (b *Bypass) Approve(forth, back *flow.Flow, approval uint32) error {
	if approval == 0 {
		return errors.New("approve a flow: 0 is not a valid number of an approval")
	}
	return b.settle("approve", forth, back, plainFlowArgs{Approval: approval})
}

// Refuse forbids both directions of a flow to be sent fast, and to be asked for again, as long as the number of
// approvals is this one. The detail is for those who read flows.
func (b *Bypass) Refuse(forth, back *flow.Flow, approval uint32, reason flow.Reason, detail uint32) error {
	if approval == 0 || reason == flow.Fast {
		return errors.New("refuse a flow: it needs a reason, and the number of an approval")
	}
	return b.settle("refuse", forth, back, plainFlowArgs{Approval: approval, Reason: uint32(reason), Detail: detail})
}

func (b *Bypass) settle(what string, forth, back *flow.Flow, args plainFlowArgs) error {
	for _, f := range []*flow.Flow{forth, back} {
		if err := b.run(plainProgSettle, &f.Key, f.ID, args); err != nil {
			return fmt.Errorf("%s a flow: %w", what, err)
		}
	}
	return nil
}

// End marks a flow as ended: its next packet is the kernel's, at once. ErrGone if the flow with that ID is not
// there any more.
func (b *Bypass) End(k flow.Key, id uint64, reason flow.Reason) error {
	if reason == flow.Fast {
		return errors.New("end a flow: it needs a reason")
	}
	if err := b.run(plainProgEnd, &k, id, plainFlowArgs{Reason: uint32(reason)}); err != nil {
		return fmt.Errorf("end a flow: %w", err)
	}
	return nil
}

// run runs a program that changes one entry.
func (b *Bypass) run(program string, k *flow.Key, id uint64, args plainFlowArgs) error {
	if err := checkKey(k); err != nil {
		return err
	}
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	args.Key, args.Family, args.Id = key6(k), familyOf(k), id
	if _, err := b.programs[program].Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return err
	}
	switch errno := syscall.Errno(-args.Result); errno {
	case 0:
		return nil
	case unix.ENOENT, unix.ESTALE:
		return ErrGone
	case unix.EAGAIN:
		return ErrNotLiberal
	default:
		return errno
	}
}
