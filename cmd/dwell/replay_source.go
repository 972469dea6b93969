// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/recording"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

// source is a file that can be replayed.
type source interface {
	name() string
	// resource is what is on every resource of its traces.
	resource() otlp.Options
	// play gives everything in it to the sink, once.
	play(recording.Sink) error
	io.Closer
}

// sources opens the files, so that what is wrong with one of them is known before
// anything is printed.
func (f *replayFlags) sources(cmd *cobra.Command, files []string) ([]source, error) {
	offset, err := f.offset()
	if err != nil {
		return nil, err
	}
	env, err := otlp.FromEnvironment(cmd.Context())
	if err != nil {
		return nil, err
	}
	var all []source
	for _, path := range files {
		in, name := cmd.InOrStdin(), "standard input"
		if path != "-" {
			file, err := os.Open(path)
			if err != nil {
				return all, fmt.Errorf("replay: %w", err)
			}
			in, name = file, path
		}
		s, err := f.source(name, in, env, offset)
		if err != nil {
			file{name, in}.Close()
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

// source finds out what a file is, and reads its beginning.
func (f *replayFlags) source(name string, in io.Reader, env otlp.Environment, offset func(*listing.Listing) int64) (source, error) {
	b := bufio.NewReader(in)
	head, err := b.Peek(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("replay: %w", err)
	}
	if recording.Is(head) {
		if len(f.hypervisors) > 0 || f.start != "" {
			return nil, fmt.Errorf("%s: --hypervisor and --start are for listings; a recording contains both", name)
		}
		r, err := recording.Open(name, b)
		if err != nil {
			return nil, err
		}
		return &recordingSource{file{name, in}, r, env}, nil
	}
	opts := listing.Options{}
	for _, text := range f.hypervisors {
		inode, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--hypervisor %q: not the inode number of a namespace as in the listing", text)
		}
		opts.Hypervisors = append(opts.Hypervisors, uint32(inode))
	}
	l, err := listing.Read(name, b, opts)
	if err != nil {
		return nil, err
	}
	return &listingSource{file{name, in}, l, env, offset(l)}, nil
}

// offset returns what gives the offset from a listing's clock to the wall clock.
func (f *replayFlags) offset() (func(*listing.Listing) int64, error) {
	if f.start == "" {
		return func(*listing.Listing) int64 { return 0 }, nil
	}
	start := time.Now()
	if f.start != "now" {
		var err error
		if start, err = time.Parse(time.RFC3339Nano, f.start); err != nil {
			return nil, fmt.Errorf("--start %q: want now, or a time like 2018-11-13T09:30:00Z", f.start)
		}
	}
	return func(l *listing.Listing) int64 { return start.UnixNano() - int64(l.Events[0].Time) }, nil
}

// file is what sources are read from.
type file struct {
	path string
	in   io.Reader
}

func (f file) name() string { return f.path }

// Close closes a file that was opened for this source, and leaves standard input open.
func (f file) Close() error {
	if c, ok := f.in.(*os.File); ok && c != os.Stdin {
		return c.Close()
	}
	return nil
}

func closeAll(sources []source) {
	for _, s := range sources {
		_ = s.Close() // it was only read
	}
}

// recordingSource is a recording of dwell trace --record.
type recordingSource struct {
	file
	r   *recording.Reader
	env otlp.Environment
}

// resource is what it was live; what the environment says now comes on top.
func (s *recordingSource) resource() otlp.Options {
	h := s.r.Header()
	o := otlp.Options{Version: h.Version, Host: otlp.Host{ID: h.HostID, Name: h.HostName}}
	for _, a := range h.Environment {
		o.Environment = append(o.Environment, otlp.Attribute(a))
	}
	o.Environment = append(o.Environment, s.env...)
	return o
}

func (s *recordingSource) play(sink recording.Sink) error {
	_, err := s.r.Replay(sink)
	return err
}

// listingSource is a listing of tracepoint hits. It does not name its host.
type listingSource struct {
	file
	l      *listing.Listing
	env    otlp.Environment
	offset int64
}

func (s *listingSource) resource() otlp.Options {
	return otlp.Options{Version: version, Environment: s.env}
}

func (s *listingSource) play(sink recording.Sink) error {
	for i := range s.l.Events {
		if err := sink.Event(&s.l.Events[i], s.l); err != nil {
			return err
		}
	}
	traces, _ := s.l.Traces()
	for _, t := range traces {
		t.Rebase(s.offset)
		if err := sink.Traces([]*trace.Trace{t}); err != nil {
			return err
		}
	}
	return nil
}
