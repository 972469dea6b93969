// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/dwelltrace/dwell/internal/check/otlpsink"
)

// serveSink is an OTLP endpoint that counts spans. It writes its address, and for every line that
// it reads the count of spans that came after the last one.
func serveSink(ctx context.Context, in io.Reader, out io.Writer) error {
	var sink otlpsink.Sink
	if err := sink.Listen(ctx); err != nil {
		return err
	}
	defer sink.Close()
	if _, err := fmt.Fprintln(out, sink.Address()); err != nil {
		return err
	}
	var told int64
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		spans := sink.Counts().Spans
		if _, err := fmt.Fprintln(out, spans-told); err != nil {
			return err
		}
		told = spans
	}
	return lines.Err()
}
