// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"context"
	"errors"
	"os"

	"github.com/cilium/ebpf/ringbuf"
)

// readRing passes what the programs write into a ring, until ctx ends; then it returns nil. What is passed is
// overwritten when pass has returned.
func (b *Bypass) readRing(ctx context.Context, name string, pass func(raw []byte) error) error {
	reader, err := b.openRing(name)
	if err != nil {
		return err
	}
	defer reader.Close()
	stop := context.AfterFunc(ctx, func() {
		reader.Close()
	})
	defer stop()
	var record ringbuf.Record
	for {
		if err := reader.ReadInto(&record); err != nil {
			if errors.Is(err, os.ErrClosed) && ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := pass(record.RawSample); err != nil {
			return err
		}
	}
}

func (b *Bypass) openRing(name string) (*ringbuf.Reader, error) {
	release, err := b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	return ringbuf.NewReader(b.maps[name])
}
